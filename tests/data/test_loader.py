"""Batches: each sample once an epoch, resumable, and fetched ahead where that takes time."""

import threading
import time
from contextlib import closing
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucnn import text
from gpucnn.data import ArrayDataset, Augmentation, BatchLoader, Dataset, Subset
from gpucnn.data.loader import _MOST_AHEAD
from gpucnn.errors import ConfigError, DataError

COUNTS = st.integers(1, 60)
SIZES = st.integers(1, 20)
AUGMENTATION = Augmentation(flip=True, crop_padding=1)


def _numbered(count):
    """Image i is i everywhere, and so is its label."""
    numbers = np.arange(count)
    images = np.broadcast_to(numbers.astype(np.uint8).reshape(-1, 1, 1, 1), (count, 2, 3, 1))
    return ArrayDataset(images, numbers.astype(np.int32), [str(number) for number in numbers])


class OnDemand(Dataset):
    """Notes which thread asks for images, and fails on the image numbered ``broken``."""

    on_demand = True

    def __init__(self, count, broken=None):
        self._source = _numbered(count)
        self.image_shape, self.classes = self._source.image_shape, self._source.classes
        self.labels = self._source.labels
        self.broken = broken
        self.asked = []

    def images(self, indices):
        self.asked.append((threading.current_thread(), indices.tolist()))
        if self.broken in indices:
            raise DataError(f"{self.broken}.png is damaged")
        return self._source.images(indices)


def _threads():
    return [thread for thread in threading.enumerate() if "loader" in thread.name]


def _facts(batch):
    flips, shifts = batch.draw.flip.tolist(), batch.draw.shift.tolist()
    return batch.epoch, batch.index, batch.indices.tolist(), batch.labels.tolist(), flips, shifts


@given(COUNTS, SIZES, st.integers(0, 2**63), st.integers(0, 5), st.booleans())
def test_an_epoch_has_each_sample_once(count, size, seed, epoch, shuffle):
    loader = BatchLoader(_numbered(count), size, seed, shuffle=shuffle)
    batches = list(loader.batches(epoch))
    assert len(batches) == len(loader)
    assert [batch.index for batch in batches] == list(range(len(loader)))
    assert {batch.epoch for batch in batches} == {epoch}
    assert all(len(batch.indices) == size for batch in batches[:-1])
    order = np.concatenate([batch.indices for batch in batches])
    assert order.dtype == np.int64
    assert np.array_equal(order, loader.order(epoch))
    assert np.array_equal(np.sort(order), np.arange(count))
    for batch in batches:
        assert batch.labels.tolist() == batch.indices.tolist()
        assert batch.images[:, 0, 0, 0].tolist() == batch.indices.tolist()
        assert batch.draw is None


@given(COUNTS, SIZES, st.integers(0, 2**63), st.integers(0, 5), st.data())
def test_an_epoch_resumed_anywhere_has_the_same_batches(count, size, seed, epoch, data):
    loader = BatchLoader(_numbered(count), size, seed, AUGMENTATION)
    start = data.draw(st.integers(0, len(loader)))
    whole = [_facts(batch) for batch in loader.batches(epoch)]
    assert [_facts(batch) for batch in loader.batches(epoch, start)] == whole[start:]


@given(COUNTS, SIZES, st.integers(0, 3), st.data())
def test_a_single_batch_is_that_of_the_epoch(count, size, epoch, data):
    loader = BatchLoader(_numbered(count), size, 5, AUGMENTATION)
    index = data.draw(st.integers(0, len(loader) - 1))
    one, other = loader.batch(epoch, index), list(loader.batches(epoch))[index]
    assert (one.epoch, one.index) == (other.epoch, other.index)
    for name in ("images", "labels", "indices"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_array_equal(one.draw.flip, other.draw.flip)
    np.testing.assert_array_equal(one.draw.shift, other.draw.shift)


def test_each_epoch_and_seed_has_its_order():
    loader = BatchLoader(_numbered(50), 10, seed=1)
    assert loader.order(0).tolist() == loader.order(0).tolist()
    assert loader.order(0).tolist() != loader.order(1).tolist()
    assert loader.order(0).tolist() != BatchLoader(_numbered(50), 10, seed=2).order(0).tolist()
    assert BatchLoader(_numbered(5), 2, 1, shuffle=False).order(3).tolist() == [0, 1, 2, 3, 4]


def test_the_batch_size_does_not_change_order_or_draws():
    small = BatchLoader(_numbered(50), 7, 1, AUGMENTATION)
    large = BatchLoader(_numbered(50), 20, 1, AUGMENTATION)
    for field in (lambda draw: draw.flip, lambda draw: draw.shift):
        one, other = (
            np.concatenate([field(batch.draw) for batch in loader.batches(2)])
            for loader in (small, large)
        )
        assert np.array_equal(one, other)


@pytest.mark.parametrize("size", [1, 4, 10, 11])
def test_fetching_ahead_changes_nothing(size):
    direct = BatchLoader(_numbered(10), size, 1, AUGMENTATION)
    ahead = BatchLoader(OnDemand(10), size, 1, AUGMENTATION)
    assert [_facts(b) for b in ahead.batches(0)] == [_facts(b) for b in direct.batches(0)]
    assert not _threads()


def _asked_in_peace(dataset, wanted):
    """What was asked for once nothing more is being fetched, given how much should be."""
    for _ in range(500):
        if len(dataset.asked) >= wanted:
            break
        time.sleep(0.01)
    time.sleep(0.05)  # for more than should be
    return [indices for _, indices in dataset.asked]


def test_the_next_batches_are_fetched_by_another_thread_meanwhile():
    dataset = OnDemand(100)
    with closing(BatchLoader(dataset, 2, 1, shuffle=False).batches(0)) as batches:
        next(batches)
        expected = [[2 * number, 2 * number + 1] for number in range(1 + _MOST_AHEAD)]
        assert _asked_in_peace(dataset, len(expected)) == expected
        assert threading.current_thread() not in {thread for thread, _ in dataset.asked}


def test_few_batches_are_ahead_if_they_are_large(monkeypatch):
    dataset = OnDemand(100)
    monkeypatch.setattr("gpucnn.data.loader._MOST_BYTES_AHEAD", 2 * (2 * 2 * 3) + 1)
    with closing(BatchLoader(dataset, 2, 1).batches(0)) as batches:
        next(batches)
        assert len(_asked_in_peace(dataset, 3)) == 3


class Together(OnDemand):
    """Notes how many threads ask at once."""

    def __init__(self, count, threads):
        super().__init__(count)
        self.threads, self.now, self.most = threads, 0, 0
        self.lock = threading.Lock()

    def images(self, indices):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.005)
        with self.lock:
            self.now -= 1
        return super().images(indices)


