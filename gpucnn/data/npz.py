"""Images, and labels or numbers to predict, as arrays in an npz file."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.array_file import ArrayFile, open_arrays
from gpucnn.data.class_names import listed
from gpucnn.data.data_files import data_file
from gpucnn.data.dataset import DatasetPair, Subset, datasets
from gpucnn.data.npz_values import CLASSES, TARGET_NAMES, Meaning, wrong_values
from gpucnn.data.stratified import check_test_options, split_off_test
from gpucnn.errors import DataError, shortened
from gpucnn.text import shown


@dataclass(frozen=True)
class _Names:
    """What the arrays are called: those to train on, and those to test on.

    ``values`` are labels, or targets.
    """

    images: str
    values: str
    test_images: str
    test_values: str


_ALL_NAMES = (
    _Names("images", "labels", "test_images", "test_labels"),
    _Names("images", "targets", "test_images", "test_targets"),
    _Names("x_train", "y_train", "x_test", "y_test"),
    _Names("train_images", "train_labels", "test_images", "test_labels"),
)
_FEW_CHANNELS = (1, 3, 4)


@datasets.register("npz")
def npz(path: str, test_share: float = 0.2, split_seed: int = 0) -> DatasetPair:
    """Arrays in an npz file, as numpy's savez and savez_compressed write them.

    Images are uint8 (N, H, W) or (N, H, W, C), from 0 to 255. Labels are whole numbers from 0,
    (N,) or (N, 1). They are called images and labels; or x_train, y_train, x_test and y_test; or
    train_images, train_labels, test_images and test_labels. The names of the classes may be there
    as an array of text, classes (K,). Labels may be soft: floating-point numbers (N, K), in each
    row the share of each class.

    Numbers to predict, (N,) or (N, T), are called targets (and test_targets), or y_train and y_test
    if they are floating-point numbers; their names may be there as target_names (T,).

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
        images, values = _read(file, names.images, names.values)
        meaning = Meaning.of(file, names.values, values)
        whole = meaning.dataset(file, names.values, images, values)
        if has_test:
            images, values = _read(file, names.test_images, names.test_values)
            return DatasetPair(whole, meaning.dataset(file, names.test_values, images, values))
    is_test = split_off_test(whole.labels, whole.classes, test_share, split_seed, str(file.path))
    return DatasetPair(
        Subset(whole, np.flatnonzero(~is_test)), Subset(whole, np.flatnonzero(is_test))
    )


def _find(file: ArrayFile) -> tuple[_Names, bool]:
    """What the arrays are called, and whether there are some to test on."""
    there = set(file.names)
    found = [names for names in _ALL_NAMES if names.images in there]
    names = next((names for names in found if names.values in there), next(iter(found), None))
    if names is None:
        known = " or ".join(f"{names.images} and {names.values}" for names in _ALL_NAMES)
        has = listed(map(shortened, file.names)) if there else "none"
        raise DataError(f"{shown(file.path)}: has no arrays {known}; it has {has}")
    tests = {names.test_images, names.test_values}
    has_test = bool(tests & there)
    used = {names.images, names.values, CLASSES, TARGET_NAMES} | tests
    if lacking := ({names.images, names.values} | (tests if has_test else set())) - there:
        raise DataError(f"{shown(file.path)}: lacks the array {listed(sorted(lacking))}")
    if left_out := sorted(there - used):
        names_left_out = listed(map(shortened, left_out))
        print(f"{shown(file.path)}: left out the arrays {names_left_out}", file=sys.stderr)
    return names, has_test


def _read(
    file: ArrayFile, images_name: str, values_name: str
) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Images (N, H, W, C) and values. Both headers are looked at before either is read."""
    header = file.header(images_name)
    if problem := _wrong_images(images_name, header.dtype, header.shape):
        raise DataError(f"{shown(file.path)}: {problem}")
    values_header = file.header(values_name)
    if problem := wrong_values(values_name, values_header):
        raise DataError(f"{shown(file.path)}: {problem}")
    if header.shape[0] != values_header.shape[0]:
        raise DataError(
            f"{shown(file.path)}: {images_name} has {header.shape[0]:,} images, and {values_name} "
            f"has {values_header.shape[0]:,} labels; write one label for each image"
        )
    values = file.read(values_name)
    images = file.read(images_name)
    return (images[..., np.newaxis] if images.ndim == 3 else images), values


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
