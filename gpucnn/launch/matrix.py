"""Launches of the matrix product, in tiles, and of the sum over all axes but the last."""

from __future__ import annotations

import math

from gpucnn.launch.channel_rows import channel_block
from gpucnn.launch.choice import Choice
from gpucnn.launch.elementwise import vector_of
from gpucnn.launch.launch import Argument, Launch, Slot, Workspace, as_int, launch
from gpucnn.launch.machine import Machine
from gpucnn.launch.planning import plans
from gpucnn.launch.slices import SHORTEST_SLICE, cut_product, partial_sums, sum_slices
from gpucnn.launch.tiled_product import tiled_product
from gpucnn.launch.tiles import gemm_tile
from gpucnn.operations.matrix import ChannelSum, Matmul

_CHANNEL_SUM = "channel_sum.cu"
_BATCH_ROWS = 64
"""Rows of a tile if the batch decides how many there are."""
_MOSTLY_BUSY = 3 / 4
"""The share of the multiprocessors with a block of their own above which slices are long."""
_SHORT_SLICE = 64
"""Terms that a slice has at least if there are fewer blocks: the other multiprocessors are idle."""


@plans(Matmul, tiled=(None,))
def _matmul(problem: Matmul, machine: Machine, choice: Choice) -> tuple[Launch, ...]:
    M, N, K = problem.sizes
    # The rows of a that is not transposed are samples: how many must not select the kernel.
    tile = choice.tile or gemm_tile(M if problem.transpose_a else _BATCH_ROWS, N)
    # The rows of b are as long as a batch if both are transposed.
    long_b = problem.transpose_a and problem.transpose_b
    columns_of_b = 1 if long_b else problem.b[1]
    product = tiled_product(tile, vector_of(problem.a[1], columns_of_b), machine)
    blocks = tile.blocks(M, N)
    is_busy = blocks > _MOSTLY_BUSY * machine.multiprocessors
    shortest = SHORTEST_SLICE if is_busy else _SHORT_SLICE
    slices = cut_product(K, blocks, product.blocks_at_once, shortest)
    partial = partial_sums(slices, problem)
    rows_name, columns_name = ("K", "M") if problem.transpose_a else ("M", "K")
    arguments = (
        "a",
        "b",
        "bias",
        "product",
        partial,
        as_int(problem.a[0], rows_name),
        as_int(slices.length, "a slice"),
    )
    constants = {
        "N": as_int(N, "N").item(),
        "A_COLUMNS": as_int(problem.a[1], columns_name).item(),
        "TRANSPOSE_A": problem.transpose_a,
        "TRANSPOSE_B": problem.transpose_b,
        "HAS_BIAS": problem.has_bias,
        "RELU": problem.relu,
        **product.constants,
    }
    grid = (blocks, 1, slices.count)
    return (
        launch("matmul.cu", "matmul", grid, arguments, (tile.threads,), constants),
        *sum_slices(slices, partial, problem, machine, bias="bias", relu=problem.relu),
    )


@plans(ChannelSum)
def _channel_sum(problem: ChannelSum, machine: Machine, _choice: Choice) -> tuple[Launch, ...]:
    """Over chunks of rows, and then over the chunks, if there are several."""
    C = as_int(problem.shape[-1], "C").item()
    block = channel_block(C)
    chunks = block.chunks_to_sum(math.prod(problem.shape) // C, machine)
    join_threads = block.threads_to_join(machine)
    constants = {**block.constants, "JOIN_THREADS": join_threads}
    is_whole = chunks.count == 1
    partial: Argument = Slot("total")
    if not is_whole:
        partial = Workspace("partial", (C, chunks.count), problem.dtypes.accumulation)
    of_chunks = launch(
        _CHANNEL_SUM,
        "channel_sum_of_chunks",
        (block.columns, chunks.count),
        ("x", partial, *chunks.arguments),
        block.shape,
        constants,
    )
    if is_whole:
        return (of_chunks,)
    to_join = (partial, "total", as_int(chunks.count, "chunks"))
    join = launch(_CHANNEL_SUM, "channel_sum_join", (C,), to_join, (join_threads,), constants)
    return of_chunks, join
