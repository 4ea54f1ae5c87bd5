"""What a data set is: 8-bit images, each with a class, or with numbers to predict."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.class_names import first_difference, listed
from gpucnn.data.targets import check_targets
from gpucnn.errors import DataError, ShapeError
from gpucnn.registry import Registry

_CHUNK_BYTES = 1 << 22


class Dataset(ABC):
    """Images of one size with a label each, or with numbers to predict: a regression.

    Attributes:
        image_shape: (H, W, C).
        classes: the name of each label; empty in a regression.
        labels: int32 (N,), each the index of a class; all 0 in a regression.
        targets: float32 (N, T), what is to be predicted: in a regression the numbers, in their own
            units; with soft labels, the share of each class, the largest of which is that of the
            label. None if there are only labels.
        target_names: the name of each number, in a regression; otherwise empty.
        on_demand: whether ``images`` reads and decodes files, so that batches are best requested
            ahead of time.
        threads: how many threads may call ``images`` at the same time, if it is on demand.
        on_device: whether ``images`` returns arrays of a backend.
    """

    image_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    labels: NDArray[np.int32]
    targets: NDArray[np.float32] | None = None
    target_names: tuple[str, ...] = ()
    on_demand: bool = False
    threads: int = 1
    on_device: bool = False
    _fingerprint: str | None = None

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

    def fingerprint(self) -> str:
        """A SHA-256, in hexadecimal, of classes, labels, targets and images in their order.

        It is the same for the same data in another place, in memory or not. It is computed once.
        Data sets whose images are on a device have none.

        Raises:
            DataError: a file is missing or cannot be read.
        """
        if self._fingerprint is None:
            self._fingerprint = self._compute_fingerprint()
        return self._fingerprint

    def _compute_fingerprint(self) -> str:
        """Of the images' bytes, unless a subclass has something quicker that identifies them."""
        digest = hashlib.sha256(f"{self.image_shape} {self.classes!a}\0".encode())
        digest.update(self.labels.astype("<i4").tobytes())
        if self.targets is not None:
            digest.update(f"{self.target_names!a}\0".encode())
            digest.update(self.targets.astype("<f4").tobytes())
        step = max(1, _CHUNK_BYTES // max(1, math.prod(self.image_shape)))
        for first in range(0, len(self), step):
            digest.update(self.images(np.arange(first, min(first + step, len(self)))).data)
        return digest.hexdigest()


class ArrayDataset(Dataset):
    """A data set in memory.

    Args:
        images: uint8 (N, H, W, C).
        labels: int32 (N,), each in [0, number of classes).
        classes: the name of each label; empty in a regression.
        fingerprint: returns that of the data set that the images were read from; None to compute
            it from the arrays.
        targets: float32 (N, T), the numbers of a regression, or soft labels; None for neither.
        target_names: the name of each number, in a regression.

    Raises:
        ShapeError: shapes or dtypes other than these.
        DataError: a label out of range, a number that is not finite, or soft labels that are not
            the shares of a whole.
    """

    def __init__(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.int32],
        classes: Sequence[str],
        fingerprint: Callable[[], str] | None = None,
        targets: NDArray[np.float32] | None = None,
        target_names: Sequence[str] = (),
    ) -> None:
        _check_array("images", images, np.uint8, "(N, H, W, C)", 4)
        _check_array("labels", labels, np.int32, "(N,)", 1)
        if len(images) != len(labels):
            raise ShapeError(f"there are {len(images)} images and {len(labels)} labels")
        check_targets(targets, len(labels), classes, target_names)
        wrong = np.flatnonzero((labels < 0) | (labels >= (1 if target_names else len(classes))))
        if wrong.size:
            raise DataError(
                f"label {labels[wrong[0]]} of image {wrong[0]} is out of range: "
                f"there are {len(classes)} classes, so labels go from 0 to {len(classes) - 1}"
            )
        _, H, W, C = images.shape
        self.image_shape = (H, W, C)
        self.classes = tuple(classes)
        self.labels = labels
        self.targets, self.target_names = targets, tuple(target_names)
        self._images = np.ascontiguousarray(images)
        self._source_fingerprint = fingerprint

    def images(self, indices: NDArray[np.integer]) -> NDArray[np.uint8]:
        """A copy of the images at these indices."""
        return np.take(self._images, indices, axis=0)

    def _compute_fingerprint(self) -> str:
        if self._source_fingerprint is None:
            return super()._compute_fingerprint()
        fingerprint = self._source_fingerprint()
        self._source_fingerprint = None  # which may refer to much
        return fingerprint


