"""Random numbers to what the backend takes: matrices, factors, rectangles, partners.

Everything here is drawn on the host, once for all backends. A sample's numbers are keyed by the
seed, the epoch and the sample's place in the data set. Elementary functions are those of the
``math`` module, since NumPy's may differ in the last bit with a number's place in its array.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gpucnn import random
from gpucnn.operations.augmentation import ONE

Floats = NDArray[np.float64]

MIDDLE = 128
"""The grey value that a change of contrast leaves as it is."""
_QUANTILES = 4096
"""Places of the distribution of a mixing share that are tabulated."""


@dataclass(frozen=True)
class Sample:
    """Which samples are drawn for.

    Attributes:
        seed: of the run.
        epoch: the number of the pass over the data.
        indices: integers (n,), the samples' places in the data set.
        image_shape: (H, W, C).
    """

    seed: int
    epoch: int
    indices: NDArray[np.integer]
    image_shape: tuple[int, int, int]

    def words(self, stream: random.Stream, each: int = 1) -> NDArray[np.uint32]:
        """Random words, ``each`` of them for every sample, (n, each)."""
        positions = each * self.indices.astype(np.int64)[:, None] + np.arange(each)
        flat = random.words_at(self.seed, stream, self.epoch, positions.reshape(-1))
        return flat.reshape(-1, each)

    def uniform(self, stream: random.Stream, each: int) -> Floats:
        """Random numbers in [0, 1), ``each`` of them for every sample, (each, n)."""
        return np.asarray(random.to_uniform(self.words(stream, each)).T, np.float64)


def flips(of: Sample) -> NDArray[np.uint8]:
    """1 for an image to mirror, (n,)."""
    return (of.words(random.Stream.FLIP)[:, 0] >> np.uint32(31)).astype(np.uint8)


def alternating_flips(of: Sample) -> NDArray[np.uint8]:
    """As ``flips`` in epoch 0; then each image is mirrored in every other epoch."""
    first = Sample(of.seed, 0, of.indices, of.image_shape)
    return flips(first) ^ np.uint8(of.epoch % 2)


def shifts(of: Sample, rows: int, columns: int) -> NDArray[np.int32]:
    """Whole pixels up to these in size, (n, 2)."""
    words = of.words(random.Stream.CROP, 2)
    most = (rows, columns)
    axes = [random.to_integers(words[:, k], -most[k], most[k] + 1) for k in range(2)]
    return np.stack(axes, axis=1)


def matrices(
    of: Sample,
    flip: NDArray[np.uint8] | None,
    shift: NDArray[np.int32] | None,
    rotation: float,
    least_area: float,
    most_aspect: float,
) -> NDArray[np.int32]:
    """From a place in the result to the place in the image, int32 (n, 6), in units of 2⁻¹⁶.

    The image is cropped or shifted, then rotated about its centre, then mirrored.

    Args:
        of: the samples.
        flip: as ``flips``, or None.
        shift: as ``shifts``, or None.
        rotation: the largest angle, in degrees; 0 for none.
        least_area: the smallest share of the image that is cropped and enlarged; 1 for none.
        most_aspect: the largest ratio of a crop's sides, in shares of the image's.
    """
    W = of.image_shape[1]
    total = np.tile(np.eye(3), (len(of.indices), 1, 1))
    if least_area < 1.0:
        total = total @ _crops(of, least_area, most_aspect)
    if shift is not None:
        total[:, :2, 2] += shift
    if rotation:
        total = total @ _rotations(of, rotation)
    if flip is not None:
        mirrored = np.array([[1.0, 0.0, 0.0], [0.0, -1.0, W - 1.0], [0.0, 0.0, 1.0]])
        total = np.where(flip[:, None, None] != 0, total @ mirrored, total)
    return np.rint(total[:, :2].reshape(-1, 6) * ONE).astype(np.int32)


def _crops(of: Sample, least_area: float, most_aspect: float) -> Floats:
    """Matrices (n, 3, 3) that enlarge a part of the image, anywhere in it, to the whole."""
    H, W, _ = of.image_shape
    area, aspect, down, right = of.uniform(random.Stream.RESIZED_CROP, 4)
    area = least_area + (1.0 - least_area) * area
    aspect = _each(math.exp, (2.0 * aspect - 1.0) * math.log(most_aspect))
    height = np.minimum(1.0, np.sqrt(area / aspect))
    width = np.minimum(1.0, np.sqrt(area * aspect))
    made = np.zeros((len(of.indices), 3, 3))
    made[:, 0, 0], made[:, 1, 1], made[:, 2, 2] = height, width, 1.0
    # The centre of the first pixel of the result lies half a pixel of its size from the corner.
    made[:, 0, 2] = down * (1.0 - height) * H + (height - 1.0) / 2.0
    made[:, 1, 2] = right * (1.0 - width) * W + (width - 1.0) / 2.0
    return made


def _rotations(of: Sample, rotation: float) -> Floats:
    """Matrices (n, 3, 3) that rotate about the centre of the image."""
    H, W, _ = of.image_shape
    (place,) = of.uniform(random.Stream.ROTATION, 1)
    angles = (2.0 * place - 1.0) * math.radians(rotation)
    cosine, sine = _each(math.cos, angles), _each(math.sin, angles)
    middle = (H - 1) / 2.0, (W - 1) / 2.0
    made = np.zeros((len(of.indices), 3, 3))
    made[:, 0, 0], made[:, 0, 1], made[:, 2, 2] = cosine, -sine, 1.0
    made[:, 1, 0], made[:, 1, 1] = sine, cosine
    made[:, 0, 2] = middle[0] - cosine * middle[0] + sine * middle[1]
    made[:, 1, 2] = middle[1] - sine * middle[0] - cosine * middle[1]
    return made


def colours(of: Sample, brightness: float, contrast: float, saturation: float) -> NDArray[np.int32]:
    """Factors of a pixel and of its grey value, and what is added: int32 (n, 3), in units of 2⁻¹⁶.

    With b, c and s each drawn evenly within 1 ± an argument, the pixel is multiplied by b; then its
    distance from 128 by c, and then its distance from its grey value by s.
    """
    most = np.array([[brightness], [contrast], [saturation]])
    b, c, s = 1.0 + most * (2.0 * of.uniform(random.Stream.COLOUR, 3) - 1.0)
    parts = [b * c * s, b * c * (1.0 - s), MIDDLE * (1.0 - c)]
    return np.asarray(np.rint(np.stack(parts, axis=1) * ONE), np.int32)


def holes(of: Sample, side: int) -> NDArray[np.int32]:
    """Squares (top, left, bottom, right) with their centre on any pixel, int32 (n, 4)."""
    H, W, _ = of.image_shape
    words = of.words(random.Stream.CUTOUT, 2)
    corner = np.stack([random.to_integers(words[:, k], 0, (H, W)[k]) for k in range(2)], axis=1)
    corner -= np.int32(side // 2)
    return np.hstack([corner, corner + np.int32(side)])


def mixing_shares(of: Sample, alpha: float) -> Floats:
    """Numbers of the distribution Beta(alpha, alpha), float64 (n,)."""
    (place,) = of.uniform(random.Stream.MIXING_SHARE, 1)
    half, quantiles = _half_of_beta(alpha)
    smaller = np.interp(1.0 - abs(2.0 * place - 1.0), half, quantiles)
    return np.asarray(np.where(place < 0.5, smaller, 1.0 - smaller))


@lru_cache(maxsize=8)
def _half_of_beta(alpha: float) -> tuple[Floats, Floats]:
    """Twice the distribution function of Beta(alpha, alpha) up to 1/2, at places that go with it.

    With x = s^k/2 and k = max(1, 1/alpha), the density in s, s^(k·alpha − 1)·(1 − x)^(alpha − 1)
    but for a factor, is finite everywhere, and is summed by the trapezoidal rule.
    """
    s = np.linspace(0.0, 1.0, _QUANTILES)
    k = max(1.0, 1.0 / alpha)
    x = _each(lambda each: 0.5 * each**k, s)
    density = _each(lambda each: each ** (k * alpha - 1.0), s)
    density *= _each(lambda each: (1.0 - each) ** (alpha - 1.0), x)
    cumulated = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
    return cumulated / cumulated[-1], x


def whole_mixes(of: Sample, alpha: float) -> NDArray[np.int32]:
    """Mixup: whole images, weighted; int32 (n, 6) as ``augment_images`` takes them."""
    H, W, _ = of.image_shape
    weight = np.rint(mixing_shares(of, alpha) * ONE).astype(np.int32)
    whole = np.tile(np.array([0, 0, H, W], np.int32), (len(weight), 1))
    return np.hstack([_partners(len(weight)), weight[:, None], whole])


def cut_mixes(of: Sample, alpha: float) -> NDArray[np.int32]:
    """CutMix: a rectangle of the partner, whose centre is on any pixel, as far as there is room."""
    H, W, _ = of.image_shape
    side = np.sqrt(1.0 - mixing_shares(of, alpha))
    words = of.words(random.Stream.CUTMIX, 2)
    bounds = []
    for axis, size in enumerate((H, W)):
        extent = np.rint(side * size).astype(np.int32)
        first = random.to_integers(words[:, axis], 0, size) - extent // 2
        bounds.append([first.clip(0, size), (first + extent).clip(0, size)])
    (top, bottom), (left, right) = bounds
    rectangles = np.stack([np.zeros_like(top), top, left, bottom, right], axis=1)
    return np.hstack([_partners(len(side)), rectangles])


def either(of: Sample, one: NDArray[np.int32], other: NDArray[np.int32]) -> NDArray[np.int32]:
    """The one or the other for each sample, as often."""
    (place,) = of.uniform(random.Stream.MIXING_KIND, 1)
    return np.where(place[:, None] < 0.5, one, other)


def own_shares(mix: NDArray[np.int32], image_shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """How much of each image is its own after mixing, float32 (n,)."""
    H, W, _ = image_shape
    weight, top, left, bottom, right = mix[:, 1:].astype(np.float64).T
    mixed = (bottom - top) * (right - left) / (H * W)
    return np.asarray(1.0 - mixed * (1.0 - weight / ONE), np.float32)


def _partners(n: int) -> NDArray[np.int32]:
    """The next image in the batch, and for the last one the first, (n, 1)."""
    return np.roll(np.arange(n, dtype=np.int32), -1)[:, None]


def _each(function: Callable[[float], float], values: Floats) -> Floats:
    return np.array([function(value) for value in values.tolist()])
