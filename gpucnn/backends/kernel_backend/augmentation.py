"""Launches of the augmentation of images."""

from __future__ import annotations

from gpucnn.backends.interface.arrays import Array
from gpucnn.backends.interface.augmentation import AugmentationOperations
from gpucnn.backends.kernel_backend.arrays import (
    VECTOR,
    KernelArrays,
    as_int,
    ceil_divide,
    image_grid,
)


class KernelAugmentation(KernelArrays, AugmentationOperations):
    """Four neighbouring elements of the result a thread; images along the grid's y."""

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
