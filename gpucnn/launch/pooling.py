"""Launches of max, average and global average pooling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gpucnn.launch.channel_rows import Chunks, channel_block, channel_width
from gpucnn.launch.choice import Choice
from gpucnn.launch.elementwise import THREADS
from gpucnn.launch.images import image_grid
from gpucnn.launch.launch import Argument, Launch, Workspace, as_int, launch
from gpucnn.launch.machine import Machine
from gpucnn.launch.planning import plans
from gpucnn.operations import global_pooling, pooling
from gpucnn.operations.geometry import Pool2dGeometry, ceil_divide

_GLOBAL = "global_avg_pool2d.cu"
_BLOCKS_PER_MULTIPROCESSOR = 8
"""Enough blocks to fill a GPU; beyond that a block takes several images."""


@plans(pooling.MaxPool2dForward, pooling.MaxPool2dInputGrad)
def _max_pooling(
    problem: pooling.MaxPooling, _machine: Machine, _choice: Choice
) -> tuple[Launch, ...]:
    return (_by_pixels("max_pool2d.cu", problem),)


@plans(pooling.AvgPool2dForward, pooling.AvgPool2dInputGrad)
def _average_pooling(
    problem: pooling.AveragePooling, _machine: Machine, _choice: Choice
) -> tuple[Launch, ...]:
    return (_by_pixels("avg_pool2d.cu", problem),)


def _by_pixels(file: str, problem: pooling.WindowPooling) -> Launch:
    """A thread for each vector of channels in a pixel of the result; images along y."""
    sizes = problem.sizes
    _, rows, columns, C = problem.by_name[problem.gives[0]].shape
    width = channel_width(C)
    return launch(
        file,
        problem.operation,
        image_grid(rows * columns * (C // width), sizes.N),
        (*problem.takes, *problem.gives, as_int(sizes.N, "N")),
        (THREADS,),
        {"WIDTH": width, **_constants(sizes)},
    )


def _constants(sizes: Pool2dGeometry) -> Mapping[str, int]:
    """What the kernels know at compile time; the offsets within an image must fit an int."""
    as_int(sizes.H * sizes.W * sizes.C, "H·W·C")
    as_int(sizes.P * sizes.Q * sizes.C, "P·Q·C")
    (top, _), (left, _) = sizes.padding
    return {
        "H": sizes.H,
        "W": sizes.W,
        "C": sizes.C,
        "R": sizes.R,
        "S": sizes.S,
        "P": sizes.P,
        "Q": sizes.Q,
        "STRIDE_H": sizes.stride[0],
        "STRIDE_W": sizes.stride[1],
        "PAD_H": top,
        "PAD_W": left,
    }


@plans(global_pooling.GlobalAvgPool2dForward)
def _global_avg_pool2d_forward(
    problem: global_pooling.GlobalAvgPool2dForward, machine: Machine, _choice: Choice
) -> tuple[Launch, ...]:
    """Sums of chunks of pixels, then the sum of those, unless one chunk has all pixels."""
    N, H, W, C = problem.x_shape
    factor = 1.0 / (H * W)
    chunks = channel_block(C).chunks_to_sum(H * W, machine)
    if chunks.count == 1:
        return (_global(problem, machine, ("x", "y"), factor, chunks),)
    partial = Workspace("partial", (N, chunks.count, C), problem.dtypes.accumulation)
    join = Chunks(chunks.count, chunks.count, 1)
    return (
        _global(problem, machine, ("x", partial), 1.0, chunks),
        _global(problem, machine, (partial, "y"), factor, join),
    )


@plans(global_pooling.GlobalAvgPool2dInputGrad)
def _global_avg_pool2d_input_grad(
    problem: global_pooling.GlobalAvgPool2dInputGrad, machine: Machine, _choice: Choice
) -> tuple[Launch, ...]:
    _, H, W, C = problem.x_shape
    chunks = channel_block(C).chunks_to_map(H * W)
    return (_global(problem, machine, ("dy", "dx"), 1.0 / (H * W), chunks),)


def _global(
    problem: global_pooling.GlobalAveragePooling,
    machine: Machine,
    arrays: Sequence[Argument | str],
    factor: float,
    chunks: Chunks,
) -> Launch:
    """Columns of channels along x, images along y, chunks of their pixels along z."""
    N, _, _, C = problem.x_shape
    block = channel_block(as_int(C, "C").item())
    most = ceil_divide(machine.blocks(_BLOCKS_PER_MULTIPROCESSOR), block.columns * chunks.count)
    return launch(
        _GLOBAL,
        problem.operation,
        (block.columns, min(N, most), chunks.count),
        (*arrays, np.float32(factor), *chunks.arguments, np.int32(C), as_int(N, "N")),
        block.shape,
        {"WIDTH": block.width},
    )
