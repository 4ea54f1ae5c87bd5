"""Numbers to predict, and soft labels, from the data set to the batch."""

import numpy as np
import pytest

from gpucnn.backends import get_backend
from gpucnn.data import ArrayDataset, BatchLoader, DatasetPair, Subset, in_memory, validation_split
from gpucnn.errors import ConfigError, DataError, ShapeError
from gpucnn.training.resident import ResidentImages

NAMES = ("width", "height")


def regression(count, names=NAMES):
    """The targets of image i, whose bytes are all i, are i + 0.5 and i + 1.5."""
    images = np.broadcast_to(
        np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 2, 2, 1)
    )
    targets = np.arange(count, dtype=np.float32)[:, None] + np.arange(len(names)) + 0.5
    return ArrayDataset(
        images,
        np.zeros(count, np.int32),
        (),
        targets=targets.astype(np.float32),
        target_names=names,
    )


def check(dataset, numbers):
    """That images and targets belong together, and are those of these numbers."""
    images = np.asarray(dataset.images(np.arange(len(dataset))))
    assert images[:, 0, 0, 0].tolist() == numbers
    assert dataset.targets[:, 0].tolist() == [number + 0.5 for number in numbers]
    assert (dataset.classes, dataset.target_names) == ((), NAMES)
    assert len(dataset) == len(dataset.labels) == len(numbers)


def test_parts_copies_and_batches_keep_images_and_targets_together():
    part = Subset(regression(9), np.array([7, 2, 5]))
    check(part, [7, 2, 5])
    check(in_memory(part), [7, 2, 5])
    check(ResidentImages(get_backend("numpy"), part), [7, 2, 5])
    check(Subset(part, np.array([2, 0])), [5, 7])
    for batch in BatchLoader(regression(20), 8, seed=3).batches(1):
        assert batch.targets[:, 0].tolist() == [n + 0.5 for n in batch.images[:, 0, 0, 0]]
        assert batch.targets.dtype == np.float32


def test_a_data_set_of_classes_has_no_targets():
    dataset = ArrayDataset(np.zeros((2, 1, 1, 1), np.uint8), np.zeros(2, np.int32), ("a", "b"))
    assert (dataset.targets, dataset.target_names) == (None, ())
    assert next(BatchLoader(dataset, 2, seed=0).batches(0)).targets is None


def test_the_validation_split_of_a_regression_is_drawn_by_the_seed_alone():
    train, validation = validation_split(regression(40), 0.25, seed=1)
    assert (len(train), len(validation)) == (30, 10)
    held_out = sorted((validation.targets[:, 0] - 0.5).astype(int).tolist())
    check(train, [number for number in range(40) if number not in held_out])
    again, other = (validation_split(regression(40), 0.25, seed)[1] for seed in (1, 2))
    assert np.array_equal(again.targets, validation.targets)
    assert not np.array_equal(other.targets, validation.targets)


@pytest.mark.parametrize(
    ("count", "fraction", "part"), [(3, 0.1, "none to validate on"), (2, 0.9, "none to train on")]
)
def test_a_validation_split_that_leaves_nothing_is_refused(count, fraction, part):
    with pytest.raises(ConfigError, match=part):
        validation_split(regression(count), fraction, seed=0)


def test_a_fingerprint_has_targets_and_their_names_in_it():
    one, same = regression(3), regression(3)
    other = regression(3)
    other.targets[1, 0] += 1
    prints = [one, other, regression(3, ("height", "width"))]
    assert one.fingerprint() == same.fingerprint()
    assert len({dataset.fingerprint() for dataset in prints}) == 3


def test_both_splits_have_the_same_numbers():
    with pytest.raises(DataError, match="width, height and height, width"):
        DatasetPair(regression(2), regression(2, ("height", "width")))
    classes = ArrayDataset(np.zeros((2, 2, 2, 1), np.uint8), np.zeros(2, np.int32), ("a", "b"))
    with pytest.raises(DataError, match="width, height and classes"):
        DatasetPair(regression(2), classes)
    DatasetPair(regression(2, ("width",)), regression(2, ("width",)))


def shares(*rows):
    return np.array(rows, np.float32)


HALVES = shares([0.5, 0.5], [0.25, 0.75])
REFUSED = {
    "float64": (HALVES.astype(np.float64), (), NAMES, ShapeError, "float64"),
    "one column": (HALVES[:, :1], (), NAMES, ShapeError, "(2, 1)"),
    "one row": (HALVES[:1], (), NAMES, ShapeError, "(1, 2)"),
    "classes and numbers": (HALVES, ("a", "b"), NAMES, ShapeError, "not both"),
    "neither": (HALVES, (), (), ShapeError, "either"),
    "names alone": (None, (), NAMES, ShapeError, "width, height"),
    "NaN": (shares([1, 2], [3, np.nan]), (), NAMES, DataError, '"height" of image 1 is nan'),
    "infinite": (shares([-np.inf, 2], [3, 4]), (), NAMES, DataError, '"width" of image 0 is -inf'),
    "sum of 1.002": (shares([0.5, 0.5], [0.5, 0.502]), NAMES, (), DataError, "image 1"),
    "below zero": (shares([1.25, -0.25], [1, 0]), NAMES, (), DataError, "image 0"),
}


@pytest.mark.parametrize(
    ("targets", "classes", "names", "kind", "part"), REFUSED.values(), ids=REFUSED
)
def test_targets_that_do_not_fit_are_refused(targets, classes, names, kind, part):
    images, labels = np.zeros((2, 1, 1, 1), np.uint8), np.zeros(2, np.int32)
    with pytest.raises(kind) as caught:
        ArrayDataset(images, labels, classes, targets=targets, target_names=names)
    assert part in str(caught.value)


def test_shares_that_were_rounded_are_taken():
    images, labels = np.zeros((2, 1, 1, 1), np.uint8), np.zeros(2, np.int32)
    soft = shares([0.3333, 0.667], [0, 1])
    dataset = ArrayDataset(images, labels, ("a", "b"), targets=soft)
    assert dataset.targets is soft
