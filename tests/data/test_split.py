"""The validation split: complete, disjoint, stratified, and the seed's alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucnn.data import ArrayDataset, validation_split
from gpucnn.errors import ConfigError

SEEDS = st.integers(0, 2**63 - 1)


def _numbered(labels, classes=4):
    """The two bytes of image i are i, so that images can be told apart."""
    labels = np.array(labels, np.int32)
    number = np.arange(len(labels), dtype=">u2").view(np.uint8).reshape(-1, 1, 1, 2)
    return ArrayDataset(number, labels, [str(label) for label in range(classes)])


def _numbers(dataset):
    return dataset.images(np.arange(len(dataset))).reshape(-1, 2).copy().view(">u2")[:, 0].tolist()


@given(
    labels=st.lists(st.integers(0, 3), max_size=200).map(lambda some: [*some, *[0, 1, 2, 3] * 3]),
    fraction=st.floats(0.2, 0.8),
    seed=SEEDS,
)
def test_parts_are_disjoint_complete_ordered_and_stratified(labels, fraction, seed):
    dataset = _numbered(labels)
    train, validation = validation_split(dataset, fraction, seed)
    kept, held_back = _numbers(train), _numbers(validation)
    assert kept == sorted(kept)
    assert held_back == sorted(held_back)
    assert sorted(kept + held_back) == list(range(len(labels)))
    assert train.labels.tolist() == [labels[number] for number in kept]
    assert validation.labels.tolist() == [labels[number] for number in held_back]
    for label in range(4):
        members = labels.count(label)
        assert validation.labels.tolist().count(label) == round(fraction * members)


@given(seed=SEEDS)
def test_the_seed_determines_the_split(seed):
    dataset = _numbered([0, 1, 2, 3] * 50)
    _, validation = validation_split(dataset, 0.25, seed)
    _, again = validation_split(dataset, 0.25, seed)
    _, other = validation_split(dataset, 0.25, seed + 1)
    assert _numbers(validation) == _numbers(again)
    assert _numbers(validation) != _numbers(other)


def test_a_fraction_of_0_keeps_everything():
    train, validation = validation_split(_numbered([0, 1, 2, 3]), 0.0, seed=1)
    assert (_numbers(train), len(validation)) == ([0, 1, 2, 3], 0)
    assert validation.image_shape == train.image_shape


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 1.5, float("nan")])
def test_a_fraction_out_of_range_is_refused(fraction):
    with pytest.raises(ConfigError, match=str(fraction)):
        validation_split(_numbered([0, 1] * 10), fraction, seed=1)


@pytest.mark.parametrize("fraction", [0.01, 0.99])
def test_a_fraction_that_leaves_a_part_empty_is_refused(fraction):
    with pytest.raises(ConfigError, match=f"{fraction}.*8 images"):
        validation_split(_numbered([0, 1, 2, 3] * 2), fraction, seed=1)


@pytest.mark.parametrize(
    ("labels", "named"),
    [
        ([0] * 20 + [1] * 20 + [2], "the class 2 (1 image)"),
        ([0] * 20 + [1] + [2], "the classes 1 (1 image), 2 (1 image)"),
    ],
)
def test_a_fraction_that_takes_all_of_a_class_is_refused(labels, named):
    with pytest.raises(ConfigError) as caught:
        validation_split(_numbered(labels), 0.6, seed=1)
    assert f"no images to train on in {named}; add images" in str(caught.value)
    assert "choose a smaller fraction" in str(caught.value)


def test_a_fraction_that_takes_none_of_a_class_is_warned_of(capsys):
    _, validation = validation_split(_numbered([0] * 20 + [1] * 20 + [2] * 3), 0.15, seed=1)
    assert set(validation.labels.tolist()) == {0, 1}
    assert capsys.readouterr().err == (
        "warning: a validation fraction of 0.15 leaves no images to validate on in the class 2 "
        "(3 images); add images or choose a larger fraction (data.validation)\n"
    )


def test_of_many_such_classes_a_few_are_named():
    labels = np.arange(3000, dtype=np.int32)
    dataset = ArrayDataset(np.zeros((3000, 1, 1, 1), np.uint8), labels, [*map(str, labels)])
    with pytest.raises(ConfigError, match=r"4 \(1 image\) and 2,995 more; add") as caught:
        validation_split(dataset, 0.9, seed=1)
    assert len(str(caught.value)) < 400


def test_a_class_without_images_is_of_no_concern(capsys):
    train, validation = validation_split(_numbered([0, 1] * 10), 0.2, seed=1)
    assert (len(train), len(validation)) == (16, 4)
    assert capsys.readouterr().err == ""


def test_the_split_is_what_it_was():
    """Runs that began with an earlier version go on with the same images."""
    labels = [number * number % 4 for number in range(24)]
    _, validation = validation_split(_numbered(labels), 0.25, seed=7)
    assert _numbers(validation) == [9, 12, 16, 18, 21, 23]
