"""The mean and standard deviation by which images, and numbers to predict, are normalised."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.class_names import listed
from gpucnn.data.dataset import Dataset
from gpucnn.data.prefetch import WaitingTime, fetched_ahead
from gpucnn.errors import DataError
from gpucnn.progress import progress
from gpucnn.text import warn_once

_CHUNK_BYTES = 1 << 22
_CHUNKS_AHEAD = 2
_NAMES = {1: ("grey",), 3: ("red", "green", "blue")}


@dataclass(frozen=True)
class Normalisation:
    """Per channel, of pixels in [0, 1]: an input is (pixel − mean)/std; or per target."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


def no_normalisation(channels: int) -> Normalisation:
    """What leaves pixels in [0, 1], and targets in their units."""
    return Normalisation((0.0,) * channels, (1.0,) * channels)


def target_statistics(targets: NDArray[np.float32], names: Sequence[str]) -> Normalisation:
    """The mean and (population) standard deviation of each target; the same bits on any machine.

    One that has the same value in every image gets the standard deviation 1, and is reported on
    stderr.

    Args:
        targets: (N, T), N at least 1.
        names: of the T numbers.
    """
    moments = [_moments_of(column) for column in targets.T.astype(np.float64)]
    if constant := [name for name, (_, std) in zip(names, moments, strict=True) if not std]:
        warn_once(
            f"of the targets, {listed(constant)} has the same value for all training images; "
            f"check where it comes from"
        )
    return Normalisation(
        mean=tuple(mean for mean, _ in moments), std=tuple(std or 1.0 for _, std in moments)
    )


def normalised_variance(targets: NDArray[np.float32], normalisation: Normalisation) -> float:
    """The mean over all targets of the variance that they have once they are normalised."""
    moments = [_moments_of(column) for column in targets.T.astype(np.float64)]
    ratios = [own / std for (_, own), std in zip(moments, normalisation.std, strict=True)]
    return sum(ratio * ratio for ratio in ratios) / len(ratios)


def _moments_of(numbers: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and standard deviation; sums are rounded once."""
    low, high = float(numbers.min()), float(numbers.max())
    if low == high:
        return low, 0.0
    mean = math.fsum(numbers) / len(numbers)
    return mean, math.sqrt(math.fsum(np.square(numbers - mean)) / len(numbers))


def channel_statistics(dataset: Dataset) -> Normalisation:
    """The exact mean and (population) standard deviation of each channel.

    A channel that has one value everywhere gets the standard deviation 1, and is reported on
    stderr: nothing can be learned from it.

    Raises:
        DataError: there are no images.
    """
    if len(dataset) == 0:
        raise DataError("there are no images to take the mean and standard deviation of")
    histograms = _histograms(dataset)
    _report_constant(histograms)
    moments = [_moments(counts) for counts in histograms]
    return Normalisation(
        mean=tuple(mean for mean, _ in moments), std=tuple(std or 1.0 for _, std in moments)
    )


def _report_constant(histograms: NDArray[np.int64]) -> None:
    """One line about channels that have the same value in every pixel of every image."""
    names = _NAMES.get(len(histograms), range(len(histograms)))
    constant = [
        f"{name} ({counts.argmax()} everywhere)"
        for name, counts in zip(names, histograms, strict=True)
        if np.count_nonzero(counts) == 1
    ]
    if constant:
        channels = "a constant channel" if len(constant) == 1 else "constant channels"
        warn_once(
            f"the training images have {channels}: {', '.join(constant)}; nothing can be learned "
            f"from that, so check the images and how they were saved"
        )


def _histograms(dataset: Dataset) -> NDArray[np.int64]:
    """How often each byte occurs, (C, 256). Counts, so the chunks leave no trace in the result."""
    C = dataset.image_shape[-1]
    counts = np.zeros((C, 256), np.int64)
    with progress("measuring the images", len(dataset)) as advance:
        for images in _chunks(dataset):
            for channel in range(C):
                counts[channel] += np.bincount(images[..., channel].reshape(-1), minlength=256)
            advance(len(images))
    return counts


def _chunks(dataset: Dataset) -> Iterator[NDArray[np.uint8]]:
    """All images, a few at a time; they are fetched ahead if they are decoded on demand."""
    step = max(1, _CHUNK_BYTES // math.prod(dataset.image_shape))

    def fetch(first: int) -> NDArray[np.uint8]:
        return dataset.images(np.arange(first, min(first + step, len(dataset))))

    firsts = range(0, len(dataset), step)
    if not dataset.on_demand:
        return map(fetch, firsts)
    return fetched_ahead(fetch, firsts, _CHUNKS_AHEAD, dataset.threads, WaitingTime())


def _moments(counts: NDArray[np.int64]) -> tuple[float, float]:
    """Mean and standard deviation from the counts of each byte, (256,): integers to the last."""
    occurrences = [int(count) for count in counts]
    total = sum(occurrences)
    first = sum(value * count for value, count in enumerate(occurrences))
    second = sum(value * value * count for value, count in enumerate(occurrences))
    mean = first / (255 * total)
    variance = (total * second - first * first) / (255 * total) ** 2
    return mean, math.sqrt(variance)
