"""Which images are mirrored and where they are cropped: the draws, not the pixels.

The backend moves the pixels (``augment_images``) by what is drawn here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpucnn import random
from gpucnn.errors import ConfigError, check_range

_MOST_PADDING = 2**15


@dataclass(frozen=True)
class Draw:
    """The augmentation of n images.

    Attributes:
        flip: uint8 (n,), 1 for an image to mirror; None where flips are off.
        shift: int32 (n, 2), rows and columns that a crop starts at, relative to the image's
            own corner; None where crops are off.
    """

    flip: NDArray[np.uint8] | None
    shift: NDArray[np.int32] | None


@dataclass(frozen=True)
class Augmentation:
    """Random changes of training images, which leave their size as it is.

    Args:
        flip: mirror every other image, on average, left to right.
        crop_padding: pad by so many reflected pixels on each side, then crop anywhere.

    Raises:
        ConfigError: a padding that is negative, or larger than any image.
    """

    flip: bool = False
    crop_padding: int = 0

    def __post_init__(self) -> None:
        check_range("crop_padding", self.crop_padding, 0, _MOST_PADDING)

    def check_images(self, image_shape: tuple[int, int, int]) -> None:
        """Raises ConfigError for crops padded by as much as a side of images (H, W, C), or more."""
        H, W, _ = image_shape
        if self.crop_padding >= min(H, W):
            raise ConfigError(
                f"crop_padding is {self.crop_padding}; it must be less than the sides of the "
                f"images, which are {H}×{W}"
            )

    def draw(self, seed: int, epoch: int, indices: NDArray[np.integer]) -> Draw:
        """The augmentation of the samples ``indices`` (n,), which depends on nothing else.

        A sample's draw is the same in whatever batch it comes, so no batch size, resumption or
        number of processes changes it.
        """
        flip = self._flips(seed, epoch, indices) if self.flip else None
        shift = self._shifts(seed, epoch, indices) if self.crop_padding else None
        return Draw(flip, shift)

    def _flips(self, seed: int, epoch: int, indices: NDArray[np.integer]) -> NDArray[np.uint8]:
        words = random.words_at(seed, random.Stream.FLIP, epoch, indices)
        return (words >> np.uint32(31)).astype(np.uint8)

    def _shifts(self, seed: int, epoch: int, indices: NDArray[np.integer]) -> NDArray[np.int32]:
        positions = (2 * indices.astype(np.int64)[:, None] + np.arange(2)).reshape(-1)
        words = random.words_at(seed, random.Stream.CROP, epoch, positions)
        shifts = random.to_integers(words, -self.crop_padding, self.crop_padding + 1)
        return shifts.reshape(-1, 2)
