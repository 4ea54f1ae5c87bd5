"""Several threads that write the same value: a race in words of its own, which can be allowed."""

import numpy as np
import pytest

from gpucnn.backends.devices.emulator_device import why_unavailable
from gpucnn.emulator import RawKernel
from gpucnn.emulator.errors import RaceError

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())

CODE = r"""
extern "C" __global__ void mark(const float* x, float* y) {
    if (x[threadIdx.x] > 0) y[0] = 7;
}
extern "C" __global__ void mark_shared(const float* x, float* y) {
    __shared__ double found;
    if (threadIdx.x == 0) found = 0;
    __syncthreads();
    if (x[threadIdx.x] > 0) found = 1;
    __syncthreads();
    if (threadIdx.x == 0) y[blockIdx.x] = found;
}
extern "C" __global__ void different(const float* x, float* y) {
    y[0] = threadIdx.x < 40 ? 7 : 8;
}
extern "C" __global__ void half_of_a_double(const float* x, float* y) {
    // The lower half is the same.
    *reinterpret_cast<double*>(y) = threadIdx.x < 40 ? 1.0 : 2.0;
}
extern "C" __global__ void last_is_different(const float* x, float* y) {
    y[0] = 7;
    if (threadIdx.x == 5) y[0] = 8;
}
extern "C" __global__ void after_some_of_them(const float* x, float* y) {
    // All write 7; those of the second warp are in order with its 8, those of the first are not.
    y[0] = 7;
    if (threadIdx.x >= 32) {
        __syncwarp();
        if (threadIdx.x == 40) y[0] = 8;
    }
}
extern "C" __global__ void read_as_well(const float* x, float* y) {
    if (threadIdx.x % 2) y[0] = 7; else y[1 + threadIdx.x] = y[0];
}
extern "C" __global__ void blocks_differ(const float* x, float* y) {
    if (threadIdx.x == 0) y[0] = 7 + blockIdx.x / 2;
}
"""
AT = r"at kernel\.cu:\d+"
THREAD = r"thread \(\d+, 0, 0\)"


def run(name, grid=1, allowed=False, seed=0):
    x, y = np.ones(64, np.float32), np.zeros(66, np.float32)
    kernel = RawKernel(CODE, name, seed=seed, allow_same_value_writes=allowed)
    kernel((grid,), (64,), (x, y))
    return y


@pytest.mark.parametrize(
    ("name", "grid", "who", "what"),
    [
        ("mark", 1, rf", block \(0, 0, 0\): {THREAD} and {THREAD}", "element 0 of argument 2 .*"),
        ("mark_shared", 1, rf", block \(0, 0, 0\): {THREAD} and {THREAD}", "byte 0 of found .*"),
        (
            "blocks_differ",
            2,
            rf": {THREAD} of block \(\d, 0, 0\) and {THREAD} of block \(\d, 0, 0\)",
            "element 0 of argument 2 .*",
        ),
    ],
)
def test_the_same_value(name, grid, who, what):
    words = rf"kernel {name}{who} write the same value to {what} {AT} and {AT}, and nothing .*"
    for seed in range(4):
        with pytest.raises(RaceError) as caught:
            run(name, grid, seed=seed)
        caught.match(f"^{words}")
        run(name, grid, allowed=True, seed=seed)


def test_the_result_is_right():
    assert run("mark", 3, allowed=True)[0] == 7
    assert run("mark_shared", 1, allowed=True)[0] == 1


@pytest.mark.parametrize("allowed", [False, True])
@pytest.mark.parametrize(
    "name", ["different", "half_of_a_double", "last_is_different", "after_some_of_them"]
)
def test_different_values_are_a_race_even_if_the_same_are_allowed(name, allowed):
    for seed in range(8):
        with pytest.raises(RaceError) as caught:
            run(name, allowed=allowed, seed=seed)
        if allowed:
            caught.match("write .* races with write .* both of element")


@pytest.mark.parametrize("name", ["read_as_well", "blocks_differ"])
def test_reads_and_other_blocks(name):
    for seed in range(4):
        with pytest.raises(RaceError, match="races with"):
            run(name, 3, allowed=True, seed=seed)
