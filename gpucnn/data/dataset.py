"""What a data set is: images of bytes, labels and the names of the classes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.errors import DataError, ShapeError
from gpucnn.registry import Registry


class Dataset(ABC):
    """Images of one size with a label each.

    Attributes:
        image_shape: (H, W, C).
        classes: the name of each label.
        labels: int32 (N,), each the index of a class.
        on_demand: whether ``images`` has to read and decode files, so that it pays to ask early.
        on_device: whether ``images`` gives arrays of a backend.
    """

    image_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    labels: NDArray[np.int32]
    on_demand: bool = False
    on_device: bool = False

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def images(self, indices: NDArray[np.integer]) -> NDArray[np.uint8]:
        """The images at these indices.

        Args:
            indices: integers (n,).

        Returns:
            uint8 (n, H, W, C), contiguous, which the caller may change.

        Raises:
            DataError: an image's file is missing or damaged.
        """


class ArrayDataset(Dataset):
    """A data set in memory.

    Args:
        images: uint8 (N, H, W, C).
        labels: int32 (N,), each in [0, number of classes).
        classes: the name of each label.

    Raises:
        ShapeError: shapes or dtypes other than these.
        DataError: a label out of range.
    """

    def __init__(
        self, images: NDArray[np.uint8], labels: NDArray[np.int32], classes: Sequence[str]
    ) -> None:
        _check_array("images", images, np.uint8, "(N, H, W, C)", 4)
        _check_array("labels", labels, np.int32, "(N,)", 1)
        if len(images) != len(labels):
            raise ShapeError(f"there are {len(images)} images and {len(labels)} labels")
        wrong = np.flatnonzero((labels < 0) | (labels >= len(classes)))
        if wrong.size:
            raise DataError(
                f"label {labels[wrong[0]]} of image {wrong[0]} is out of range: "
                f"there are {len(classes)} classes, so labels go from 0 to {len(classes) - 1}"
            )
        _, H, W, C = images.shape
        self.image_shape = (H, W, C)
        self.classes = tuple(classes)
        self.labels = labels
        self._images = np.ascontiguousarray(images)

    def images(self, indices: NDArray[np.integer]) -> NDArray[np.uint8]:
        """A copy of the images at these indices."""
        return np.take(self._images, indices, axis=0)


def _check_array(name: str, array: NDArray[Any], dtype: type, shape: str, ndim: int) -> None:
    if array.dtype != dtype or array.ndim != ndim:
        raise ShapeError(
            f"{name} are {array.dtype} {array.shape}; expected {np.dtype(dtype)} {shape}"
        )


def in_memory(dataset: Dataset) -> ArrayDataset:
    """The data set with all of its images read and decoded.

    Raises:
        DataError: an image's file is missing or damaged.
    """
    images = dataset.images(np.arange(len(dataset)))
    return ArrayDataset(images, dataset.labels, dataset.classes)


class Subset(Dataset):
    """Some of the images of a data set, in the order of ``indices``.

    Args:
        dataset: where the images come from.
        indices: integers (n,), each in [0, N).

    Raises:
        ShapeError: indices that are not such integers.
    """

    def __init__(self, dataset: Dataset, indices: NDArray[np.integer]) -> None:
        if indices.ndim != 1 or not np.issubdtype(indices.dtype, np.integer):
            raise ShapeError(f"indices are {indices.dtype} {indices.shape}; expected integers (n,)")
        wrong = indices[(indices < 0) | (indices >= len(dataset))]
        if wrong.size:
            raise ShapeError(f"index {wrong[0]} is out of range: there are {len(dataset)} images")
        self.image_shape = dataset.image_shape
        self.classes = dataset.classes
        self.labels = dataset.labels[indices]
        self.on_demand = dataset.on_demand
        self._dataset = dataset
        self._indices = indices

    def images(self, indices: NDArray[np.integer]) -> NDArray[np.uint8]:
        """The images at these places of the subset."""
        return self._dataset.images(self._indices[indices])


@dataclass(frozen=True)
class DatasetPair:
    """What a model learns from and what it is tested on.

    Raises:
        DataError: the two differ in their images' shape or in their classes, of which there must
            be two or more.
    """

    train: Dataset
    test: Dataset

    def __post_init__(self) -> None:
        for name in ("image_shape", "classes"):
            train, test = getattr(self.train, name), getattr(self.test, name)
            if train != test:
                raise DataError(f"training and test data differ in {name}: {train} and {test}")
        if len(self.train.classes) < 2:
            raise DataError(f"there is one class, {self.train.classes}; it takes two to tell apart")


datasets: Registry[DatasetPair] = Registry("data set")
