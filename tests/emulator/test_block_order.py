"""Blocks that hand on what they wrote: by a fence and an atomic operation, and not otherwise."""

import numpy as np
import pytest

from gpucnn.emulator import RawKernel
from gpucnn.emulator.engine import why_unavailable
from gpucnn.emulator.errors import RaceError

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())

# The last block to come adds up what all have written.
LAST_BLOCK = """
__device__ unsigned count;
extern "C" __global__ void sum(const float* x, float* parts, float* y) {
    __shared__ float values[64];
    __shared__ bool is_last;
    values[threadIdx.x] = x[blockIdx.x * 64 + threadIdx.x];
    for (int half = 32; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) values[threadIdx.x] += values[threadIdx.x + half];
    }
    if (threadIdx.x == 0) {
        parts[blockIdx.x] = values[0];
        __threadfence();
        is_last = atomicInc(&count, gridDim.x) == gridDim.x - 1;
    }
    __syncthreads();
    if (is_last && threadIdx.x == READER) {
        float sum = 0.0f;
        for (int i = 0; i < gridDim.x; ++i) sum += parts[i];
        *y = sum;
        count = 0;
    }
}
"""

# Each block adds to a plain variable while it holds the lock.
LOCK = """
extern "C" __global__ void add(int* lock, int* total) {
    if (threadIdx.x == 0) {
        while (atomicCAS(lock, 0, 1) != 0) {
        }
        *total += blockIdx.x;
        __threadfence();
        atomicExch(lock, 0);
    }
}
"""


@pytest.mark.parametrize("reader", [0, 5])
@pytest.mark.parametrize("seed", range(3))
def test_the_last_block_reads_what_the_others_wrote(reader, seed):
    kernel = RawKernel(LAST_BLOCK, "sum", (f"-DREADER={reader}",), seed=seed)
    x = np.arange(5 * 64, dtype=np.float32)
    for _ in range(2):
        parts, y = np.zeros(5, np.float32), np.zeros(1, np.float32)
        kernel((5,), (64,), (x, parts, y))
        assert y[0] == 320 * 319 / 2


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("        __threadfence();\n", ""),
        (
            "        parts[blockIdx.x] = values[0];\n        __threadfence();\n"
            "        is_last = atomicInc(&count, gridDim.x) == gridDim.x - 1;\n",
            "        __threadfence();\n"
            "        is_last = atomicInc(&count, gridDim.x) == gridDim.x - 1;\n"
            "        parts[blockIdx.x] = values[0];\n",
        ),
        ("parts[blockIdx.x] = values[0];", "parts[blockIdx.x] = 1; parts[0] = values[0];"),
        ("atomicInc(&count, gridDim.x) == gridDim.x - 1", "blockIdx.x == 3"),
    ],
    ids=["no fence", "a write after the ticket", "a write by all", "no ticket"],
)
def test_what_is_not_handed_on_is_a_race(right, wrong):
    assert right in LAST_BLOCK
    kernel = RawKernel(LAST_BLOCK.replace(right, wrong), "sum", ("-DREADER=0",))
    arguments = (np.ones(5 * 64, np.float32), np.zeros(5, np.float32), np.zeros(1, np.float32))
    with pytest.raises(RaceError, match=r"of block .* of argument 2"):
        kernel((5,), (64,), arguments)


def test_a_lock_orders_what_is_done_under_it():
    lock, total = np.zeros(1, np.int32), np.zeros(1, np.int32)
    RawKernel(LOCK, "add")((9,), (32,), (lock, total))
    assert total[0] == 36
    without = LOCK.replace("        __threadfence();\n", "")
    with pytest.raises(RaceError, match=r"of block .* of argument 2"):
        RawKernel(without, "add")((9,), (32,), (lock, total))
