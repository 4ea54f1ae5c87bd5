"""Cooperative groups: what each function gives in every mode, and what is reported of mistakes."""

import re
from pathlib import Path

import numpy as np
import pytest

from gpucnn.backends.devices.emulator_device import why_unavailable
from gpucnn.emulator import RawKernel
from gpucnn.emulator.errors import (
    DivergenceError,
    EmulatorError,
    RaceError,
    UndefinedBehaviourError,
)
from gpucnn.errors import BackendError

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())

MODES = pytest.mark.parametrize("mode", ["fast", "race", "sanitize"])
SOURCES = Path(__file__).parent
HEADERS = """
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
#include <cooperative_groups/scan.h>
namespace cg = cooperative_groups;
"""

RIGHT = SOURCES.joinpath("cooperative_groups.cu").read_text(encoding="utf-8")


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


@MODES
def test_copies_in_stages(rng, mode):
    x, y = rng.integers(-8, 8, (5, 64)).astype(np.float32), np.zeros(96, np.float32)
    run("copies", mode, (1,), (64,), (x, np.int32(5), y))
    np.testing.assert_array_equal(y[:64], x.sum(axis=0)[::-1])
    content = x.view(np.int8).reshape(-1)[5:].astype(np.int32)
    assert y[64:].tolist() == [content[i] + 256 * content[66 - i] for i in range(32)]


@MODES
def test_threads_that_come_together_count_once(rng, mode):
    x, y = rng.integers(-5, 5, 100).astype(np.int32), np.zeros(129, np.int32)
    run("filter", mode, (2,), (64,), (x, y, np.int32(100)))
    kept = sorted(x[x > 0].tolist())
    assert y[0] == len(kept)
    assert sorted(y[1 : 1 + len(kept)].tolist()) == kept


