"""From bytes to a normalised, augmented input, in one pass."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from gpucnn.backends.interface.arrays import Array, ArrayOperations
from gpucnn.errors import ShapeError


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
        self._check_images(images)
        self._check("indices", indices, dtype=np.int64)
        if indices.ndim != 1:
            raise ShapeError(f"indices have shape {indices.shape}; expected (N,)")
        y = self.empty((indices.size, *images.shape[1:]), np.uint8)
        self._take_images(images, indices, y)
        return y

    def augment_images(
        self,
        images: Array,
        scale: Array,
        offset: Array,
        flip: Array | None = None,
        shift: Array | None = None,
    ) -> Array:
        """y[n,h,w,c] = images[n, ρ(h + shift[n,0]), σ(ρ(w + shift[n,1])), c]·scale[c] + offset[c].

        ρ reflects an index at the borders without repeating the edge; σ mirrors it where
        flip[n] is 1. A shift is the place of a crop in an image that was padded by reflection.

        Args:
            images: uint8 (N, H, W, C).
            scale: (C,), 1/(255·std).
            offset: (C,), −mean/std.
            flip: uint8 (N,), or None for no flips.
            shift: int32 (N, 2) of rows and columns, each smaller in size than H and W; or None.

        Returns:
            (N, H, W, C) in the backend's dtype.
        """
        self._check_images(images)
        N, _, _, C = images.shape
        self._check("scale", scale, (C,))
        self._check("offset", offset, (C,))
        if flip is not None:
            self._check("flip", flip, (N,), np.uint8)
        if shift is not None:
            self._check("shift", shift, (N, 2), np.int32)
        y = self.empty(images.shape)
        self._augment_images(images, scale, offset, flip, shift, y)
        return y

    def _check_images(self, images: Array) -> None:
        self._check("images", images, dtype=np.uint8)
        if images.ndim != 4:
            raise ShapeError(f"images have shape {images.shape}; expected (N, H, W, C)")

    @abstractmethod
    def _take_images(self, images: Array, indices: Array, y: Array) -> None: ...

    @abstractmethod
    def _augment_images(
        self,
        images: Array,
        scale: Array,
        offset: Array,
        flip: Array | None,
        shift: Array | None,
        y: Array,
    ) -> None: ...
