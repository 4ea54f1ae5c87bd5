"""Philox against its published vectors, and what is built on it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucnn import random

ONES = 0xFFFFFFFF
# The known answers that come with Random123, the reference implementation.
KNOWN_ANSWERS = [
    ((0, 0, 0, 0), 0, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES,) * 4, 0xFFFFFFFF_FFFFFFFF, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        0x299F31D0_A4093822,
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]
SEEDS = st.integers(0, 2**64 - 1)
STREAMS = st.integers(0, 2**32 - 1)
POSITIONS = st.lists(st.integers(0, 2**40), min_size=1, max_size=20)


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_philox_gives_the_published_words(counter, key, expected):
    words = random.philox_4x32(np.array([counter], np.uint32), key)
    assert words.dtype == np.uint32
    assert tuple(words[0]) == expected


def test_words_are_addressed_by_position_step_and_stream():
    block = 0x3_0000_0002
    counter = np.array([[2, 3, 7, 9]], np.uint32)  # low and high half of the block, step, stream
    words = random.words(seed=11, stream=9, step=7, count=4, offset=4 * block)
    assert words.tolist() == random.philox_4x32(counter, 11)[0].tolist()


@given(SEEDS, STREAMS, st.integers(0, 1000), st.integers(0, 100), st.integers(0, 60))
def test_words_from_an_offset_are_a_slice(seed, stream, step, offset, count):
    whole = random.words(seed, stream, step, 200)
    assert np.array_equal(
        random.words(seed, stream, step, count, offset), whole[offset : offset + count]
    )


@given(SEEDS, STREAMS, STREAMS, POSITIONS)
def test_words_at_positions_are_the_words_there(seed, stream, step, positions):
    together = random.words_at(seed, stream, step, np.array(positions))
    alone = [random.words(seed, stream, step, 1, position)[0] for position in positions]
    assert together.tolist() == alone


def test_seed_stream_and_step_each_change_the_words():
    base = random.words(1, 2, 3, 100)
    for other in (
        random.words(2, 2, 3, 100),
        random.words(1 + 2**32, 2, 3, 100),
        random.words(1, 3, 3, 100),
        random.words(1, 2, 4, 100),
    ):
        assert np.count_nonzero(base == other) <= 1


def test_streams_of_layers_are_distinct():
    streams = {stream.of_layer(index) for stream in random.Stream for index in range(100)}
    assert len(streams) == 100 * len(random.Stream)


def test_uniform_covers_its_interval_evenly():
    values = random.uniform(5, 1, 0, 100_000)
    assert values.dtype == np.float32
    assert values.min() >= 0.0
    assert values.max() < 1.0
    counts, _ = np.histogram(values, 10, (0.0, 1.0))
    assert np.abs(counts - 10_000).max() < 500  # five standard deviations


def test_uniform_of_the_highest_word_is_below_one():
    assert random.to_uniform(np.array([0, ONES], np.uint32)).tolist() == [0.0, 1.0 - 2.0**-24]


def test_integers_reach_both_ends_and_no_further():
    words = random.words(5, 1, 0, 70_000)
    values = random.to_integers(words, -3, 4)
    assert values.dtype == np.int32
    counts = np.bincount(values + 3)
    assert len(counts) == 7
    assert np.abs(counts - 10_000).max() < 500
    assert random.to_integers(np.array([0, ONES], np.uint32), -3, 4).tolist() == [-3, 3]


def test_normal_has_its_moments():
    values = random.normal(5, 1, 0, 100_000)
    assert values.dtype == np.float64
    assert abs(values.mean()) < 0.02
    assert abs(values.std() - 1.0) < 0.02
    assert abs((values**3).mean()) < 0.05
    assert abs((values**4).mean() - 3.0) < 0.2


@given(SEEDS, st.integers(0, 300))
def test_permutation_has_each_number_once(seed, count):
    order = random.permutation(seed, random.Stream.SAMPLE_ORDER, 0, count)
    assert order.dtype == np.int64
    assert np.array_equal(np.sort(order), np.arange(count))


def test_permutation_puts_each_number_anywhere():
    places = np.array([random.permutation(seed, 2, 0, 5) for seed in range(5000)])
    for number in range(5):
        counts = np.bincount(np.nonzero(places == number)[1], minlength=5)
        assert np.abs(counts - 1000).max() < 150
