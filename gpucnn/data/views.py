"""Several views of the same images, whose predictions are averaged: test-time augmentation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpucnn.data.augmentation import Draw
from gpucnn.errors import ConfigError, did_you_mean, shortened

VIEWS = ("flip", "shift", "flip+shift")
"""Names of sets of views: the image and its mirror image; the image, and shifted by a pixel up,
down, left and right; all of these and their mirror images."""

_SHIFTS = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))


def check_views(name: str | None) -> None:
    """Raises ConfigError for what is no name of views; None is none."""
    if name is not None and name not in VIEWS:
        raise ConfigError(f'tta is "{shortened(name)}"; {did_you_mean(name, VIEWS)}')


def views(name: str | None, n: int, image_shape: tuple[int, int, int]) -> Sequence[Draw | None]:
    """What to change n images by, once for each view; the first is the image itself.

    Args:
        name: one of ``VIEWS``, or None for the image alone.
        n: how many images.
        image_shape: (H, W, C).

    Raises:
        ConfigError: another name.
    """
    check_views(name)
    if name is None:
        return (None,)
    H, W, _ = image_shape
    mirrored = (0, 1) if "flip" in name else (0,)
    shifts = _SHIFTS if "shift" in name else _SHIFTS[:1]
    return [
        Draw(
            flip=np.full(n, flip, np.uint8),
            # An image of one row or column has nothing to be shifted by.
            shift=np.tile(np.array([down * (H > 1), right * (W > 1)], np.int32), (n, 1)),
        )
        for flip in mirrored
        for down, right in shifts
    ]
