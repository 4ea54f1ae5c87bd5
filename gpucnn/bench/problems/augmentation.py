"""From bytes to a network's input: taking images, and augmenting and normalising them."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from gpucnn.bench.problems.base import Floats, Input, Problem, as_text, total_bytes
from gpucnn.operations.geometry import Shape

_TO_CHOOSE_FROM = 4
"""Times as many images as are taken."""
_INDEX_BYTES = 8
_FLIP_AND_SHIFT_BYTES = 1 + 2 * 4
_SHARE_OF_SHIFT = 8
"""Images are shifted by at most 1/8 of their size, as 32×32 ones are by 4."""


def batches(name: str, N: int, size: int, C: int) -> tuple[Problem, ...]:
    """A training batch of images (N, size, size, C), taken and augmented, and one to evaluate."""
    shape, vector = (N, size, size, C), Input((C,))
    elements = math.prod(shape)
    most = max(1, size // _SHARE_OF_SHIFT)
    flip = Input((N,), lambda drawn: drawn > 0.0, np.uint8, "bool")
    shift = Input((N, 2), lambda drawn: np.rint(drawn).clip(-most, most), np.int32, "int64")
    problem = partial(Problem, shape_text=as_text(shape))
    augment = partial(problem, operation="augment_images", flops=2 * elements)
    images_and_vectors = {"images": _images(shape), "scale": vector, "offset": vector}
    # A byte and a float for each element.
    moved = elements + total_bytes(shape, (C,), (C,))
    return (
        problem(
            operation="take_images",
            name=name,
            inputs={
                "images": _images((_TO_CHOOSE_FROM * N, *shape[1:])),
                "indices": Input((N,), _indices, np.int64, "int64"),
            },
            flops=0,
            traffic=N * _INDEX_BYTES + 2 * elements,
            torch=lambda torch, images, indices: torch.index_select(images, 0, indices),
        ),
        augment(
            name=name,
            inputs={**images_and_vectors, "flip": flip, "shift": shift},
            traffic=moved + N * _FLIP_AND_SHIFT_BYTES,
            torch_prepare=_torch_prepare_augment,
            torch=_torch_augment,
        ),
        augment(
            name=f"{name}-normalised",
            inputs=images_and_vectors,
            traffic=moved,
            torch_prepare=lambda _, images, *vectors: (
                images,
                *(each[:, None, None] for each in vectors),
            ),
            # Two calls: PyTorch has none for both.
            torch=lambda torch, images, scale, offset: torch.mul(images, scale).add_(offset),
        ),
    )


def _images(shape: Shape) -> Input:
    """Normally distributed numbers as grey values."""
    return Input(
        shape, lambda drawn: np.rint(128.0 + 64.0 * drawn).clip(0.0, 255.0), np.uint8, "uint8"
    )


def _indices(drawn: Floats) -> Floats:
    """No image is taken twice."""
    order = np.random.default_rng(0).permutation(_TO_CHOOSE_FROM * drawn.size)
    return order[: drawn.size].astype(np.float32)


def _torch_prepare_augment(
    torch: Any, images: Any, scale: Any, offset: Any, flip: Any, shift: Any
) -> tuple[Any, ...]:
    """With each image's number and each pixel's; images (N, H, W, C), to move pixels whole."""
    images = images.permute(0, 2, 3, 1).contiguous()
    N, size, _, _ = images.shape
    number = torch.arange(N, device=images.device)[:, None, None]
    places = torch.arange(size, device=images.device)
    return images, scale, offset, flip[:, None], shift, number, places


def _torch_augment(
    torch: Any,
    images: Any,
    scale: Any,
    offset: Any,
    flip: Any,
    shift: Any,
    number: Any,
    places: Any,
) -> Any:
    """By indices of rows and columns, which are worked out each time; PyTorch has no call."""
    last = images.shape[1] - 1

    def reflected(indices: Any) -> Any:
        return last - (indices.abs() - last).abs()

    rows = reflected(places + shift[:, :1])
    columns = reflected(places + shift[:, 1:])
    columns = torch.where(flip, last - columns, columns)
    gathered = images[number, rows[:, :, None], columns[:, None, :]]
    return torch.mul(gathered, scale).add_(offset).permute(0, 3, 1, 2)
