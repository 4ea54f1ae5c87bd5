"""Images and labels as arrays in an npz file."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.array_file import ArrayFile, open_arrays
from gpucnn.data.class_names import listed
from gpucnn.data.data_files import data_file
from gpucnn.data.dataset import ArrayDataset, DatasetPair, Subset, datasets
from gpucnn.data.stratified import check_test_options, split_off_test
from gpucnn.errors import DataError, shortened
from gpucnn.text import shown


@dataclass(frozen=True)
class _Names:
    """What the arrays are called: those to train on, and those to test on."""

    images: str
    labels: str
    test_images: str
    test_labels: str


_ALL_NAMES = (
    _Names("images", "labels", "test_images", "test_labels"),
    _Names("x_train", "y_train", "x_test", "y_test"),
    _Names("train_images", "train_labels", "test_images", "test_labels"),
)
_CLASSES = "classes"
_LONGEST_CLASS = 1 << 10
_FEW_CHANNELS = (1, 3, 4)


@datasets.register("npz")
def npz(path: str, test_share: float = 0.2, split_seed: int = 0) -> DatasetPair:
    """Arrays in an npz file, as numpy's savez and savez_compressed write them.

    Images are uint8 (N, H, W) or (N, H, W, C), from 0 to 255. Labels are whole numbers from 0,
    (N,) or (N, 1). They are called images and labels; or x_train, y_train, x_test and y_test; or
    train_images, train_labels, test_images and test_labels. The names of the classes may be there
    as an array of text, classes (K,).

    Args:
        path: of the file.
        test_share: the share of the images that is split off to test on, of each class, if the file
            has no arrays to test on.
        split_seed: which images these are. It is not the run's seed, so runs with different seeds
            are tested on the same images.

    Raises:
        ConfigError: an option that is out of range.
        DataError: the file is missing or damaged, or its arrays are not such ones.
    """
    check_test_options(test_share, split_seed)
    with open_arrays(data_file(path, "an npz file")) as file:
        names, has_test = _find(file)
        images, labels = _read(file, names.images, names.labels)
        classes = _class_names(file, names.labels, labels)
        if has_test:
            test_images, test_labels = _read(file, names.test_images, names.test_labels)
            _check_range(file, names.test_labels, test_labels, len(classes))
    whole = ArrayDataset(images, labels.astype(np.int32), classes)
    if has_test:
        return DatasetPair(whole, ArrayDataset(test_images, test_labels.astype(np.int32), classes))
    is_test = split_off_test(whole.labels, classes, test_share, split_seed, str(file.path))
    return DatasetPair(
        Subset(whole, np.flatnonzero(~is_test)), Subset(whole, np.flatnonzero(is_test))
    )


def _find(file: ArrayFile) -> tuple[_Names, bool]:
    """What the arrays are called, and whether there are some to test on."""
    there = set(file.names)
    names = next((names for names in _ALL_NAMES if names.images in there), None)
    if names is None:
        known = " or ".join(f"{names.images} and {names.labels}" for names in _ALL_NAMES)
        has = listed(map(shortened, file.names)) if there else "none"
        raise DataError(f"{shown(file.path)}: has no arrays {known}; it has {has}")
    tests = {names.test_images, names.test_labels}
    has_test = bool(tests & there)
    used = {names.images, names.labels, _CLASSES} | tests
    if lacking := ({names.images, names.labels} | (tests if has_test else set())) - there:
        raise DataError(f"{shown(file.path)}: lacks the array {listed(sorted(lacking))}")
    if left_out := sorted(there - used):
        names_left_out = listed(map(shortened, left_out))
        print(f"{shown(file.path)}: left out the arrays {names_left_out}", file=sys.stderr)
    return names, has_test


def _read(
    file: ArrayFile, images_name: str, labels_name: str
) -> tuple[NDArray[np.uint8], NDArray[np.integer]]:
    """Images (N, H, W, C) and labels (N,). Both headers are looked at before either is read."""
    header = file.header(images_name)
    if problem := _wrong_images(images_name, header.dtype, header.shape):
        raise DataError(f"{shown(file.path)}: {problem}")
    label_header = file.header(labels_name)
    if problem := _wrong_labels(labels_name, label_header.dtype, label_header.shape):
        raise DataError(f"{shown(file.path)}: {problem}")
    if header.shape[0] != label_header.shape[0]:
        raise DataError(
            f"{shown(file.path)}: {images_name} has {header.shape[0]:,} images, and {labels_name} "
            f"has {label_header.shape[0]:,} labels; write one label for each image"
        )
    labels = file.read(labels_name).reshape(-1)
    images = file.read(images_name)
    return (images[..., np.newaxis] if images.ndim == 3 else images), labels


def _wrong_images(name: str, dtype: np.dtype[np.generic], shape: tuple[int, ...]) -> str:
    """Why an array has no images, and what to do about it; empty if it has."""
    described = f"{name} is {shortened(str(dtype))} {shortened(str(shape))}"
    if len(shape) not in (3, 4):
        return f"{described}, but images are (N, H, W) or (N, H, W, C); reshape it"
    if len(shape) == 4 and shape[1] in _FEW_CHANNELS and shape[3] not in _FEW_CHANNELS:
        return (
            f"{described}, but channels are last, (N, H, W, C); save {name}.transpose(0, 2, 3, 1)"
        )
    if dtype == np.uint8:
        return ""
    remedy = f"{name}.astype(np.uint8) if they are from 0 to 255"
    if dtype.kind == "f":
        remedy = f"({name} * 255).round().astype(np.uint8) if they are from 0 to 1"
    return f"{described}, but images are bytes, uint8, from 0 to 255; save {remedy}"


def _wrong_labels(name: str, dtype: np.dtype[np.generic], shape: tuple[int, ...]) -> str:
    """Why an array has no labels, and what to do about it; empty if it has."""
    described = f"{name} is {shortened(str(dtype))} {shortened(str(shape))}"
    if len(shape) == 2 and shape[1] > 1:
        return (
            f"{described}, but a label is one whole number; if it has a column for each class, "
            f"save {name}.argmax(axis=1)"
        )
    if len(shape) not in (1, 2):
        return f"{described}, but labels are (N,)"
    if dtype.kind in "iu":
        return ""
    remedy = f"save {name}.astype(np.int64)"
    if dtype.kind in "US":
        remedy = f"save classes, labels = np.unique({name}, return_inverse=True)"
    return f"{described}, but labels are whole numbers; {remedy}"


def _class_names(file: ArrayFile, name: str, labels: NDArray[np.integer]) -> list[str]:
    """The names in the file; the numbers themselves if it has none.

    Args:
        file: with the names.
        name: of the labels' array, for messages.
        labels: of the images to train on.
    """
    if _CLASSES not in file.names:
        if labels.max() >= len(labels):
            raise DataError(
                f"{shown(file.path)}: {name} has the label {labels.max()}, but there are "
                f"{len(labels):,} images; number the classes from 0 without gaps: save "
                f"np.unique({name}, return_inverse=True)[1]"
            )
        _check_range(file, name, labels, len(labels))
        return [str(label) for label in range(int(labels.max()) + 1)]
    header = file.header(_CLASSES)
    is_text = header.dtype.kind == "U" and header.dtype.itemsize <= _LONGEST_CLASS
    if not is_text or len(header.shape) != 1 or header.shape[0] > len(labels):
        raise DataError(
            f"{shown(file.path)}: {_CLASSES} is {shortened(str(header.dtype))} "
            f"{shortened(str(header.shape))}, but it must be text (K,), with the names of at most "
            f"{len(labels):,} classes, which is the number of images"
        )
    text = file.read(_CLASSES)
    codes = text.view(np.dtype(np.uint32).newbyteorder(header.dtype.byteorder))
    if codes.max() > sys.maxunicode:
        raise DataError(f"{shown(file.path)}: {_CLASSES} has characters that do not exist")
    names: list[str] = text.tolist()
    if len({shown(name) for name in names}) < len(names) or "" in names:
        raise DataError(f"{shown(file.path)}: {_CLASSES} has a name twice, or an empty one")
    _check_range(file, name, labels, len(names))
    return names


def _check_range(file: ArrayFile, name: str, labels: NDArray[np.integer], classes: int) -> None:
    low, high = labels.min(), labels.max()
    if low < 0 or high >= classes:
        raise DataError(
            f"{shown(file.path)}: {name} has the label {low if low < 0 else high}, but those of "
            f"{classes:,} classes go from 0 to {classes - 1:,}"
        )