def _check_array(name: str, array: NDArray[Any], dtype: type, shape: str, ndim: int) -> None:
    if array.dtype != dtype or array.ndim != ndim:
        raise ShapeError(
            f"{name} are {array.dtype} {array.shape}; expected {np.dtype(dtype)} {shape}"
        )


def in_memory(dataset: Dataset) -> ArrayDataset:
    """The data set with all of its images read and decoded; its fingerprint stays the same.

    Raises:
        DataError: an image's file is missing or damaged.
    """
    images = dataset.images(np.arange(len(dataset)))
    fingerprint = dataset.fingerprint()  # a string, so that the data set itself is not kept
    return ArrayDataset(
        images,
        dataset.labels,
        dataset.classes,
        lambda: fingerprint,
        dataset.targets,
        dataset.target_names,
    )


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
        self.targets = None if dataset.targets is None else dataset.targets[indices]
        self.target_names = dataset.target_names
        self.on_demand, self.threads = dataset.on_demand, dataset.threads
        self._dataset = dataset
        self._indices = indices

    def images(self, indices: NDArray[np.integer]) -> NDArray[np.uint8]:
        """The images at these places of the subset."""
        return self._dataset.images(self._indices[indices])

    def _compute_fingerprint(self) -> str:
        digest = hashlib.sha256(self._dataset.fingerprint().encode())
        digest.update(self._indices.astype("<i8").tobytes())
        return digest.hexdigest()


def place_in_class(labels: NDArray[np.int32]) -> NDArray[np.int64]:
    """How many earlier images have the same label, (N,)."""
    by_class = np.argsort(labels, kind="stable")
    counts = np.bincount(labels)
    first = np.cumsum(counts) - counts
    place = np.empty(len(labels), np.int64)
    place[by_class] = np.arange(len(labels)) - np.repeat(first, counts)
    return place


@dataclass(frozen=True)
class DatasetPair:
    """What a model learns from and what it is tested on.

    Raises:
        DataError: the two differ in the shape of their images, in their classes or in what numbers
            they have; or there are fewer than two classes, and no numbers.
    """

    train: Dataset
    test: Dataset

    def __post_init__(self) -> None:
        train, test = self.train, self.test
        if train.image_shape != test.image_shape:
            raise DataError(
                f"training and test data differ in image_shape (height, width, channels): "
                f"{train.image_shape} and {test.image_shape}; bring both to one size"
            )
        if train.target_names != test.target_names:
            raise DataError(
                f"training and test data differ in what is to be predicted: "
                f"{listed(train.target_names) or 'classes'} and "
                f"{listed(test.target_names) or 'classes'}; give both the same"
            )
        if train.classes != test.classes:
            place, ours, theirs = first_difference(train.classes, test.classes)
            raise DataError(
                f"training and test data differ in classes: {len(train.classes):,} "
                f"({listed(train.classes)}) and {len(test.classes):,} ({listed(test.classes)}); "
                f"the first that differs is number {place}, {ours} and {theirs}"
            )
        if len(train.classes) < 2 and not train.target_names:
            what = f"one class, {listed(train.classes)}" if train.classes else "no classes"
            raise DataError(f"the data has {what}; training needs two classes or more")


class DataShape(NamedTuple):
    """What a model depends on.

    Attributes:
        image_shape: (H, W, C).
        outputs: the number of classes, or of the numbers to predict.
        is_regression: whether it is the latter.
    """

    image_shape: tuple[int, int, int]
    outputs: int
    is_regression: bool = False


datasets: Registry[DatasetPair] = Registry("data set")
