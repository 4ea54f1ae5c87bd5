"""Lanes of a mask that have left the kernel take no part in barriers, votes and reductions of a
warp, which is CUDA's rule since Volta; whoever reads the value of one is reported."""

import re

import numpy as np
import pytest

from gpucnn.backends.devices.emulator_device import why_unavailable
from gpucnn.emulator import RawKernel
from gpucnn.emulator.errors import DivergenceError

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())

MODES = pytest.mark.parametrize("mode", ["fast", "race", "sanitize"])

CODE = r"""
#include <cooperative_groups.h>
namespace cg = cooperative_groups;
#define KERNEL extern "C" __global__ void
#define ALL 0xffffffffu

// Some lanes leave at once, others after they have met once more among themselves.
KERNEL collectives(const int* x, int* y, int n) {
    __shared__ int slots[32];
    const unsigned lane = threadIdx.x;
    if (lane >= n + 4) {
        return;
    }
    if (lane >= n) {
        __syncwarp(0xfu << n);
        return;
    }
    y += 9 * lane;
    y[0] = __ballot_sync(ALL, x[lane] % 2);
    y[1] = __all_sync(ALL, x[lane] < 8);
    y[2] = __any_sync(ALL, x[lane] == 7);
    y[3] = __match_any_sync(ALL, x[lane]);
    int all;
    y[4] = __match_all_sync(ALL, x[lane] / 8, &all);
    y[5] = all;
    y[6] = __reduce_add_sync(ALL, x[lane]);
    slots[lane] = x[lane];
    __syncwarp();
    y[7] = slots[lane ^ 1];
    y[8] = __shfl_xor_sync(ALL, x[lane], 1);
}

KERNEL tiles(const int* x, int* y, int n) {
    __shared__ int slots[32];
    const auto tile = cg::tiled_partition<8>(cg::this_thread_block());
    const unsigned lane = threadIdx.x;
    if (lane >= n) {
        return;
    }
    slots[lane] = x[lane];
    tile.sync();
    y[lane] = slots[lane ^ 1] + 100 * tile.ballot(x[lane] % 2);
}

KERNEL reads_what_has_left(const int* x, int* y, int n) {
    const int lane = threadIdx.x;
    if (lane >= n) {
        return;
    }
    int sum = x[lane];
    for (int distance = 16; distance > 0; distance /= 2) {
        sum += __shfl_down_sync(ALL, sum, distance);  // reads_what_has_left
    }
    y[lane] = sum;
}

KERNEL waits_in_vain(const int* x, int* y, int n) {
    if (threadIdx.x == n) {
        __ballot_sync(ALL, 1);  // waits_in_vain
    } else {
        __syncthreads();  // waits_in_vain
    }
}
"""


def run(kernel, mode, x, y, n):
    RawKernel(CODE, kernel, mode=mode)((1,), (32,), (x, y, np.int32(n)))


@MODES
@pytest.mark.parametrize("n", [2, 18, 26, 28])
def test_collectives_of_those_that_are_left(rng, mode, n):
    """Of these, 28 leaves no lane that goes at once."""
    x, y = rng.integers(0, 9, 32).astype(np.int32), np.zeros((32, 9), np.uint32)
    run("collectives", mode, x, y, n)
    own = x[:n].tolist()
    same = len({value // 8 for value in own}) == 1
    for lane, value in enumerate(own):
        assert y[lane].tolist() == [
            sum(1 << i for i, other in enumerate(own) if other % 2),
            int(max(own) < 8),
            int(7 in own),
            sum(1 << i for i, other in enumerate(own) if other == value),
            2**32 - 1 if same else 0,
            int(same),
            sum(own),
            own[lane ^ 1],
            own[lane ^ 1],
        ]
    assert not y[n:].any()


@MODES
def test_tiles_of_which_lanes_have_left(rng, mode):
    x, y = rng.integers(0, 9, 32).astype(np.int32), np.zeros(32, np.int32)
    run("tiles", mode, x, y, 12)
    for lane in range(12):
        own = x[lane // 8 * 8 : lane // 8 * 8 + 8][: 12 - lane // 8 * 8]
        votes = sum(1 << i for i, value in enumerate(own) if value % 2)
        assert y[lane] == x[lane ^ 1] + 100 * votes


@MODES
@pytest.mark.parametrize(
    ("kernel", "words"),
    [
        ("reads_what_has_left", r"__shfl_down_sync: lane \d+ reads lane \d+, which has left"),
        ("waits_in_vain", "__ballot_sync|__syncthreads"),
    ],
)
def test_a_lane_that_is_needed(mode, kernel, words):
    with pytest.raises(DivergenceError, match=words) as caught:
        run(kernel, mode, np.zeros(32, np.int32), np.zeros(32, np.int32), 5)
    marked = {i for i, line in enumerate(CODE.split("\n"), 1) if line.endswith(f"// {kernel}")}
    named = {int(line) for line in re.findall(r"\.cu:(\d+)", str(caught.value))}
    assert named and named <= marked, caught.value
