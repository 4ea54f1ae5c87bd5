"""The pool: memory is used again, and never by two live arrays."""

import gc

import numpy as np
import pytest

from gpucnn.backends.numpy_backend.memory import MemoryPool

MANY = (100, 100)


def address(array):
    return array.__array_interface__["data"][0]


def test_memory_is_used_again_after_the_last_reference():
    pool = MemoryPool()
    first = pool.empty(MANY, np.float32)
    place = address(first)
    del first
    gc.collect()
    assert pool.free_bytes > 0
    assert address(pool.empty(MANY, np.float32)) == place
    assert address(pool.empty((MANY[0] * MANY[1],), np.int32)) == place


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[3:5],
        lambda a: a.reshape(-1)[::7],
        lambda a: a.T[1],
        lambda a: a.view(np.uint32)[0][5:6],
        lambda a: a[50:].reshape(50, 10, 10)[:, 1:].transpose(2, 0, 1)[4],
        lambda a: np.asarray(memoryview(a)[2:3]),
    ],
)
def test_a_view_of_a_view_keeps_the_memory(view):
    pool = MemoryPool()
    array = pool.empty(MANY, np.float32)
    array.fill(7)
    part = view(array)
    before = part.copy()
    del array
    gc.collect()
    assert pool.free_bytes == 0
    other = pool.empty(MANY, np.float32)
    other.fill(9)
    np.testing.assert_array_equal(part, before)
    assert not np.shares_memory(part, other)
    del part
    gc.collect()
    assert pool.free_bytes > 0


def test_no_memory_goes_to_two_live_arrays():
    """Arrays live and die in random order; each holds its own number as long as it lives."""
    pool, rng, live = MemoryPool(), np.random.default_rng(0), {}
    for number in range(400):
        if live and rng.random() < 0.5:
            chosen = rng.choice(list(live))
            assert (live.pop(chosen) == chosen).all()
        shape = (int(rng.choice([5000, 5001, 8192, 10000, 100])),)
        live[number] = pool.empty(shape, np.float32)
        live[number].fill(number)
    for number, array in live.items():
        assert (array == number).all()


def test_arrays_are_aligned_and_contiguous():
    pool = MemoryPool()
    for shape in ((100, 100), (4097,), (3, 5, 700)):
        array = pool.empty(shape, np.float64)
        assert array.shape == shape
        assert array.dtype == np.float64
        assert address(array) % 64 == 0
        assert array.flags.c_contiguous
        assert array.flags.writeable


def test_memory_beyond_the_limit_is_given_back():
    pool = MemoryPool(limit=50_000)
    arrays = [pool.empty(MANY, np.float32) for _ in range(3)]
    del arrays
    gc.collect()
    assert 0 < pool.free_bytes <= 50_000


def test_empty_arrays_and_scalars():
    pool = MemoryPool()
    assert pool.empty((0, 3), np.float32).shape == (0, 3)
    assert pool.empty((), np.float32).shape == ()
