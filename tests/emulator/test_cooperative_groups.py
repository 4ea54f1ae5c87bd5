"""Cooperative groups: what each function gives in every mode, and what is reported of mistakes."""

import re

import numpy as np
import pytest

from gpucnn.backends.devices.emulator_device import why_unavailable
from gpucnn.emulator import RawKernel
from gpucnn.errors import BackendError

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())

MODES = pytest.mark.parametrize("mode", ["fast", "race", "sanitize"])
HEADERS = """
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
#include <cooperative_groups/scan.h>
namespace cg = cooperative_groups;
"""

# Each kernel writes a row of results for each thread, in the order of their ranks in the grid.
RIGHT = (
    HEADERS
    + r"""
#define KERNEL extern "C" __global__ void

KERNEL places(const int* x, int* y) {
    const cg::thread_block block = cg::this_thread_block();
    const cg::grid_group grid = cg::this_grid();
    const auto tile = cg::tiled_partition<16>(block);
    const auto part = cg::tiled_partition<4>(tile);
    const cg::thread_block_tile<4> same = part;
    const cg::thread_group any_block = block, any_tile = tile;
    y += grid.thread_rank() * 32;
    const unsigned values[] = {
        block.thread_rank(), block.size(), block.num_threads(),
        block.group_index().x, block.group_index().y, block.group_index().z,
        block.thread_index().x, block.thread_index().y, block.thread_index().z,
        block.dim_threads().x, block.dim_threads().y, block.group_dim().z,
        (unsigned)grid.size(), (unsigned)grid.num_blocks(), (unsigned)grid.block_rank(),
        grid.group_dim().x, grid.dim_blocks().y, grid.block_index().y, grid.thread_index().x,
        tile.thread_rank(), tile.size(), tile.meta_group_rank(), tile.meta_group_size(),
        part.thread_rank(), same.num_threads(), same.meta_group_rank(), part.meta_group_size(),
        (unsigned)any_block.thread_rank(), (unsigned)any_block.size(),
        (unsigned)any_tile.thread_rank(), (unsigned)any_tile.size(),
        (unsigned)cg::group_size(cg::this_thread()) + cg::thread_rank(tile),
    };
    static_assert(sizeof values / sizeof *values == 32);
    for (unsigned value : values) {
        *y++ = value;
    }
}

template <unsigned Size>
__device__ void exchange(int x, int* y) {
    const auto tile = cg::tiled_partition<Size>(cg::this_thread_block());
    y[0] = tile.shfl(x, Size / 2);
    y[1] = tile.shfl_up(x, 1);
    y[2] = tile.shfl_down(x, 3);
    y[3] = tile.shfl_xor(x, Size - 1);
    y[4] = tile.any(x == 5);
    y[5] = tile.all(x < 8);
    y[6] = tile.ballot(x % 3 == 0);
    y[7] = tile.match_any(x);
    int all = -1;
    y[8] = tile.match_all(x / 8, all);
    y[9] = all;
    y[10] = cg::reduce(tile, x, cg::plus<int>());
    y[11] = cg::inclusive_scan(tile, x);
    y[12] = cg::exclusive_scan(tile, x, cg::plus<int>());
    y[13] = cg::exclusive_scan(tile, x, cg::greater<int>());
}

KERNEL exchanges(const int* x, int* y) {
    const unsigned i = cg::this_grid().thread_rank();
    y += i * 6 * 14;
    exchange<1>(x[i], y);
    exchange<2>(x[i], y + 14);
    exchange<4>(x[i], y + 28);
    exchange<8>(x[i], y + 42);
    exchange<16>(x[i], y + 56);
    exchange<32>(x[i], y + 70);
}

KERNEL reductions(const int* x, double* y) {
    const auto tile = cg::tiled_partition<16>(cg::this_thread_block());
    const unsigned i = cg::this_grid().thread_rank();
    const int own = x[i];
    const unsigned bits = own * 2654435761u;
    y += i * 12;
    y[0] = cg::reduce(tile, own, cg::less<int>());
    y[1] = cg::reduce(tile, own - 8, cg::greater<int>());
    y[2] = cg::reduce(tile, bits, cg::plus<unsigned>());
    y[3] = cg::reduce(tile, bits, cg::bit_and<unsigned>());
    y[4] = cg::reduce(tile, bits, cg::bit_or<unsigned>());
    y[5] = cg::reduce(tile, bits, cg::bit_xor<unsigned>());
    y[6] = cg::reduce(tile, (long long)own << 33, cg::plus<long long>());
    y[7] = cg::reduce(tile, 1.0f / (own + 1), cg::plus<float>());
    y[8] = cg::reduce(tile, 1.0 / (own + 1), cg::plus<double>());
    y[9] = cg::reduce(tile, 1.0f / (own + 1), cg::less<float>());
    y[10] = cg::reduce(tile, own % 7 + 1LL, [](long long a, long long b) { return a * b % 97; });
    y[11] = cg::inclusive_scan(tile, 1.0f / (own + 1), cg::plus<float>());
}

struct Extreme { float value; int index; };

KERNEL structures(const float* x, int* y) {
    const auto tile = cg::tiled_partition<8>(cg::this_thread_block());
    const unsigned i = cg::this_grid().thread_rank();
    const Extreme best = cg::reduce(
        tile, Extreme{x[i], (int)i}, [](const Extreme& a, const Extreme& b) {
            return a.value > b.value || (a.value == b.value && a.index < b.index) ? a : b;
        });
    y[2 * i] = best.index;
    y[2 * i + 1] = tile.shfl(best, 3).index;
}

// As in CUDA's own examples: a tree over any group, in shared memory.
__device__ float tree_sum(cg::thread_group g, float* scratch, float value) {
    const int rank = g.thread_rank();
    for (int i = g.size() / 2; i > 0; i /= 2) {
        scratch[rank] = value;
        g.sync();
        if (rank < i) {
            value += scratch[rank + i];
        }
        g.sync();
    }
    return value;
}

KERNEL trees(const float* x, float* y) {
    extern __shared__ float scratch[];
    const auto block = cg::this_thread_block();
    const unsigned i = cg::this_grid().thread_rank(), rank = block.thread_rank();
    const auto tile = cg::tiled_partition(block, 32);
    const auto part = cg::tiled_partition(tile, 4);
    const float sums[] = {tree_sum(block, scratch, x[i]),
                          tree_sum(tile, scratch + rank / 32 * 32, x[i]),
                          tree_sum(part, scratch + rank / 4 * 4, x[i]),
                          tree_sum(cg::tiled_partition<8>(block), scratch + rank / 8 * 8, x[i])};
    for (int k = 0; k < 4; ++k) {
        y[i * 4 + k] = sums[k];
    }
}

KERNEL block_sum(const float* x, float* y) {
    __shared__ float sums[32];
    cg::thread_block cta = cg::this_thread_block();
    cg::thread_block_tile<32> warp = cg::tiled_partition<32>(cta);
    float sum = x[blockIdx.x * blockDim.x + threadIdx.x];
    for (int offset = warp.size() / 2; offset > 0; offset >>= 1) {
        sum += warp.shfl_down(sum, offset);
    }
    if (warp.thread_rank() == 0) {
        sums[warp.meta_group_rank()] = sum;
    }
    cg::sync(cta);
    if (warp.meta_group_rank() == 0) {
        sum = warp.thread_rank() < warp.meta_group_size() ? sums[warp.thread_rank()] : 0.0f;
        sum = cg::reduce(warp, sum, cg::plus<float>());
        cg::invoke_one(warp, [&](float* to) { *to = sum; }, &y[blockIdx.x]);
    }
}

KERNEL counts(const int* x, int* y) {
    using namespace cooperative_groups;
    auto tile = tiled_partition<8>(this_thread_block());
    const int own = x[this_grid().thread_rank()];
    const unsigned votes = tile.ballot(own >= 4);
    if (tile.thread_rank() == 0) {
        atomicAdd(&y[0], __popc(votes));
    }
    auto pair = tiled_partition<2>(tile);
    int largest = own;
    largest = max(largest, pair.shfl_xor(largest, 1));
    if (pair.thread_rank() == 0) {
        atomicMax(&y[1], largest);
    }
}

KERNEL product(const float* a, const float* b, float* c, int n) {
    __shared__ float left[8][8], right[8][8];
    cg::thread_block block = cg::this_thread_block();
    const int row = blockIdx.y * 8 + threadIdx.y, column = blockIdx.x * 8 + threadIdx.x;
    float sum = 0.0f;
    for (int k = 0; k < n; k += 8) {
        left[threadIdx.y][threadIdx.x] = a[row * n + k + threadIdx.x];
        right[threadIdx.y][threadIdx.x] = b[(k + threadIdx.y) * n + column];
        block.sync();
        for (int i = 0; i < 8; ++i) {
            sum += left[threadIdx.y][i] * right[i][threadIdx.x];
        }
        auto token = block.barrier_arrive();
        block.barrier_wait(static_cast<cg::thread_block::arrival_token&&>(token));
    }
    c[row * n + column] = sum;
}

// Neighbours exchange by shared memory, in tiles and, after others have left, in the block.
KERNEL neighbours(const int* x, int* y) {
    __shared__ int slots[80];
    const auto block = cg::this_thread_block();
    const unsigned i = block.thread_rank();
    const auto tile = cg::tiled_partition<4>(block);
    const auto last = cg::tiled_partition(block, 32);
    slots[i] = x[i];
    tile.sync();
    y[i] = slots[i ^ 1] + 100 * last.size() + 10000 * last.thread_rank();
    block.sync();
    if (i >= 40) {
        return;
    }
    slots[i] = 2 * x[i];
    block.sync();
    y[i] += slots[39 - i];
}
"""
)


