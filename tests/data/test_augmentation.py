"""Draws of flips and crops: each sample's own, whatever batch it is in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucnn import random
from gpucnn.data import Augmentation
from gpucnn.errors import ConfigError

BOTH = Augmentation(flip=True, crop_padding=4)


@given(
    indices=st.lists(st.integers(0, 10**6), min_size=1, max_size=30),
    seed=st.integers(0, 2**64 - 1),
    epoch=st.integers(0, 2**31),
)
def test_a_sample_is_drawn_the_same_alone_and_in_any_batch(indices, seed, epoch):
    together = BOTH.draw(seed, epoch, np.array(indices))
    for place, index in enumerate(indices):
        alone = BOTH.draw(seed, epoch, np.array([index]))
        assert alone.flip[0] == together.flip[place]
        assert alone.shift[0].tolist() == together.shift[place].tolist()


def test_draws_have_the_types_that_a_backend_takes():
    draw = BOTH.draw(1, 0, np.arange(5))
    assert (draw.flip.dtype, draw.flip.shape) == (np.uint8, (5,))
    assert (draw.shift.dtype, draw.shift.shape) == (np.int32, (5, 2))


def test_what_is_off_is_none():
    draw = Augmentation().draw(1, 0, np.arange(5))
    assert draw.flip is None
    assert draw.shift is None
    assert Augmentation(flip=True).draw(1, 0, np.arange(5)).shift is None
    assert Augmentation(crop_padding=1).draw(1, 0, np.arange(5)).flip is None


def test_flips_are_as_frequent_as_not_and_shifts_even():
    draw = BOTH.draw(3, 2, np.arange(18_000))
    assert abs(draw.flip.mean() - 0.5) < 0.02
    for axis in range(2):
        counts = np.bincount(draw.shift[:, axis] + 4)
        assert len(counts) == 9
        assert np.abs(counts - 2000).max() < 220  # five standard deviations
    assert abs(np.corrcoef(draw.shift.T)[0, 1]) < 0.04


def test_seed_and_epoch_each_change_the_draw():
    base = BOTH.draw(1, 0, np.arange(200))
    for other in (BOTH.draw(2, 0, np.arange(200)), BOTH.draw(1, 1, np.arange(200))):
        assert 50 < np.count_nonzero(base.flip != other.flip) < 150
        assert np.count_nonzero(base.shift != other.shift) > 200


def test_each_use_has_its_words():
    indices = np.array([7, 2])
    draw = BOTH.draw(9, 3, indices)
    flips = random.words_at(9, random.Stream.FLIP, 3, indices)
    rows = random.words_at(9, random.Stream.CROP, 3, 2 * indices)
    columns = random.words_at(9, random.Stream.CROP, 3, 2 * indices + 1)
    assert draw.flip.tolist() == (flips >> 31).tolist()
    assert draw.shift[:, 0].tolist() == random.to_integers(rows, -4, 5).tolist()
    assert draw.shift[:, 1].tolist() == random.to_integers(columns, -4, 5).tolist()


def test_a_negative_padding_is_refused():
    with pytest.raises(ConfigError, match="-1"):
        Augmentation(crop_padding=-1)
