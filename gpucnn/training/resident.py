"""Data sets whose images stay on the device, so that only the indices of a batch are moved."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.base import Backend
from gpucnn.data import Dataset

_SHARE = 8
"""A data set may take this fraction, inverted, of the device's free memory."""


class ResidentImages(Dataset):
    """A data set with its images copied to the device.

    Args:
        backend: whose device.
        dataset: where the images come from; it is not needed afterwards.
    """

    on_device = True

    def __init__(self, backend: Backend, dataset: Dataset) -> None:
        self.image_shape, self.classes = dataset.image_shape, dataset.classes
        self.labels = dataset.labels
        self.targets, self.target_names = dataset.targets, dataset.target_names
        self._backend = backend
        self._images = backend.asarray(dataset.images(np.arange(len(dataset))))

    def images(self, indices: NDArray[np.integer]) -> Any:
        """An ``Array`` of the backend, uint8 (n, H, W, C), with the images at these indices."""
        return self._backend.take_images(self._images, self._backend.asarray(indices, np.int64))


class NearestImages:
    """Data sets with their images on the device if they fit; otherwise the data sets themselves.

    Args:
        backend: whose device. Each data set is copied once.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._resident: dict[Dataset, Dataset] = {}

    def of(self, dataset: Dataset) -> Dataset:
        """The data set with its images on the device if they fit, or itself."""
        if dataset not in self._resident and fits(self._backend, dataset):
            self._resident[dataset] = ResidentImages(self._backend, dataset)
        return self._resident.get(dataset, dataset)


def fits(backend: Backend, dataset: Dataset) -> bool:
    """Whether the device has memory of its own, and enough of it is free for these images.

    It is false for images that are on the device already.
    """
    if dataset.on_device:
        return False
    return len(dataset) * math.prod(dataset.image_shape) <= backend.free_memory() // _SHARE
