"""Launches that take images and augment them; images are along the grid's y."""

from __future__ import annotations

import math

from gpucnn.launch.choice import Choice
from gpucnn.launch.elementwise import THREADS, VECTOR
from gpucnn.launch.images import image_grid
from gpucnn.launch.launch import Launch, as_int, launch
from gpucnn.launch.machine import Machine
from gpucnn.launch.planning import plans
from gpucnn.operations.augmentation import AugmentImages
from gpucnn.operations.geometry import ceil_divide
from gpucnn.operations.images import TakeImages

_WIDTHS = (16, 4, 1)
"""Bytes that a thread moves at once; an image is a multiple of that, so each begins aligned."""


@plans(TakeImages)
def _take_images(problem: TakeImages, _machine: Machine, _choice: Choice) -> tuple[Launch, ...]:
    N, *image = problem.taken
    size = int(as_int(math.prod(image), "H·W·C"))
    width = next(width for width in _WIDTHS if size % width == 0)
    arguments = ("images", "indices", "y", as_int(N, "N"))
    constants = {"IMAGE": size, "WIDTH": width}
    grid = image_grid(size // width, N)
    return (launch("take_images.cu", "take_images", grid, arguments, (THREADS,), constants),)


@plans(AugmentImages)
def _augment_images(
    problem: AugmentImages, _machine: Machine, _choice: Choice
) -> tuple[Launch, ...]:
    """Four neighbouring elements of the result a thread."""
    N, H, W, C = problem.images
    as_int(H * W * C, "H·W·C")
    return (
        launch(
            "augmentation.cu",
            "augment_images",
            image_grid(ceil_divide(H * W * C, VECTOR), N),
            (*problem.takes, *problem.gives, as_int(N, "N")),
            (THREADS,),
            {"H": H, "W": W, "C": C, **_parts(problem)},
        ),
    )


def _parts(problem: AugmentImages) -> dict[str, int]:
    """Which changes there are."""
    return {
        "FLIP": problem.flips,
        "SHIFT": problem.shifts,
        "WARP": problem.warps,
        "COLOUR": problem.colours,
        "HOLE": problem.holes,
        "MIX": problem.mixes,
    }
