"""Data sets whose images stay on the device, so that a batch moves nothing but its indices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.base import Backend
from gpucnn.backends.kernel_backend import KernelBackend
from gpucnn.data import Dataset

_SHARE = 8
"""A data set may have one part in so many of the device's free memory."""


class ResidentImages(Dataset):
    """A data set with its images copied to the device.

    Args:
        backend: whose device.
        dataset: where the images come from; it is not needed any more.
    """

    on_device = True

    def __init__(self, backend: Backend, dataset: Dataset) -> None:
        self.image_shape, self.classes = dataset.image_shape, dataset.classes
        self.labels = dataset.labels
        self._backend = backend
        self._images = backend.asarray(dataset.images(np.arange(len(dataset))))

    def images(self, indices: NDArray[np.integer]) -> Any:
        """An ``Array`` of the backend, uint8 (n, H, W, C), with the images at these indices."""
        return self._backend.take_images(self._images, self._backend.asarray(indices, np.int64))


class NearestImages:
    """Data sets with their images on the device, where they fit, or else themselves.

    Args:
        backend: whose device. Each data set is copied once.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._resident: dict[Dataset, Dataset] = {}

    def of(self, dataset: Dataset) -> Dataset:
        """The data set as near as it can be."""
        if dataset not in self._resident and fits(self._backend, dataset):
            self._resident[dataset] = ResidentImages(self._backend, dataset)
        return self._resident.get(dataset, dataset)


def fits(backend: Backend, dataset: Dataset) -> bool:
    """Whether the device has memory of its own, and enough of it is free for these images.

    Images that are on the device already need no other place.
    """
    if dataset.on_device:
        return False
    return len(dataset) * math.prod(dataset.image_shape) <= free_memory(backend) // _SHARE


def free_memory(backend: Backend) -> int:
    """Bytes that arrays may still take of a device's own memory; 0 if they are in the host's."""
    return backend.device.free_memory() if isinstance(backend, KernelBackend) else 0