@pytest.mark.parametrize("threads", [1, 2])
def test_no_more_threads_ask_than_the_data_set_allows(threads):
    dataset = Together(40, threads)
    batches = BatchLoader(Subset(dataset, np.arange(40)), 2, 1, shuffle=False).batches(0)
    assert [batch.index for batch in batches] == list(range(20))
    assert dataset.most == threads


class Slow(OnDemand):
    def images(self, indices):
        time.sleep(0.02)
        return super().images(indices)


def test_the_time_spent_waiting_is_counted():
    loader = BatchLoader(Slow(20), 2, 1)
    loader.waiting.restart()
    for _ in loader.batches(0):
        pass
    assert 0.5 < loader.waiting.share() <= 1.0  # about 1, but for what else the machine does
    loader.waiting.restart()
    assert loader.waiting.share() == 0.0
    for _ in loader.batches(0):
        time.sleep(0.04)
    assert loader.waiting.share() < 0.5


def test_images_in_memory_are_not_waited_for():
    loader = BatchLoader(_numbered(20), 2, 1)
    for _ in loader.batches(0):
        pass
    assert loader.waiting.share() == 0.0


def test_a_device_that_is_busy_does_not_wait():
    """The host waits all the time; the device has work for the first half of it."""
    begin = time.perf_counter()
    loader = BatchLoader(Slow(40), 2, 1, is_idle=lambda: time.perf_counter() > begin + 0.2)
    loader.waiting.restart()
    for _ in loader.batches(0):
        pass
    seconds = time.perf_counter() - begin
    assert loader.waiting.share() == pytest.approx(1 - 0.2 / seconds, abs=0.15)


def test_closing_early_leaves_no_thread_and_no_work():
    dataset = OnDemand(100)
    batches = BatchLoader(dataset, 2, 1).batches(0)
    next(batches)
    assert _threads()
    batches.close()
    assert not _threads()
    assert len(dataset.asked) <= 1 + _MOST_AHEAD


def test_an_error_while_fetching_reaches_the_caller_in_its_turn():
    batches = BatchLoader(OnDemand(10, broken=5), 2, 1, shuffle=False).batches(0)
    assert next(batches).index == 0
    assert next(batches).index == 1
    with pytest.raises(DataError, match=r"5\.png"):
        next(batches)
    assert not _threads()


@pytest.mark.parametrize("start", [0, 2])
def test_without_threads_batches_are_the_same(monkeypatch, capsys, start):
    monkeypatch.setattr(text, "_has_warned", set())
    refuse = Mock(side_effect=RuntimeError("can't start new thread"))
    monkeypatch.setattr(threading.Thread, "start", refuse)
    direct = BatchLoader(_numbered(10), 3, 1, AUGMENTATION)
    alone = BatchLoader(OnDemand(10), 3, 1, AUGMENTATION)
    for epoch in range(2):
        expected = [_facts(batch) for batch in direct.batches(epoch, start)]
        assert [_facts(batch) for batch in alone.batches(epoch, start)] == expected
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "thread" in lines[0]


@pytest.mark.parametrize("size", [0, -3])
def test_a_batch_size_below_1_is_refused(size):
    with pytest.raises(ConfigError, match=str(size)):
        BatchLoader(_numbered(3), size, 1)


def test_crops_wider_than_the_image_are_refused():
    BatchLoader(_numbered(3), 1, 1, Augmentation(crop_padding=1))
    with pytest.raises(ConfigError, match=r"crop_padding is 2.*2×3"):
        BatchLoader(_numbered(3), 1, 1, Augmentation(crop_padding=2))


@pytest.mark.parametrize("start", [-1, 3])
def test_a_batch_that_does_not_exist_is_refused_at_the_call(start):
    with pytest.raises(ConfigError, match=str(start)):
        BatchLoader(_numbered(4), 2, 1).batches(0, start)
