"""Launches that take images and augment them."""

from __future__ import annotations

import math

from gpucnn.backends.interface.arrays import Array
from gpucnn.backends.interface.augmentation import AugmentationOperations
from gpucnn.backends.kernel_backend.arrays import KernelArrays, image_grid
from gpucnn.launch.elementwise import VECTOR
from gpucnn.launch.launch import as_int
from gpucnn.operations.geometry import ceil_divide

_WIDTHS = (16, 4, 1)
"""Bytes that a thread moves at once; an image is a multiple of that, so each begins aligned."""


class KernelAugmentation(KernelArrays, AugmentationOperations):
    """Four neighbouring elements of the result a thread; images along the grid's y."""

    def _take_images(self, images: Array, indices: Array, y: Array) -> None:
        size = int(as_int(math.prod(images.shape[1:]), "H·W·C"))
        width = next(width for width in _WIDTHS if size % width == 0)
        self._launch(
            "take_images.cu",
            "take_images",
            image_grid(size // width, indices.size),
            (images, indices, y, as_int(indices.size, "N")),
            IMAGE=size,
            WIDTH=width,
        )

    def _augment_images(
        self,
        images: Array,
        scale: Array,
        offset: Array,
        flip: Array | None,
        shift: Array | None,
        y: Array,
    ) -> None:
        N, H, W, C = images.shape
        as_int(H * W * C, "H·W·C")
        self._launch(
            "augmentation.cu",
            "augment_images",
            image_grid(ceil_divide(H * W * C, VECTOR), N),
            (images, scale, offset, flip, shift, y, as_int(N, "N")),
            H=H,
            W=W,
            C=C,
            FLIP=flip is not None,
            SHIFT=shift is not None,
        )
