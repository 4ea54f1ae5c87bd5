"""The parts of a data set: some of the training images are held out for validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn import random
from gpucnn.data.class_names import with_counts
from gpucnn.data.dataset import Dataset, Subset, datasets
from gpucnn.data.image_folder import image_folder_test
from gpucnn.data.image_list import image_list_test
from gpucnn.data.parquet import parquet_test
from gpucnn.data.stratified import chosen_at_random
from gpucnn.errors import ConfigError
from gpucnn.text import warn_once

_TEST_ALONE: dict[str, Callable[..., Dataset]] = {
    "image_folder": image_folder_test,
    "csv": image_list_test,
    "parquet": parquet_test,
}
"""What reads the test split without the other one."""


def validation_split(dataset: Dataset, fraction: float, seed: int) -> tuple[Dataset, Dataset]:
    """Splits a data set at random into one to train on and one to validate on.

    Of each class with n images, round(fraction·n) are for validation, so that both parts have
    the proportions of the whole. In a regression, which has no classes, n is the number of all
    images. Images keep their order. The same seed gives the same split. A warning names the
    classes of which validation has no image.

    Args:
        dataset: the training data.
        fraction: the share that is for validation, in [0, 1).
        seed: of the run.

    Returns:
        The data to train on, and the data to validate on, which is empty if the fraction is 0.

    Raises:
        ConfigError: a fraction that is out of range, leaves no images for validation, or leaves
            none of some class for training.
    """
    if not 0.0 <= fraction < 1.0:
        raise ConfigError(f"the validation fraction is {fraction}; it must be in [0, 1)")
    images = np.bincount(dataset.labels, minlength=len(dataset.classes))
    taken = np.rint(fraction * images).astype(np.int64)
    if fraction > 0.0:
        _check_taken(dataset, fraction, images, taken)
    is_validation = chosen_at_random(dataset.labels, taken, seed, random.Stream.VALIDATION_SPLIT)
    return (
        Subset(dataset, np.flatnonzero(~is_validation)),
        Subset(dataset, np.flatnonzero(is_validation)),
    )


def _check_taken(
    dataset: Dataset, fraction: float, images: NDArray[np.int64], taken: NDArray[np.int64]
) -> None:
    """Whether training and validation have images of all classes.

    Args:
        dataset: the training data.
        fraction: the share that is for validation.
        images: how many there are of each class.
        taken: how many of them are for validation.

    Raises:
        ConfigError: validation has no images at all, or training has none of a class.
    """
    whole = f"a validation fraction of {fraction} of {len(dataset)} images"
    if not taken.any():
        groups = f" in {len(dataset.classes)} classes" if dataset.classes else ""
        raise ConfigError(
            f"{whole}{groups} leaves none to validate on; choose a larger fraction, or 0 for no "
            f"validation (data.validation)"
        )
    if not dataset.classes:
        if taken[0] == len(dataset):
            raise ConfigError(
                f"{whole} leaves none to train on; add images, or choose a smaller fraction "
                f"(data.validation)"
            )
        return
    present = images > 0
    lost, lacking = present & (taken == images), present & (taken == 0)
    if lost.any():
        raise ConfigError(
            f"{whole} leaves no images to train on in "
            f"{with_counts(dataset.classes, images, lost)}; add images, remove the class, or "
            f"choose a smaller fraction (data.validation)"
        )
    if lacking.any():
        warn_once(
            f"a validation fraction of {fraction} leaves no images to validate on in "
            f"{with_counts(dataset.classes, images, lacking)}; add images or choose a larger "
            f"fraction (data.validation)"
        )


def load_test_split(options: Mapping[str, Any]) -> Dataset:
    """The data to test on. Of image files, only those of the test split are read.

    Args:
        options: the data set's table in a config: its name and its options.

    Raises:
        DataError: files that are missing or damaged.
    """
    if options["name"] in _TEST_ALONE:
        return _TEST_ALONE[options["name"]](**datasets.check(options, "data"))
    return datasets.create(options, "data").test
