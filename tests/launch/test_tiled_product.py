"""How many blocks of a matrix product share a multiprocessor, and what follows from it."""

from itertools import product

import pytest

from gpucnn.launch import EMULATED, MACHINES, plan
from gpucnn.launch.tiled_product import tiled_product
from gpucnn.launch.tiles import TILES
from gpucnn.operations.convolution import Conv2dFilterGrad
from gpucnn.operations.geometry import conv2d_geometry

BY_SIZE = {(tile.rows, tile.columns): tile for tile in TILES}
PLACES = 4
"""Bytes of shared memory for each row of a tile that the input gradient needs besides."""


def residency(architecture, size, vector, table_bytes=0):
    """(depth, blocks) of a tile."""
    planned = tiled_product(BY_SIZE[size], vector, MACHINES[architecture], table_bytes)
    return planned.tile.depth, planned.resident_blocks


@pytest.mark.parametrize(
    ("size", "vector", "blocks"),
    [
        ((128, 128), 4, 2),  # 65536 registers / (256 threads × 128) = 2
        ((128, 64), 4, 3),  # 65536 / (128 × 168) = 3.05
        ((64, 128), 1, 3),
        ((64, 64), 4, 4),  # 65536 / (128 × 128) = 4
        ((64, 32), 4, 5),  # 65536 / (128 × 96) = 5.3
        ((128, 16), 4, 8),  # 65536 / (64 × 128) = 8
        ((128, 16), 1, 4),  # 65536 / (64 × 256) = 4; 255 registers take up 256
    ],
)
def test_residency_by_registers(size, vector, blocks):
    """An H100, whose 228 KiB of shared memory are enough for any tile."""
    assert residency("sm_90a", size, vector) == (16, blocks)


@pytest.mark.parametrize(
    ("architecture", "size", "has_table", "depth", "blocks"),
    [
        # Two buffers of depth 16 × (128 + 4 + 128 + 4) values: 33 KiB, of which T4's 64 KiB hold
        # one; half as deep, 16.5 KiB, they hold the two that registers allow.
        ("sm_75", (128, 128), False, 8, 2),
        # 25 KiB, or 12.5 KiB: two, or the three that registers allow.
        ("sm_75", (128, 64), False, 8, 3),
        # 21 KiB: three; with 0.5 KiB more two. Half a step has no vector for every thread.
        ("sm_75", (128, 32), False, 16, 3),
        ("sm_75", (128, 32), True, 16, 2),
        # V100's 96 KiB hold two of 33 KiB, also with 0.5 KiB more.
        ("sm_70", (128, 128), True, 16, 2),
        # 19 KiB: V100 five; with the 1 KiB that CUDA takes, RTX 5090's 100 KiB also five, but with
        # 0.5 KiB more four; A100's 164 KiB eight, exactly.
        ("sm_70", (128, 16), False, 16, 5),
        ("sm_120a", (128, 16), False, 16, 5),
        ("sm_120a", (128, 16), True, 16, 4),
        ("sm_80", (128, 16), True, 16, 8),
    ],
)
def test_residency_by_shared_memory(architecture, size, has_table, depth, blocks):
    table_bytes = PLACES * size[0] if has_table else 0
    assert residency(architecture, size, 4, table_bytes) == (depth, blocks)


@pytest.mark.parametrize(
    ("machine", "tile", "vector"),
    [
        pytest.param(machine, tile, vector, id=f"{name}-{tile.rows}x{tile.columns}-{vector}")
        for (name, machine), tile, vector in product(MACHINES.items(), TILES, (1, 4))
    ],
)
def test_resident_blocks_fit(machine, tile, vector):
    """Whatever the compiler makes of the bound: registers come in eights, at most 255 a thread."""
    planned = tiled_product(tile, vector, machine, PLACES * tile.rows)
    blocks, threads = planned.resident_blocks, planned.tile.threads
    assert blocks >= 1
    assert blocks * threads <= machine.threads
    allowed = min(256, machine.registers // (blocks * threads) // 8 * 8)
    assert blocks * threads * allowed <= machine.registers
    assert planned.registers <= allowed
    # Two buffers of both operands, padded by four values a row.
    operands = 2 * planned.tile.depth * (tile.rows + 4 + tile.columns + 4) * 4
    of_block = operands + PLACES * tile.rows + (1024 if machine.compute_capability >= 80 else 0)
    assert blocks * of_block <= machine.shared_bytes
    assert of_block <= machine.block_shared_bytes


def test_what_is_unrolled():
    """Whole steps, if registers are enough; with half of a multiprocessor's, little or nothing."""

    def unrolled(size, vector, machine=EMULATED):
        return tiled_product(BY_SIZE[size], vector, machine).constants["UNROLLED_K"]

    assert unrolled((128, 64), 1) == unrolled((16, 128), 4) == 16
    assert unrolled((128, 128), 4) == 2
    assert unrolled((128, 128), 1) == 1
    assert unrolled((128, 128), 4, MACHINES["sm_120a"]) == 1


@pytest.mark.parametrize(
    ("architecture", "channels", "most"),
    [
        ("sm_90a", 16, 132 * 8),
        ("sm_90a", 15, 132 * 4),  # Values are read one by one.
        ("sm_75", 16, 40 * 3),
    ],
)
def test_sums_are_cut_to_fill_one_wave(architecture, channels, most):
    """Long sums for 16 filters: as many blocks as run at the same time."""
    conv = conv2d_geometry((512, 32, 32, channels), (16, 3, 3, channels), (1, 1), (1, 1), (1, 1), 1)
    product = plan(Conv2dFilterGrad(conv), MACHINES[architecture])[0]
    assert ("BLOCK_N", 128) in product.constants
    x, _, z = product.grid
    assert 0.9 * most < x * z <= most
