"""The data set that comes with the package, so that a first run needs no download."""

from __future__ import annotations

import gzip
from importlib import resources

import numpy as np

from gpucnn.data.dataset import ArrayDataset, DatasetPair, Subset, datasets, place_in_class

_SIDE = 8
_HIGHEST = 16
_EVERY = 5


@datasets.register("digits")
def digits() -> DatasetPair:
    """1,797 handwritten digits, 8×8 grey: small enough to learn in seconds on any machine.

    The split is fixed: of each class, in the order of the file, every fifth image is a test image
    (1,442 to train on, 355 to test on). Values from 0 to 16 are scaled to bytes from 0 to 255.

    Source and licence: ``digits.LICENCE.txt``, next to this file.
    """
    packed = resources.files("gpucnn.data").joinpath("digits.csv.gz").read_bytes()
    text = gzip.decompress(packed).replace(b"\n", b",")
    rows = np.fromstring(text, np.int32, sep=",").reshape(-1, _SIDE * _SIDE + 1)
    # With half of the divisor added first, the integer quotient is rounded.
    pixels = (rows[:, :-1] * 255 + _HIGHEST // 2) // _HIGHEST
    images = pixels.astype(np.uint8).reshape(-1, _SIDE, _SIDE, 1)
    labels = rows[:, -1].copy()
    whole = ArrayDataset(images, labels, tuple("0123456789"))
    is_test = place_in_class(labels) % _EVERY == _EVERY - 1
    return DatasetPair(
        Subset(whole, np.flatnonzero(~is_test)), Subset(whole, np.flatnonzero(is_test))
    )
