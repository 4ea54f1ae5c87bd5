"""Problems of taking and augmenting images."""

from __future__ import annotations

import numpy as np

from gpucnn.backends.base import Backend
from gpucnn.kernelcheck.problem import Arguments, Bounds, Operation, exactly
from gpucnn.kernelcheck.running_error import sum_bound
from gpucnn.operations.sampling import Generator, chosen, integer, normal


def _draw_images(rng: Generator, number: int) -> Arguments:
    """With and without flips and shifts."""
    N, H, W, C = integer(rng, 1, 5), integer(rng, 1, 9), integer(rng, 1, 9), chosen(rng, 1, 3, 4)
    if number % 5 == 1:
        H, W, C = 1, 1, chosen(rng, 1, 3)  # fewer elements than a thread takes
    flip = rng.integers(0, 2, N, np.uint8) if number % 2 else None
    rows, columns = rng.integers(1 - H, H, N), rng.integers(1 - W, W, N)
    shift = np.stack([rows, columns], 1).astype(np.int32) if number // 2 % 2 else None
    return {
        "images": rng.integers(0, 256, (N, H, W, C), np.uint8),
        "scale": normal(rng, C),
        "offset": normal(rng, C),
        "flip": flip,
        "shift": shift,
    }


def _draw_taken(rng: Generator, number: int) -> Arguments:
    """Images of a multiple of 16 bytes, of 4, and of neither; some taken twice."""
    H, W, C = ((4, 4, 3), (2, 3, 2), (5, 3, 1), (32, 33, 16))[number % 4]
    M = integer(rng, 1, 6)
    return {
        "images": rng.integers(0, 256, (M, H, W, C), np.uint8),
        "indices": rng.integers(0, M, integer(rng, 1, 8)),
    }


def _images_bounds(a: Arguments, exact: Backend) -> Bounds:
    magnitudes = {"scale": abs(a["scale"]), "offset": abs(a["offset"])}
    return {"y": sum_bound(2, exact.augment_images(**{**a, **magnitudes}))}


OPERATIONS = (
    Operation("augment_images", ("y",), _draw_images, _images_bounds),
    Operation("take_images", ("y",), _draw_taken, exactly),
)
