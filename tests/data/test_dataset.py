"""Data sets in memory, their parts and pairs, and the digits that come with the package."""

import numpy as np
import pytest

from gpucnn.data import ArrayDataset, DatasetPair, Subset, datasets, digits
from gpucnn.errors import DataError, GpucnnError, ShapeError

CLASSES = ("a", "b")


def _numbered(count, classes=CLASSES, shape=(2, 3, 1)):
    """Image i holds the value i everywhere, and its label is i modulo the classes."""
    values = np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1)
    labels = (np.arange(count) % len(classes)).astype(np.int32)
    return ArrayDataset(np.broadcast_to(values, (count, *shape)), labels, classes)


def test_images_come_in_the_order_asked_for():
    dataset = _numbered(5)
    images = dataset.images(np.array([3, 0, 3]))
    assert images.shape == (3, 2, 3, 1)
    assert images.dtype == np.uint8
    assert images.flags.c_contiguous
    assert images[:, 0, 0, 0].tolist() == [3, 0, 3]
    assert (len(dataset), dataset.image_shape, dataset.classes) == (5, (2, 3, 1), CLASSES)
    assert not dataset.on_demand


def test_changing_what_was_handed_out_leaves_the_data_alone():
    dataset = _numbered(3)
    dataset.images(np.arange(3))[:] = 99
    assert dataset.images(np.arange(3))[:, 0, 0, 0].tolist() == [0, 1, 2]


def test_a_subset_of_a_subset():
    dataset = Subset(Subset(_numbered(10), np.array([8, 6, 4, 2])), np.array([2, 0]))
    assert dataset.images(np.array([0, 1]))[:, 0, 0, 0].tolist() == [4, 8]
    assert dataset.labels.tolist() == [0, 0]
    assert (len(dataset), dataset.image_shape, dataset.classes) == (2, (2, 3, 1), CLASSES)


IMAGES = np.zeros((2, 4, 4, 1), np.uint8)
LABELS = np.zeros(2, np.int32)
REFUSED = {
    "images of floats": (IMAGES.astype(np.float32), LABELS, ShapeError, "float32"),
    "images without channels": (IMAGES[..., 0], LABELS, ShapeError, "(2, 4, 4)"),
    "labels of int64": (IMAGES, LABELS.astype(np.int64), ShapeError, "int64"),
    "labels in columns": (IMAGES, LABELS[:, None], ShapeError, "(2, 1)"),
    "fewer labels than images": (IMAGES, LABELS[:1], ShapeError, "2 images and 1 labels"),
    "label too high": (IMAGES, np.array([0, 2], np.int32), DataError, "label 2 of image 1"),
    "label below zero": (IMAGES, np.array([-1, 0], np.int32), DataError, "label -1 of image 0"),
}


@pytest.mark.parametrize(("images", "labels", "kind", "part"), REFUSED.values(), ids=REFUSED)
def test_arrays_that_do_not_fit_are_refused(images, labels, kind, part):
    with pytest.raises(kind) as caught:
        ArrayDataset(images, labels, CLASSES)
    assert part in str(caught.value)


@pytest.mark.parametrize(
    ("indices", "part"),
    [
        (np.array([0, 5]), "index 5"),
        (np.array([-1]), "index -1"),
        (np.array([0.5]), "float64"),
        (np.array([[0]]), "(1, 1)"),
    ],
)
def test_a_subset_of_what_is_not_there_is_refused(indices, part):
    with pytest.raises(ShapeError) as caught:
        Subset(_numbered(5), indices)
    assert part in str(caught.value)


@pytest.mark.parametrize(
    ("other", "part"),
    [(_numbered(4, shape=(3, 3, 1)), "image_shape"), (_numbered(4, classes=("a", "c")), "classes")],
)
def test_a_pair_must_agree(other, part):
    with pytest.raises(GpucnnError, match=part):
        DatasetPair(_numbered(4), other)


def test_a_pair_has_two_classes_to_tell_apart():
    with pytest.raises(DataError, match="one class"):
        DatasetPair(_numbered(4, ("a",)), _numbered(2, ("a",)))


def test_thousands_of_classes_that_differ_are_not_all_named():
    names = [f"class{number}" for number in range(3000)]
    images, labels = np.zeros((1, 2, 3, 1), np.uint8), np.zeros(1, np.int32)
    pair = [ArrayDataset(images, labels, [*names, last]) for last in ("line\nbreak", "z")]
    with pytest.raises(DataError) as caught:
        DatasetPair(*pair)
    message = str(caught.value)
    assert r"the first that differs is number 3000, line\nbreak and z" in message
    assert len(message) < 400
    assert message.isprintable()


def test_digits_are_split_by_every_fifth_of_each_class():
    pair = digits()
    assert (len(pair.train), len(pair.test)) == (1442, 355)
    assert pair.train.image_shape == (8, 8, 1)
    assert pair.train.classes == tuple("0123456789")
    assert pair.test.labels.dtype == np.int32
    whole = np.bincount(pair.train.labels) + np.bincount(pair.test.labels)
    assert whole.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert np.bincount(pair.test.labels).tolist() == (whole // 5).tolist()
    # The file counts 0 to 9 three times over, so the fifth of each class comes later.
    assert pair.train.labels[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]


def test_the_first_digit_has_its_published_values():
    rows = digits().train.images(np.array([0]))[0, :, :, 0]
    # The first image of the source, 0 to 16, by rounding v · 255 / 16.
    first_row, second_row = [0, 0, 5, 13, 9, 1, 0, 0], [0, 0, 13, 15, 10, 15, 5, 0]
    assert rows[0].tolist() == [round(v * 255 / 16) for v in first_row]
    assert rows[1].tolist() == [round(v * 255 / 16) for v in second_row]


def test_digits_use_the_whole_range_of_bytes():
    images = digits().train.images(np.arange(1442))
    assert sorted(set(images.reshape(-1).tolist())) == [
        int(np.floor(v * 255 / 16 + 0.5)) for v in range(17)
    ]


def test_all_data_sets_are_registered():
    published = ["cifar10", "cifar100", "digits", "fashion_mnist", "mnist", "svhn"]
    own = ["csv", "image_folder", "npz", "packed", "parquet", "python"]
    assert sorted(datasets.names()) == sorted([*published, *own])
    assert len(datasets.create({"name": "digits"}, "data").test) == 355
