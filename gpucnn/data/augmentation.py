"""How training images are changed at random: the options, and the draws, not the pixels.

The backend changes the pixels (``augment_images``) by what is drawn here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpucnn.data import draws
from gpucnn.errors import ConfigError, check_range

_MOST_PADDING = 2**15
_MOST_ALPHA = 100.0
_SMALLEST_AREA = 0.01
_MOST_ASPECT = 10.0
_MOST_SIDE = 4096
"""Of images that are rotated or enlarged: the kernels count pixels in 32 bits, 16 of a fraction."""

CHANGES = ("flip", "shift", "warp", "colour", "hole", "mix")
"""The parts of a draw that the backend takes, by its names."""


@dataclass(frozen=True)
class Draw:
    """The augmentation of n images, as ``augment_images`` takes it; None for what is off.

    Attributes:
        flip: uint8 (n,), 1 for an image to mirror.
        shift: int32 (n, 2), rows and columns that a crop starts at, relative to the image's
            own corner.
        warp: int32 (n, 6), matrices in the place of both.
        colour: int32 (n, 3), factors and what is added.
        hole: int32 (n, 4), rectangles to cover.
        mix: int32 (n, 6), partners, weights and rectangles.
        own_share: float32 (n,), how much of the image is not its partner's.
    """

    flip: NDArray[np.uint8] | None = None
    shift: NDArray[np.int32] | None = None
    warp: NDArray[np.int32] | None = None
    colour: NDArray[np.int32] | None = None
    hole: NDArray[np.int32] | None = None
    mix: NDArray[np.int32] | None = None
    own_share: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Augmentation:
    """Random changes of training images, which leave their size as it is.

    Places outside an image are filled by reflection at its borders.

    Args:
        flip: mirror every other image, on average, left to right.
        alternating_flip: mirror each image in every other epoch, beginning at random.
        crop_padding: pad by this many reflected pixels on each side, then crop anywhere.
        translate: shift by up to this share of the height and of the width, by whole pixels.
        random_resized_crop: the smallest share of the area to crop, anywhere, and to enlarge to
            the whole size; 1 for no such crops.
        crop_aspect: the largest ratio of the sides of such a crop, in shares of the image's sides;
            the smallest is its inverse.
        rotation: rotate by up to this many degrees in either direction.
        cutout: fill a square, whose side is this many pixels, with the mean colour.
        brightness: multiply pixels by 1 ± up to this.
        contrast: multiply the distance of pixels from 128 by 1 ± up to this.
        saturation: multiply the distance of pixels from grey by 1 ± up to this; for images with
            three channels.
        mixup: the parameter of the distribution Beta(mixup, mixup) of the weight with which each
            image, and its label, is mixed with the next one in the batch; 0 for none.
        cutmix: the same, of the share that is not covered by a rectangle of the next image. With
            both, one of them is drawn for each image.

    Raises:
        ConfigError: a value out of its range, or two that exclude each other.
    """

    flip: bool = False
    alternating_flip: bool = False
    crop_padding: int = 0
    translate: float = 0.0
    random_resized_crop: float = 1.0
    crop_aspect: float = 4 / 3
    rotation: float = 0.0
    cutout: int = 0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        for name, least, most in (
            ("crop_padding", 0, _MOST_PADDING),
            ("translate", 0, 0.9),
            ("random_resized_crop", _SMALLEST_AREA, 1),
            ("crop_aspect", 1, _MOST_ASPECT),
            ("rotation", 0, 180),
            ("cutout", 0, _MOST_PADDING),
            ("brightness", 0, 1),
            ("contrast", 0, 1),
            ("saturation", 0, 1),
            ("mixup", 0, _MOST_ALPHA),
            ("cutmix", 0, _MOST_ALPHA),
        ):
            check_range(name, getattr(self, name), least, most)
        for one, other in (("flip", "alternating_flip"), ("crop_padding", "translate")):
            if getattr(self, one) and getattr(self, other):
                raise ConfigError(f"{one} and {other} do the same in two ways; set one of them")

    @property
    def mixes(self) -> bool:
        """Whether images are mixed, and so their labels."""
        return self.mixup > 0 or self.cutmix > 0

    @property
    def moves_only(self) -> bool:
        """Whether images are at most mirrored and shifted."""
        return self == Augmentation(
            flip=self.flip,
            alternating_flip=self.alternating_flip,
            crop_padding=self.crop_padding,
            translate=self.translate,
        )

    def check_images(self, image_shape: tuple[int, int, int]) -> None:
        """Raises ConfigError for changes that images (H, W, C) cannot have."""
        H, W, C = image_shape
        if self.crop_padding >= min(H, W):
            raise ConfigError(
                f"crop_padding is {self.crop_padding}; it must be less than the sides of the "
                f"images, which are {H}×{W}"
            )
        if self.saturation and C != 3:
            raise ConfigError(
                f"saturation is {self.saturation:g}; the images have {C} channel"
                f"{'s' * (C != 1)}, and only those with three have colours: set it to 0"
            )
        if self._warps and max(H, W) > _MOST_SIDE:
            raise ConfigError(
                f"images of {H}×{W} are too large for rotation and random_resized_crop, which "
                f"take sides of up to {_MOST_SIDE:,} pixels"
            )

    def check_targets(self, target_names: Sequence[str]) -> None:
        """Raises ConfigError for what the numbers of a regression, if there are any, cannot have.

        Between two images, the numbers of one with a piece of the other are not half way.
        """
        if self.cutmix and target_names:
            raise ConfigError(
                f"cutmix is {self.cutmix:g}; the data has numbers to predict, and only classes "
                f"can be mixed by pieces of images: set it to 0, and use mixup"
            )

    @property
    def _warps(self) -> bool:
        return self.rotation > 0 or self.random_resized_crop < 1

    def draw(
        self,
        seed: int,
        epoch: int,
        indices: NDArray[np.integer],
        image_shape: tuple[int, int, int],
    ) -> Draw:
        """The augmentation of the samples ``indices`` (n,) of a data set with such images.

        A sample's draw is the same in whatever batch it comes, so no batch size, resumption or
        number of processes changes it; except for its partner, which is the next in the batch.
        """
        of = draws.Sample(seed, epoch, indices, image_shape)
        flip, shift, warp = self._flips(of), self._shifts(of), None
        if self._warps:
            crop = self.random_resized_crop, self.crop_aspect
            warp = draws.matrices(of, flip, shift, self.rotation, *crop)
            flip = shift = None
        factors = self.brightness, self.contrast, self.saturation
        mix = self._mixes(of)
        return Draw(
            flip,
            shift,
            warp,
            draws.colours(of, *factors) if any(factors) else None,
            draws.holes(of, self.cutout) if self.cutout else None,
            mix,
            None if mix is None else draws.own_shares(mix, image_shape),
        )

    def _flips(self, of: draws.Sample) -> NDArray[np.uint8] | None:
        if self.alternating_flip:
            return draws.alternating_flips(of)
        return draws.flips(of) if self.flip else None

    def _shifts(self, of: draws.Sample) -> NDArray[np.int32] | None:
        H, W, _ = of.image_shape
        if self.translate:
            return draws.shifts(of, int(self.translate * H), int(self.translate * W))
        padding = self.crop_padding
        return draws.shifts(of, padding, padding) if padding else None

    def _mixes(self, of: draws.Sample) -> NDArray[np.int32] | None:
        kinds = []
        if self.mixup:
            kinds.append(draws.whole_mixes(of, self.mixup))
        if self.cutmix:
            kinds.append(draws.cut_mixes(of, self.cutmix))
        if len(kinds) == 2:
            return draws.either(of, *kinds)
        return kinds[0] if kinds else None
