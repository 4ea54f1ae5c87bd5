"""The mean and standard deviation that images are normalised with."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.dataset import Dataset
from gpucnn.errors import DataError

_CHUNK_BYTES = 1 << 22


@dataclass(frozen=True)
class Normalisation:
    """Per channel, of pixels in [0, 1]: an input is (pixel − mean)/std."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


def no_normalisation(channels: int) -> Normalisation:
    """What leaves pixels in [0, 1]."""
    return Normalisation((0.0,) * channels, (1.0,) * channels)


def channel_statistics(dataset: Dataset) -> Normalisation:
    """The exact mean and (population) standard deviation of each channel.

    A channel that has one value everywhere gets the standard deviation 1.

    Raises:
        DataError: there are no images.
    """
    if len(dataset) == 0:
        raise DataError("there are no images to take the mean and standard deviation of")
    moments = [_moments(counts) for counts in _histograms(dataset)]
    return Normalisation(
        mean=tuple(mean for mean, _ in moments), std=tuple(std or 1.0 for _, std in moments)
    )


def _histograms(dataset: Dataset) -> NDArray[np.int64]:
    """How often each byte occurs, (C, 256). Counts, so the chunks leave no trace in the result."""
    C = dataset.image_shape[-1]
    step = max(1, _CHUNK_BYTES // math.prod(dataset.image_shape))
    counts = np.zeros((C, 256), np.int64)
    for first in range(0, len(dataset), step):
        images = dataset.images(np.arange(first, min(first + step, len(dataset))))
        for channel in range(C):
            counts[channel] += np.bincount(images[..., channel].reshape(-1), minlength=256)
    return counts


def _moments(counts: NDArray[np.int64]) -> tuple[float, float]:
    """Mean and standard deviation from the counts of each byte, (256,): integers to the last."""
    occurrences = [int(count) for count in counts]
    total = sum(occurrences)
    first = sum(value * count for value, count in enumerate(occurrences))
    second = sum(value * value * count for value, count in enumerate(occurrences))
    mean = first / (255 * total)
    variance = (total * second - first * first) / (255 * total) ** 2
    return mean, math.sqrt(variance)