def run(kernel, mode, grid, block, arguments, shared_mem=0, code=RIGHT):
    RawKernel(code, kernel, mode=mode)(grid, block, arguments, shared_mem=shared_mem)


@MODES
def test_places(mode):
    grid, block = (3, 2, 1), (8, 2, 3)
    y = np.zeros((6 * 48, 32), np.int32)
    run("places", mode, grid, block, (np.zeros(1, np.int32), y))
    for number, row in enumerate(y):
        rank, index = number % 48, number // 48
        thread = (rank % 8, rank // 8 % 2, rank // 16)
        assert row.tolist() == [
            rank, 48, 48,
            index % 3, index // 3, 0,
            *thread,
            8, 2, 3,
            288, 6, index,
            3, 2, index // 3, index % 3 * 8 + thread[0],
            rank % 16, 16, rank // 16, 3,
            rank % 4, 4, rank // 4 % 4, 4,
            rank, 48,
            rank % 16, 16,
            1 + rank % 16,
        ]  # fmt: skip


def exchanged(values, rank):
    """What a thread gets in a tile of these values."""
    size, own = len(values), values[rank]
    equal = sum(1 << i for i, value in enumerate(values) if value == own)
    same = len({value // 8 for value in values}) == 1
    return [
        values[size // 2],
        values[rank - 1] if rank >= 1 else own,
        values[rank + 3] if rank + 3 < size else own,
        values[size - 1 - rank],
        int(5 in values),
        int(max(values) < 8),
        sum(1 << i for i, value in enumerate(values) if value % 3 == 0),
        equal,
        2**size - 1 if same else 0,
        int(same),
        sum(values),
        sum(values[: rank + 1]),
        sum(values[:rank]),
        max(values[:rank], default=0),
    ]


@MODES
def test_exchanges_in_tiles_of_every_size(rng, mode):
    x = rng.integers(0, 10, 2 * 64).astype(np.int32)
    y = np.zeros((2 * 64, 6, 14), np.uint32)
    run("exchanges", mode, (2,), (16, 4), (x, y))
    for number, rows in enumerate(y):
        for size, row in zip((1, 2, 4, 8, 16, 32), rows.tolist(), strict=True):
            first = number // size * size
            assert row == exchanged(x[first : first + size].tolist(), number - first)


def butterfly(values):
    """Sums of pairs that are the whole, a half, a quarter ... of the tile apart."""
    while len(values) > 1:
        half = len(values) // 2
        values = values[:half] + values[half:]
    return float(values[0])


def scanned(values):
    """Sums with what is 1, 2, 4 ... ranks lower."""
    distance = 1
    while distance < len(values):
        values = np.concatenate([values[:distance], values[distance:] + values[:-distance]])
        distance *= 2
    return values


@MODES
def test_reductions_by_type_and_function(rng, mode):
    """Floats in the order that CUDA has, to the last bit."""
    x = rng.integers(0, 40, 64).astype(np.int32)
    y = np.zeros((64, 12))
    run("reductions", mode, (1,), (64,), (x, y))
    for tile in range(4):
        own = x[tile * 16 : tile * 16 + 16].tolist()
        bits = [value * 2654435761 % 2**32 for value in own]
        product = 1
        conjunction, disjunction, difference = 2**32 - 1, 0, 0
        for value, word in zip(own, bits, strict=True):
            product = product * (value % 7 + 1) % 97
            conjunction, disjunction = conjunction & word, disjunction | word
            difference ^= word
        single = np.float32(1) / (np.array(own, np.float32) + np.float32(1))
        expected = [
            min(own), max(own) - 8, sum(bits) % 2**32, conjunction, disjunction, difference,
            sum(own) * 2**33, butterfly(single), butterfly(1 / (np.array(own) + 1.0)),
            float(single.min()), product,
        ]  # fmt: skip
        for rank in range(16):
            row = y[tile * 16 + rank].tolist()
            assert row == [*expected, float(scanned(single)[rank])]


@MODES
def test_structures_are_exchanged(rng, mode):
    x = rng.integers(0, 5, 64).astype(np.float32)
    y = np.zeros((64, 2), np.int32)
    run("structures", mode, (1,), (64,), (x, y))
    best = [8 * tile + int(x[8 * tile : 8 * tile + 8].argmax()) for tile in range(8)]
    assert y.tolist() == [[best[i // 8]] * 2 for i in range(64)]


@MODES
def test_a_tree_over_any_group(rng, mode):
    x = rng.integers(-8, 8, 2 * 64).astype(np.float32)
    y = np.zeros((2 * 64, 4), np.float32)
    run("trees", mode, (2,), (64,), (x, y), 64 * 4)
    for k, size in enumerate((64, 32, 4, 8)):
        np.testing.assert_array_equal(y[::size, k], x.reshape(-1, size).sum(axis=1))


@MODES
def test_a_sum_of_a_block_by_its_warps(rng, mode):
    x, y = rng.integers(-8, 8, 3 * 128).astype(np.float32), np.zeros(3, np.float32)
    run("block_sum", mode, (3,), (128,), (x, y))
    np.testing.assert_array_equal(y, x.reshape(3, 128).sum(axis=1))


@MODES
def test_one_thread_of_a_tile_counts(rng, mode):
    x, y = rng.integers(0, 8, 3 * 64).astype(np.int32), np.zeros(2, np.int32)
    run("counts", mode, (3,), (64,), (x, y))
    assert y.tolist() == [np.count_nonzero(x >= 4), x.max()]


@MODES
def test_a_product_of_matrices(rng, mode):
    a, b = (rng.integers(-4, 4, (24, 24)).astype(np.float32) for _ in range(2))
    c = np.zeros((24, 24), np.float32)
    run("product", mode, (3, 3), (8, 8), (a, b, c, np.int32(24)))
    np.testing.assert_array_equal(c, a @ b)


@MODES
def test_tiles_and_blocks_put_accesses_in_order(rng, mode):
    """The last of the tiles whose size is an argument has 16 threads."""
    x, y = rng.integers(0, 50, 80).astype(np.int32), np.zeros(80, np.int32)
    run("neighbours", mode, (1,), (80,), (x, y))
    for i in range(80):
        size = 16 if i >= 64 else 32
        expected = x[i ^ 1] + 100 * size + 10000 * (i % 32)
        assert y[i] == expected + (2 * x[39 - i] if i < 40 else 0)


WRONG = (
    HEADERS
    + r"""
#define KERNEL extern "C" __global__ void
#define TWICE(call) (threadIdx.x % 4 == 0 ? (call) : 0) + (threadIdx.x % 4 != 0 ? (call) : 0)

KERNEL lacks_a_tile_barrier(int* y) {
    __shared__ int slots[64];
    const auto tile = cg::tiled_partition<4>(cg::this_thread_block());
    slots[threadIdx.x] = 1;  // lacks_a_tile_barrier
    tile.shfl(1, 0);  // Orders nothing.
    y[threadIdx.x] = slots[threadIdx.x ^ 1];  // lacks_a_tile_barrier
}

KERNEL synchronises_tiles_too_small(int* y) {
    __shared__ int slots[64];
    const auto tile = cg::tiled_partition<4>(cg::this_thread_block());
    slots[threadIdx.x] = 1;  // synchronises_tiles_too_small
    tile.sync();
    y[threadIdx.x] = slots[threadIdx.x ^ 4];  // synchronises_tiles_too_small
}

KERNEL lacks_a_block_barrier(int* y) {
    __shared__ int slots[64];
    const cg::thread_block block = cg::this_thread_block();
    slots[block.thread_rank()] = 1;
    block.sync();
    slots[block.thread_rank()] = 2;  // lacks_a_block_barrier
    y[threadIdx.x] = slots[63 - block.thread_rank()];  // lacks_a_block_barrier
}

KERNEL some_lanes_skip(int* y) {
    const auto tile = cg::tiled_partition<8>(cg::this_thread_block());
    if (tile.thread_rank() < 5) {
        y[threadIdx.x] = cg::reduce(tile, 1, cg::plus<int>());  // some_lanes_skip
    }
}

KERNEL skip_a_barrier(int* y) {
    cg::thread_block block = cg::this_thread_block();
    if (block.thread_rank() != 3) {
        block.sync();  // skip_a_barrier
    } else {
        cg::tiled_partition<2>(block).sync();  // skip_a_barrier
    }
}

KERNEL on_two_lines(int* y) {
    const auto tile = cg::tiled_partition<32>(cg::this_thread_block());
    if (tile.thread_rank() < 16) {
        y[threadIdx.x] = tile.shfl(1, 0);  // on_two_lines
    } else {
        y[threadIdx.x] = tile.shfl(2, 0);  // on_two_lines
    }
}

KERNEL on_one_line(int* y) {
    const auto tile = cg::tiled_partition<32>(cg::this_thread_block());
    y[threadIdx.x] = threadIdx.x % 2 ? tile.shfl(1, 0) : tile.shfl(2, 0);  // on_one_line
}

KERNEL through_a_group(int* y) {
    const auto block = cg::this_thread_block();
    const cg::thread_group tile = cg::tiled_partition(block, 16);
    if (threadIdx.x % 2) {
        cg::sync(tile);  // through_a_group
    } else {
        tile.sync();  // through_a_group
    }
}

KERNEL with_a_warp(int* y) {
    const auto tile = cg::tiled_partition<16>(cg::this_thread_block());
    if (threadIdx.x < 16) {
        tile.sync();  // with_a_warp
    }
    y[threadIdx.x] = __shfl_sync(~0u, 1, 0) + threadIdx.x;
    if (threadIdx.x != 3) {
        __syncwarp();  // with_a_warp
    } else {
        tile.sync();  // with_a_warp
    }
}

KERNEL reads_outside_the_tile(int* y) {
    const auto tile = cg::tiled_partition<8>(cg::this_thread_block());
    y[threadIdx.x] = tile.shfl_xor(1, 8);  // reads_outside_the_tile
}

KERNEL does_not_divide(int* y) {
    const auto half = cg::tiled_partition<16>(cg::this_thread_block());
    const auto tile = cg::tiled_partition<32>(cg::this_thread_block());  // does_not_divide
    y[threadIdx.x] = tile.thread_rank() + half.thread_rank();
}

KERNEL no_power_of_two(int* y) {
    const auto tile = cg::tiled_partition(cg::this_thread_block(), 12);  // no_power_of_two
    tile.sync();
}

KERNEL larger_than_its_parent(int* y) {
    const cg::thread_group tile = cg::tiled_partition(cg::this_thread_block(), 4);
    cg::tiled_partition(tile, 8).sync();  // larger_than_its_parent
}

KERNEL overflows(int* y) {
    const auto tile = cg::tiled_partition<32>(cg::this_thread_block());
    y[threadIdx.x] = cg::reduce(tile, 1 << 30, cg::plus<int>());  // overflows
}
"""
)
LINES = WRONG.split("\n")
EVERY, RACE, CHECKED = ("fast", "race", "sanitize"), ("race",), ("race", "sanitize")
RACES = "data race in shared memory"
MISTAKES = [
    ("lacks_a_tile_barrier", RACE, RACES),
    ("synchronises_tiles_too_small", RACE, RACES),
    ("lacks_a_block_barrier", RACE, RACES),
    ("some_lanes_skip", EVERY, "thread .* has left the kernel|which has left the kernel"),
    ("skip_a_barrier", EVERY, "thread_block::sync|thread_block_tile::sync"),
    ("on_two_lines", EVERY, "shfl with mask 0xffffffff, but lane .* waits at shfl with mask"),
    ("on_one_line", EVERY, "shfl with mask 0xffffffff, but lane .* waits at shfl with mask"),
    ("through_a_group", EVERY, "thread_group::sync with mask 0x0*ffff0*, but lane .* waits at"),
    ("with_a_warp", EVERY, "thread_block_tile::sync.*__syncwarp|__syncwarp.*thread_block_tile"),
    ("reads_outside_the_tile", EVERY, "shfl_xor reads rank [89] of a tile of 8|rank 1. of a tile"),
    (
        "does_not_divide",
        EVERY,
        "tiled_partition<32> of a block of 48 threads, which is no multiple of 32",
    ),
    ("no_power_of_two", EVERY, "tiled_partition with 12 threads; a tile has 1, 2, 4, 8, 16 or 32"),
    ("larger_than_its_parent", EVERY, "tiled_partition of a group of 4 threads into tiles of 8"),
    ("overflows", CHECKED, "signed integer overflow"),
]


@pytest.mark.parametrize(
    ("kernel", "mode", "words"),
    [(name, mode, words) for name, modes, words in MISTAKES for mode in modes],
)
def test_a_mistake_is_reported_by_line(kernel, mode, words):
    threads = 48 if kernel == "does_not_divide" else 64
    with pytest.raises(BackendError) as caught:
        run(kernel, mode, (1,), (threads,), (np.zeros(64, np.int32),), code=WRONG)
    message = str(caught.value)
    assert re.search(rf"kernel {kernel}, block \(0, 0, 0\), thread \(\d+, 0, 0\)", message), message
    assert re.search(words, message), message
    marked = {i for i, line in enumerate(LINES, 1) if line.endswith(f"// {kernel}")}
    named = {int(line) for line in re.findall(r"\.cu:(\d+)", message)}
    assert named and named <= marked, message
    assert not re.search(r"\.h:\d", message), message
    if kernel.startswith("on_two") or words == RACES:
        assert len(named) == 2, message


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("cg::this_grid().sync();", r"grid_group::sync\(\): all blocks would have to run at once"),
        ("cg::sync(cg::this_grid());", r"grid_group::sync\(\): all blocks would have to run"),
        ("auto g = cg::coalesced_threads();", r"coalesced_threads\(\) is the threads that happen"),
        ("cg::coalesced_group g = cg::coalesced_threads();", r"coalesced_threads\(\) is the"),
        ("auto c = cg::this_cluster();", r"this_cluster\(\): the emulator has no clusters"),
        ("auto t = cg::tiled_partition<64>(b);", "a tile has 1, 2, 4, 8, 16 or 32 threads"),
        ("auto t = cg::tiled_partition<8>(cg::tiled_partition<8>(b));", "a tile is smaller than"),
        (
            "y[0] = cg::reduce(cg::tiled_partition<8>(b), 1, cg::plus<float>());",
            "reduce: the function returns another type than the value's",
        ),
        ("cg::tiled_partition<8>(b).shfl(Large(), 0);", "exchanges values of up to 32 bytes"),
    ],
)
def test_what_is_refused_is_named(statement, words):
    code = (
        f"{HEADERS} struct Large {{ int values[9]; }};"
        'extern "C" __global__ void k(int* y) { const auto b = cg::this_thread_block(); '
        f"{statement} }}"
    )
    with pytest.raises(BackendError, match=words):
        run("k", "fast", (1,), (64,), (np.zeros(1, np.int32),), code=code)
