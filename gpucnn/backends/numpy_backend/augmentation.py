"""Images of bytes to inputs of the network, image by image where they are moved."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.interface.augmentation import AugmentationOperations
from gpucnn.backends.numpy_backend.arrays import PIECE, NumpyArrays
from gpucnn.operations.geometry import ceil_divide


class NumpyAugmentation(NumpyArrays, AugmentationOperations):
    """A gather of rows and columns where there is one, then one multiplication and addition."""

    def _take_images(self, images: NDArray[Any], indices: NDArray[Any], y: NDArray[Any]) -> None:
        np.take(images, indices, axis=0, out=y, mode="clip")

    def _augment_images(
        self,
        images: NDArray[Any],
        scale: NDArray[Any],
        offset: NDArray[Any],
        flip: NDArray[Any] | None,
        shift: NDArray[Any] | None,
        y: NDArray[Any],
    ) -> None:
        N, H, W, C = images.shape
        step = max(1, PIECE // (H * W * C))
        wide_scale, wide_offset = np.tile(scale, W), np.tile(offset, W)
        moved = flip is not None or shift is not None

        def piece(number: int) -> None:
            first, last = number * step, min(N, (number + 1) * step)
            source = images[first:last]
            if moved:
                source = self.workers.scratch("moved", source.shape, np.uint8)
                for n in range(first, last):
                    rows, columns = _source_pixels(n, H, W, flip, shift)
                    source[n - first] = images[n][rows[:, None], columns]
            result = y[first:last].reshape(last - first, H, W * C)
            np.multiply(source.reshape(result.shape), wide_scale, out=result, dtype=y.dtype)
            result += wide_offset

        self.workers.run(piece, ceil_divide(N, step))


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
