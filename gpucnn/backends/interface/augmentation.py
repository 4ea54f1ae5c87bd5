"""From bytes to a normalised, augmented input, in one pass."""

from __future__ import annotations

import numpy as np

from gpucnn.backends.interface.arrays import Array, ArrayOperations
from gpucnn.operations.augmentation import AugmentImages, TakeImages


class AugmentationOperations(ArrayOperations):
    """Normalisation, flip and reflect-padded crop of images; and taking some of many."""

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
    ) -> Array:
        """y[n,h,w,c] = images[n, ρ(h + shift[n,0]), σ(ρ(w + shift[n,1])), c]·scale[c] + offset[c].

        ρ reflects an index at the borders without repeating the edge; σ mirrors it if flip[n] is
        1. A shift is the place of a crop in an image that was padded by reflection.

        Args:
            images: uint8 (N, H, W, C).
            scale: (C,), 1/(255·std).
            offset: (C,), −mean/std.
            flip: uint8 (N,), or None for no flips.
            shift: int32 (N, 2) of rows and columns, each smaller in size than H and W; or None.

        Returns:
            (N, H, W, C) in the backend's dtype.
        """
        shape = self._shape("images", images, np.uint8)
        problem = AugmentImages.of(self.dtypes, shape, flip is not None, shift is not None)
        return self.run(problem, images, scale, offset, flip, shift, None)[0]
