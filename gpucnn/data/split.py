"""The parts of a data set: a part of the training data is kept back for validation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gpucnn import random
from gpucnn.data.dataset import Dataset, Subset, datasets
from gpucnn.data.image_folder import image_folder_test
from gpucnn.errors import ConfigError


def validation_split(dataset: Dataset, fraction: float, seed: int) -> tuple[Dataset, Dataset]:
    """Splits a data set at random into one to train on and one to validate on.

    Of each class with n images, round(fraction·n) are for validation, so that both parts have
    the proportions of the whole. Images keep their order. The same seed gives the same split.

    Args:
        dataset: the training data.
        fraction: the share that is for validation, in [0, 1).
        seed: of the run.

    Returns:
        The data to train on, and the data to validate on: none of them if the fraction is 0.

    Raises:
        ConfigError: a fraction out of range, or one that leaves either part empty.
    """
    if not 0.0 <= fraction < 1.0:
        raise ConfigError(f"the validation fraction is {fraction}; it must be in [0, 1)")
    order = random.permutation(seed, random.Stream.VALIDATION_SPLIT, 0, len(dataset))
    shuffled_labels = dataset.labels[order]
    is_validation = np.zeros(len(dataset), bool)
    for label in range(len(dataset.classes)):
        members = order[shuffled_labels == label]
        is_validation[members[: round(fraction * len(members))]] = True
    count = int(is_validation.sum())
    if fraction > 0.0 and count in (0, len(dataset)):
        raise ConfigError(
            f"a validation fraction of {fraction} of {len(dataset)} images in "
            f"{len(dataset.classes)} classes leaves {len(dataset) - count} to train on and "
            f"{count} to validate on; choose another fraction, or 0 for no validation"
        )
    return (
        Subset(dataset, np.flatnonzero(~is_validation)),
        Subset(dataset, np.flatnonzero(is_validation)),
    )


def load_test_split(options: Mapping[str, Any]) -> Dataset:
    """The data to test on. A folder of images needs no others for that.

    Args:
        options: the data set's table in a config: its name and its options.

    Raises:
        DataError: files that are missing or damaged.
    """
    if options["name"] == "image_folder":
        return image_folder_test(**datasets.check(options, "data"))
    return datasets.create(options, "data").test
