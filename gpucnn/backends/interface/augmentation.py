"""From bytes to a normalised, augmented input, in one pass."""

from __future__ import annotations

import numpy as np

from gpucnn.backends.interface.arrays import Array, ArrayOperations
from gpucnn.operations.augmentation import AugmentImages
from gpucnn.operations.images import TakeImages


class AugmentationOperations(ArrayOperations):
    """Augmentation and normalisation of images; and taking some of many."""

    def take_images(self, images: Array, indices: Array) -> Array:
        """y[n] = images[indices[n]]: a batch from images that are all on the device.

        Args:
            images: uint8 (M, H, W, C).
            indices: int64 (N,), each in [0, M), which is not checked.

        Returns:
            uint8 (N, H, W, C).
        """
        all_images = self._shape("images", images, np.uint8)
        taken = self._shape("indices", indices, np.int64)
        return self.run(TakeImages.of(self.dtypes, all_images, taken), images, indices, None)[0]

    def augment_images(
        self,
        images: Array,
        scale: Array,
        offset: Array,
        flip: Array | None = None,
        shift: Array | None = None,
        warp: Array | None = None,
        colour: Array | None = None,
        hole: Array | None = None,
        fill: Array | None = None,
        mix: Array | None = None,
    ) -> Array:
        """y = v·scale + offset, with v the bytes after moving, colouring, covering and mixing them.

        v is computed in whole numbers, so it is the same on every backend; the formulas are those
        of ``operations.augmentation.AugmentImages``. Numbers that are called fractions are in units
        of 2⁻¹⁶. A rectangle is (top, left, bottom, right), its last row and column outside it; it
        may go beyond the image or be empty. What is not given changes nothing.

        Args:
            images: uint8 (N, H, W, C).
            scale: (C,), 1/(255·std).
            offset: (C,), −mean/std.
            flip: uint8 (N,), 1 to mirror an image left to right.
            shift: int32 (N, 2) of rows and columns, each smaller in size than H and W: the place
                of a crop in an image that was padded by reflection.
            warp: int32 (N, 6) in the place of ``flip`` and ``shift``, fractions: from row, column
                and 1 in the result to the row, and then to the column, in the image, which is
                reflected at its borders and interpolated. These rows and columns must be smaller
                than 2¹⁴ in size.
            colour: int32 (N, 3), fractions: the factors of a pixel and of its grey value (0
                if there are not three channels), smaller than 2⁴ in size, and what is added,
                smaller than 2¹² in size.
            hole: int32 (N, 4), a rectangle to fill.
            fill: uint8 (C,), with what; given with ``hole``.
            mix: int32 (N, 6): the index in the batch of another image, the weight of the image
                itself against that one, a fraction in [0, 1], and the rectangle that is mixed.

        Returns:
            (N, H, W, C) in the backend's dtype.

        Raises:
            ShapeError: also for flips or shifts beside a warp.
        """
        shape = self._shape("images", images, np.uint8)
        parts = (each is not None for each in (flip, shift, warp, colour, hole, mix))
        problem = AugmentImages.of(self.dtypes, shape, *parts)
        arrays = (images, scale, offset, flip, shift, warp, colour, hole, fill, mix, None)
        return self.run(problem, *arrays)[0]
