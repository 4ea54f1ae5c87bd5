"""Batches that are copied while the GPU is at work: in the right order, whoever is late."""

import numpy as np
import pytest
from fake_cupy import MEMORY, POISON, FakeCupy, OutOfMemoryError

from gpucnn.backends.devices.cuda.uploads import Uploads
from gpucnn.errors import BackendError

SIZE = 1000


@pytest.fixture(params=["late copies", "early copies", "early kernels"])
def machine(request):
    """A CuPy, the stream of kernels, and the uploads, whose copies come as early or late as can."""
    cupy = FakeCupy()
    cupy.eager = request.param == "early kernels"
    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.eager = request.param == "early copies"
    uploads = Uploads(cupy, stream, lambda size: cupy.empty((size,), np.uint8))
    return cupy, stream, uploads


def test_each_step_reads_its_own_batch(machine):
    _, stream, uploads = machine
    seen = []
    host = np.empty(SIZE, np.uint8)
    # Smaller batches, and larger ones, for which the buffers are made anew.
    sizes = [SIZE // 2, SIZE // 2, SIZE, 3, SIZE, SIZE, SIZE // 2]
    for number, size in enumerate(sizes):
        host[:] = number
        array = uploads.upload(host[:size])
        host[:] = 255  # the caller's own again
        for _ in range(3):
            stream.enqueue(lambda array=array: seen.append(np.array(array.view(np.ndarray))))
        del array
    stream.synchronize()
    assert [(batch.size, set(batch.tolist())) for batch in seen] == [
        (size, {number}) for number, size in enumerate(sizes) for _ in range(3)
    ]


def test_dtype_and_shape_are_kept(machine):
    _, stream, uploads = machine
    host = np.random.default_rng(0).normal(size=(3, 1, 5)).astype(np.float32)
    array = uploads.upload(host)
    stream.synchronize()
    assert (array.shape, array.dtype) == (host.shape, host.dtype)
    np.testing.assert_array_equal(np.array(array.view(np.ndarray)), host)


@pytest.mark.parametrize("shape", [(0, 8, 8, 3), (0,), (4, 0)])
def test_batches_may_be_empty(machine, shape):
    """The first one, too, for which there is no buffer yet."""
    _, stream, uploads = machine
    for dtype in (np.uint8, np.float32):
        array = uploads.upload(np.empty(shape, dtype))
        assert (array.shape, array.dtype) == (shape, dtype)
        full = uploads.upload(np.full(3, 7, dtype))
        stream.synchronize()
        assert set(full.view(np.ndarray).tolist()) == {7}


def test_the_copy_of_a_batch_does_not_wait_for_the_step_before():
    cupy = FakeCupy()
    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.eager = True
    uploads = Uploads(cupy, stream, lambda size: cupy.empty((size,), np.uint8))
    for _ in range(2):
        uploads.upload(np.empty(SIZE, np.uint8))
    steps, arrays = [], []
    for number in range(3):
        arrays.append(uploads.upload(np.full(SIZE, number, np.uint8)))
        if number == 0:
            stream.run()  # the GPU is at the first step from here on
        stream.enqueue(lambda number=number: steps.append(number))
    # No step has been taken. Two batches are there already; the third waits for the first step.
    assert steps == []
    assert [int(array.view(np.ndarray)[0]) for array in arrays] == [0, 1, 0]
    stream.run(until=lambda: steps == [0, 1])
    cupy.run_eager()
    assert int(arrays[2].view(np.ndarray)[0]) == 2
    assert steps == [0, 1]


def test_memory_that_the_pool_hands_on_is_not_written_too_early(machine):
    cupy, stream, _ = machine
    memory = cupy.empty((SIZE,), np.uint8)
    uploads = Uploads(cupy, stream, lambda _: memory)
    seen = []
    stream.enqueue(lambda: seen.append(int(memory.view(np.ndarray)[0])))
    uploads.upload(np.zeros(SIZE, np.uint8))
    stream.synchronize()
    assert seen == [POISON]


@pytest.mark.parametrize("size", [MEMORY + 1, (MEMORY << 5) + 1])
def test_where_memory_is_full_it_still_is_at_the_next_try(size):
    cupy = FakeCupy(memory=MEMORY if size == MEMORY + 1 else size)
    stream = cupy.cuda.Stream(non_blocking=True)
    uploads = Uploads(cupy, stream, lambda size: cupy.empty((size,), np.uint8))
    for _ in range(4):
        with pytest.raises((OutOfMemoryError, BackendError)):
            uploads.upload(np.zeros(size, np.uint8))
        array = uploads.upload(np.full(SIZE, 7, np.uint8))
        stream.synchronize()
        assert set(array.view(np.ndarray).tolist()) == {7}


def test_buffers_are_made_once(machine):
    cupy, stream, uploads = machine
    for _ in range(10):
        uploads.upload(np.zeros(SIZE, np.uint8))
    stream.synchronize()
    assert cupy.pinned == [SIZE, SIZE]
