"""An index that leads out of one array into another is an error in race and sanitize mode.

The arrays are slices of one NumPy array, so that without guards each index would hit the other one.
"""

import numpy as np
import pytest

from gpucnn.backends.devices.emulator_device import why_unavailable
from gpucnn.emulator import RawKernel
from gpucnn.emulator.errors import OutOfBoundsError

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())

CODE = r"""
extern "C" __global__ void get(const float* x, float* y, float* z, int n) {
    if (blockIdx.x == 0) z[threadIdx.x] = x[n + int(threadIdx.x)] + y[threadIdx.x];
}
extern "C" __global__ void put(float* x, float* y, float* z, int n) {
    if (blockIdx.x == 0) x[n + int(threadIdx.x)] = y[threadIdx.x];
}
extern "C" __global__ void before(float* x, float* y, float* z, int n) {
    y[threadIdx.x] = x[threadIdx.x - 1];  // Unsigned, so it wraps around.
}
extern "C" __global__ void scale(const float* x, float* y, const float* z, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = 2 * x[i] + z[i];
}
struct Pair { float* first; float* second; };
extern "C" __global__ void chase(float** pointers, float* y, float* z, int n) {
    pointers[1][threadIdx.x] = pointers[0][threadIdx.x] + y[threadIdx.x];
}
"""


def slices(order, n):
    """Three neighbours of n floats, in this order in memory."""
    whole = np.arange(3 * n, dtype=np.float32)
    return tuple(whole[place * n : (place + 1) * n] for place in order)


@pytest.mark.parametrize("mode", ["race", "sanitize"])
@pytest.mark.parametrize("name", ["get", "put"])
def test_an_index_that_hits_another_array(mode, name):
    n = 16
    kernel = RawKernel(CODE, name, mode=mode)
    indices = (n, n + 5, 2 * n - 1, -1, -n, -2 * n)
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2)):
        for index in indices if mode == "race" else indices[1::3]:
            with pytest.raises(OutOfBoundsError, match=rf"element {index} of argument 1 \("):
                kernel((2,), (1,), (*slices(order, n), np.int32(index)))


@pytest.mark.parametrize("mode", ["race", "sanitize"])
@pytest.mark.parametrize("index", [10**6, -(10**6), 2**31 - 1, -(2**31)])
def test_an_index_that_is_far_away(mode, index):
    arrays = slices((0, 1, 2), 16)
    with pytest.raises(OutOfBoundsError, match=rf"element {index} of argument 1 \("):
        RawKernel(CODE, "put", mode=mode)((1,), (1,), (*arrays, np.int32(index)))


@pytest.mark.parametrize("mode", ["fast", "race", "sanitize"])
def test_an_index_that_wraps_around(mode):
    arrays = slices((0, 1, 2), 16)
    with pytest.raises(OutOfBoundsError, match=rf"element {2**32 - 1} of argument 1 \("):
        RawKernel(CODE, "before", mode=mode)((1,), (16,), (*arrays, np.int32(0)))


@pytest.mark.parametrize("mode", ["fast", "race", "sanitize"])
@pytest.mark.parametrize("n", [1, 5, 1000, 70000])
def test_neighbours_get_their_own_results(mode, n):
    x, y, z = slices((1, 0, 2), n)
    expected = [2 * (n + i) + (2 * n + i) for i in range(n)]
    RawKernel(CODE, "scale", mode=mode)((-(-n // 128),), (128,), (x, y, z, np.int32(n)))
    assert y.tolist() == expected
    assert x.tolist() == list(range(n, 2 * n))
    assert z.tolist() == list(range(2 * n, 3 * n))


@pytest.mark.parametrize("mode", ["fast", "race", "sanitize"])
def test_arrays_that_overlap_stay_together(mode):
    whole = np.arange(24, dtype=np.float32)
    arrays = whole[:6], whole[4:10], whole[4:8]  # The elements that are accessed differ.
    RawKernel(CODE, "scale", mode=mode)((1,), (4,), (*arrays, np.int32(4)))
    assert whole.tolist() == [0, 1, 2, 3, *(2 * i + 4 + i for i in range(4)), *range(8, 24)]


@pytest.mark.parametrize("mode", ["fast", "race"])
def test_arrays_whose_addresses_are_passed_stay_where_they_are(mode):
    y, z = np.arange(8, dtype=np.float32), np.zeros(8, np.float32)
    pointers = np.array([y.ctypes.data, z.ctypes.data], np.uint64)
    RawKernel(CODE, "chase", mode=mode)((1,), (8,), (pointers, y, z, np.int32(8)))
    assert z.tolist() == [2 * i for i in range(8)]


@pytest.mark.parametrize("mode", ["fast", "race", "sanitize"])
def test_an_array_that_is_only_read_may_be_read_only(mode):
    y = np.zeros(8, np.float32)
    x = np.frombuffer(bytes(np.arange(8, dtype=np.float32)), np.float32)
    assert not x.flags.writeable
    RawKernel(CODE, "scale", mode=mode)((1,), (8,), (x, y, x, np.int32(8)))
    assert y.tolist() == [3 * i for i in range(8)]
