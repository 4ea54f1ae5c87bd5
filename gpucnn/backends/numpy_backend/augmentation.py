"""Images of bytes to inputs of the network, image by image where they are moved."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.numpy_backend.implementations import implements
from gpucnn.backends.numpy_backend.pieces import PIECE, NumpyArrays
from gpucnn.operations.augmentation import AugmentImages, TakeImages
from gpucnn.operations.geometry import ceil_divide


@implements(TakeImages)
def _take_images(
    _be: NumpyArrays,
    _problem: TakeImages,
    images: NDArray[Any],
    indices: NDArray[Any],
    y: NDArray[Any],
) -> None:
    np.take(images, indices, axis=0, out=y, mode="clip")


@implements(AugmentImages)
def _augment_images(
    be: NumpyArrays,
    problem: AugmentImages,
    images: NDArray[Any],
    scale: NDArray[Any],
    offset: NDArray[Any],
    flip: NDArray[Any] | None,
    shift: NDArray[Any] | None,
    y: NDArray[Any],
) -> None:
    """A gather of rows and columns if images are moved, then one multiplication and addition."""
    N, H, W, C = problem.images
    step = max(1, PIECE // (H * W * C))
    wide_scale, wide_offset = np.tile(scale, W), np.tile(offset, W)
    moved = flip is not None or shift is not None

    def piece(number: int) -> None:
        first, last = number * step, min(N, (number + 1) * step)
        source = images[first:last]
        if moved:
            source = be.workers.scratch("moved", source.shape, np.uint8)
            for n in range(first, last):
                rows, columns = _source_pixels(n, H, W, flip, shift)
                source[n - first] = images[n][rows[:, None], columns]
        result = y[first:last].reshape(last - first, H, W * C)
        np.multiply(source.reshape(result.shape), wide_scale, out=result, dtype=y.dtype)
        result += wide_offset

    be.workers.run(piece, ceil_divide(N, step))


def _source_pixels(
    n: int, H: int, W: int, flip: NDArray[Any] | None, shift: NDArray[Any] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows (H,) and columns (W,) that image n is read from."""
    rows, columns = np.arange(H), np.arange(W)
    if shift is not None:
        rows = _reflect(rows + int(shift[n, 0]), H)
        columns = _reflect(columns + int(shift[n, 1]), W)
    if flip is not None and flip[n]:
        columns = W - 1 - columns
    return rows, columns


def _reflect(index: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Folds indices back into [0, size) at the borders, the edge not repeated."""
    index = np.abs(index)
    return np.where(index >= size, 2 * (size - 1) - index, index)