@MODES
def test_coalesced_threads_are_all_that_come(rng, mode):
    x, y = rng.integers(-5, 5, 64).astype(np.int32), np.zeros((64, 8), np.int32)
    run("thirds", mode, (1,), (64,), (x, y))
    for warp in (0, 1):
        lanes = [i for i in range(32 * warp, 32 * warp + 32) if i % 3 == 0]
        own = x[lanes].tolist()
        for rank, i in enumerate(lanes):
            part = own[rank // 4 * 4 : rank // 4 * 4 + 4]
            assert y[i].tolist() == [
                rank,
                len(lanes),
                sum(own),
                sum(1 << k for k, value in enumerate(own) if value > 0),
                sum(own[:rank]),
                len(part) + 10 * (rank // 4) + 100 * 3,
                own[rank + 2] if rank + 2 < len(own) else own[rank],
                max(part),
            ]
    assert not y[1::3].any()


@MODES
def test_partitions_by_label(rng, mode):
    x, y = rng.integers(0, 5, 64).astype(np.int32), np.zeros((64, 8), np.int32)
    x[48:] = 4
    run("labels", mode, (1,), (64,), (x, y))
    for i, row in enumerate(y.tolist()):
        tile = range(i // 16 * 16, i // 16 * 16 + 16)
        same = [k for k in tile if x[k] == x[i]]
        leaders = sorted({min(k for k in tile if x[k] == label) for label in x[list(tile)]})
        half = [k for k in tile if (x[k] > 2) == (x[i] > 2)]
        halves = 1 if len(half) == 16 else 2
        assert row == [
            same.index(i),
            len(same),
            leaders.index(same[0]),
            len(leaders),
            sum(same),
            len(half),
            10 * halves + (int(x[i] > 2) if halves == 2 else 0),
            half[-1],
        ]


WRONG = SOURCES.joinpath("cooperative_group_mistakes.cu").read_text(encoding="utf-8")
LINES = WRONG.split("\n")
EVERY, RACE, CHECKED = ("fast", "race", "sanitize"), ("race",), ("race", "sanitize")
RACES = r"by thread .* races with .* by thread .* of slots \(shared memory"
MISTAKES = [
    ("lacks_a_tile_barrier", RACE, RaceError, RACES),
    ("synchronises_tiles_too_small", RACE, RaceError, RACES),
    ("lacks_a_block_barrier", RACE, RaceError, RACES),
    (
        "some_lanes_skip",
        EVERY,
        DivergenceError,
        "thread .* has left the kernel|which has left the kernel",
    ),
    ("skip_a_barrier", EVERY, DivergenceError, "thread_block::sync|thread_block_tile::sync"),
    (
        "on_two_lines",
        EVERY,
        DivergenceError,
        "shfl with mask 0xffffffff, but lane .* waits at shfl with mask",
    ),
    (
        "on_one_line",
        EVERY,
        DivergenceError,
        "shfl with mask 0xffffffff, but lane .* waits at shfl with mask",
    ),
    (
        "through_a_group",
        EVERY,
        DivergenceError,
        "thread_group::sync with mask 0x0*ffff0*, but lane .* waits at",
    ),
    (
        "with_a_warp",
        EVERY,
        DivergenceError,
        "thread_block_tile::sync.*__syncwarp|__syncwarp.*thread_block_tile",
    ),
    (
        "reads_outside_the_tile",
        EVERY,
        DivergenceError,
        "shfl_xor reads rank [89] of a tile of 8|rank 1. of a tile",
    ),
    (
        "does_not_divide",
        EVERY,
        DivergenceError,
        "tiled_partition<32> of a block of 48 threads, which is no multiple of 32",
    ),
    (
        "no_power_of_two",
        EVERY,
        DivergenceError,
        "tiled_partition with 12 threads; a tile has 1, 2, 4, 8, 16 or 32",
    ),
    (
        "larger_than_its_parent",
        EVERY,
        DivergenceError,
        "tiled_partition of a group of 4 threads into tiles of 8",
    ),
    ("waits_for_no_copy", RACE, RaceError, "asynchronous copy"),
    ("overflows", CHECKED, UndefinedBehaviourError, "signed integer overflow"),
]


@pytest.mark.parametrize(
    ("kernel", "mode", "error", "words"),
    [(name, mode, *expected) for name, modes, *expected in MISTAKES for mode in modes],
    ids=[f"{name}-{mode}" for name, modes, *_ in MISTAKES for mode in modes],
)
def test_a_mistake_is_reported_by_line(kernel, mode, error, words):
    threads = 48 if kernel == "does_not_divide" else 64
    with pytest.raises(error) as caught:
        run(kernel, mode, (1,), (threads,), (np.zeros(64, np.int32),), code=WRONG)
    message = str(caught.value)
    assert re.search(rf"kernel {kernel}, block \(0, 0, 0\).* thread \(\d+, 0, 0\)", message), (
        message
    )
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
        ("auto c = cg::this_cluster();", r"this_cluster\(\): the emulator has no clusters"),
        ("auto t = cg::tiled_partition<64>(b);", "a tile has 1, 2, 4, 8, 16 or 32 threads"),
        ("auto t = cg::tiled_partition<8>(cg::tiled_partition<8>(b));", "a tile is smaller than"),
        (
            "y[0] = cg::reduce(cg::tiled_partition<8>(b), 1, cg::plus<float>());",
            "function of a reduction or scan returns another type than the value's",
        ),
        ("y[0] = cg::reduce(b, 1, cg::plus<int>());", "only a tile or a coalesced group can be"),
        ("cg::tiled_partition<8>(b).shfl(Large(), 0);", "exchanges values of up to 32 bytes"),
    ],
)
def test_what_is_refused_is_named(statement, words):
    code = (
        f"{HEADERS} struct Large {{ int values[9]; }};"
        'extern "C" __global__ void k(int* y) { const auto b = cg::this_thread_block(); '
        f"{statement} }}"
    )
    with pytest.raises((BackendError, EmulatorError), match=words):
        run("k", "fast", (1,), (64,), (np.zeros(1, np.int32),), code=code)
