"""Atomic operations on floats, which can be refused, and on integers of other sizes."""

import numpy as np
import pytest

from gpucnn.backends.devices.emulator_device import why_unavailable
from gpucnn.emulator import RawKernel
from gpucnn.emulator.errors import CompilationError, RaceError

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())

MODES = ("fast", "race", "sanitize")
CODE = r"""
extern "C" __global__ void add(const float* x, float* y, double* z) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    atomicAdd(y, x[i]);
    atomicAdd(z, (double)x[i]);
}
extern "C" __global__ void in_shared_memory(const float* x, float* y, double* z) {
    __shared__ float sum;
    if (threadIdx.x == 0) sum = 0.0f;
    __syncthreads();
    atomicAdd(&sum, x[blockIdx.x * blockDim.x + threadIdx.x]);
    __syncthreads();
    if (threadIdx.x == 0) atomicAdd(y, sum);
}
extern "C" __global__ void add_and_store(const float* x, float* y, double* z) {
    if (threadIdx.x == 0) *y = 1.0f; else atomicAdd(y, x[threadIdx.x]);
}
extern "C" __global__ void returns(const float* x, float* y, double* z) {
    float f = 2.5f;
    double d = 0.25;
    unsigned short s = 7;
    long long l = -5;
    y[0] = atomicAdd(&f, 1);
    y[1] = f;
    y[2] = atomicExch(&f, 9.5f);
    y[3] = f;
    z[0] = atomicAdd(&d, 1.0);
    z[1] = d;
    z[2] = atomicCAS(&s, (unsigned short)7, (unsigned short)9);
    z[3] = s;
    z[4] = atomicMax(&l, -7ll);
    z[5] = l;
    z[6] = atomicMin(&l, -6ll);
    z[7] = l;
}
"""


def arrays(x):
    return x, np.zeros(4, np.float32), np.zeros(8)


@pytest.mark.parametrize("mode", MODES)
def test_sums_of_floats(rng, mode):
    x, y, z = arrays(rng.standard_normal(4 * 64).astype(np.float32))
    RawKernel(CODE, "add", mode=mode)((4,), (64,), (x, y, z))
    # Each of 255 additions rounds a partial sum, which is at most the sum of absolute values.
    exact, size = x.astype(np.float64).sum(), np.abs(x.astype(np.float64)).sum()
    assert abs(y[0] - exact) <= 255 * 2**-24 * size
    assert abs(z[0] - exact) <= 255 * 2**-52 * size


@pytest.mark.parametrize("mode", MODES)
def test_sums_in_shared_memory(mode):
    x, y, z = arrays(np.arange(4 * 64, dtype=np.float32))
    RawKernel(CODE, "in_shared_memory", mode=mode)((4,), (64,), (x, y, z))
    assert y[0] == 256 * 255 / 2


@pytest.mark.parametrize("mode", ["fast", "race"])
def test_the_order_is_drawn_from_the_seed(rng, mode):
    values = rng.standard_normal(64).astype(np.float32) * 10.0 ** rng.integers(-4, 4, 64)

    def total(seed):
        x, y, z = arrays(values.astype(np.float32))
        RawKernel(CODE, "add", mode=mode, seed=seed)((1,), (64,), (x, y, z))
        return float(y[0])

    sums = [total(seed) for seed in range(6)]
    assert len(set(sums)) > 1
    assert [total(seed) for seed in range(6)] == sums


@pytest.mark.parametrize("mode", MODES)
def test_what_they_return(mode):
    x, y, z = arrays(np.zeros(1, np.float32))
    RawKernel(CODE, "returns", mode=mode)((1,), (1,), (x, y, z))
    assert y.tolist() == [2.5, 3.5, 3.5, 9.5]
    assert z.tolist() == [0.25, 1.25, 7, 9, -5, -5, -5, -6]


def test_a_plain_store_races_with_them():
    with pytest.raises(RaceError, match=r"atomic operation at .* both of element 0 of argument 2"):
        RawKernel(CODE, "add_and_store")((1,), (64,), arrays(np.ones(64, np.float32)))


@pytest.mark.parametrize("mode", [*MODES, pytest.param("ptx", marks=pytest.mark.nvrtc)])
def test_they_are_refused_unless_they_are_allowed(mode):
    words = r"atomicAdd of floats.*: their sum depends.*or allow it with float_atomics=True"
    kernel = RawKernel(CODE, "add", mode=mode, float_atomics=False)
    with pytest.raises(CompilationError, match=words):
        kernel((1,), (1,), arrays(np.ones(1, np.float32)))
