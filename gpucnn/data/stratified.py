"""Choosing images at random by seed, of each class as many as its share of the whole."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gpucnn import random
from gpucnn.data.class_names import with_counts
from gpucnn.data.dataset import place_in_class
from gpucnn.errors import ConfigError, DataError, check_range
from gpucnn.text import shown, warn_once

HIGHEST_SEED = 2**64 - 1


def chosen_at_random(
    labels: NDArray[np.int32], taken: NDArray[np.int64], seed: int, stream: random.Stream
) -> NDArray[np.bool_]:
    """Chooses images of each class.

    Args:
        labels: (N,), each the index of a class.
        taken: how many images of each class are chosen, by index.
        seed, stream: the same ones choose the same images.

    Returns:
        Whether each image is chosen, (N,).
    """
    order = random.permutation(seed, stream, 0, len(labels))
    shuffled_labels = labels[order]
    is_chosen = np.zeros(len(labels), bool)
    is_chosen[order] = place_in_class(shuffled_labels) < taken[shuffled_labels]
    return is_chosen


def check_test_options(test_share: float, split_seed: int) -> None:
    """Raises ConfigError if one of the options of ``split_off_test`` is out of range."""
    if not 0.0 < test_share < 1.0:
        raise ConfigError(f"test_share is {test_share}; it must be between 0 and 1")
    check_range("split_seed", split_seed, 0, HIGHEST_SEED)


def split_off_test(
    labels: NDArray[np.int32], classes: Sequence[str], share: float, seed: int, source: str
) -> NDArray[np.bool_]:
    """Which images to test on, for data that has no test split of its own.

    Of each class with n images these are round(share·n), but at least one and at most n - 1. In a
    regression, which has no classes, n is the number of all images. A line on stderr says how many
    there are, and a warning names the classes that have only one image, which is trained on.

    Args:
        labels: int32 (N,).
        classes: the names of all classes; none if all labels are 0, in a regression.
        share: what part of the images it should be, between 0 and 1.
        seed: the same one chooses the same images.
        source: the file or folder, for messages.

    Returns:
        Whether each image is for testing, (N,).

    Raises:
        DataError: no class has two images, or there is only one.
    """
    counts = np.bincount(labels, minlength=len(classes))
    wanted = np.maximum(1, np.rint(share * counts).astype(np.int64))
    taken = np.minimum(wanted, np.maximum(0, counts - 1))
    if not taken.any():
        too_few = "no class has two images" if classes else "there are no two images"
        raise DataError(
            f"{shown(source)}: has no test split, and {too_few}, so that one could be split off; "
            f"add images"
        )
    alone = counts == 1
    if alone.any():
        warn_once(
            f"{shown(source)}: the test split, which is split off at random, has no images of "
            f"{with_counts(classes, counts, alone)}"
        )
    print(
        f"{shown(source)}: has no test split, so {taken.sum():,} of {len(labels):,} images are "
        f"split off to test on (data.test_share)",
        file=sys.stderr,
        flush=True,
    )
    return chosen_at_random(labels, taken, seed, random.Stream.TEST_SPLIT)
