"""Launches of convolution if every channel is a group of its own, with one filter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gpucnn.launch.convolution.constants import conv2d_constants, forward_constants
from gpucnn.launch.elementwise import THREADS, WARP
from gpucnn.launch.launch import Argument, Constant, Launch, as_int, launch
from gpucnn.launch.machine import Machine
from gpucnn.launch.slices import cut, partial_sums, sum_slices
from gpucnn.operations.convolution import Conv2dFilterGrad, Conv2dForward, Conv2dInputGrad
from gpucnn.operations.geometry import Conv2dGeometry, Pair, ceil_divide

_FILE = "conv2d_depthwise.cu"
_STRIP = 4
"""Neighbouring pixels that a thread computes, about."""
_BLOCKS_A_MULTIPROCESSOR = 32
"""Enough blocks to keep a multiprocessor busy; with more, a block takes several images."""
_WIDEST = 8
"""The most columns of a filter for a thread to take several channels: it keeps a row of what its
strip reads, of each of them, in registers."""


def forward(problem: Conv2dForward, machine: Machine) -> tuple[Launch, ...]:
    """y, a thread for each strip of its rows."""
    conv = problem.conv
    arguments = ("x", "w", "bias", "residual", "y", as_int(conv.N, "N"))
    size, constants = (conv.P, conv.Q), forward_constants(problem)
    return (_strips(conv, machine, "conv2d_depthwise_forward", size, arguments, constants),)


def input_grad(problem: Conv2dInputGrad, machine: Machine) -> tuple[Launch, ...]:
    """dx, a thread for each strip of its rows."""
    conv = problem.conv
    arguments = ("dy", "w", "dx", as_int(conv.N, "N"))
    # The kernel is in one file with that of the forward pass, whose constants it must have.
    size, constants = (conv.H, conv.W), forward_constants(Conv2dForward(conv))
    return (_strips(conv, machine, "conv2d_depthwise_input_grad", size, arguments, constants),)


def _strips(
    conv: Conv2dGeometry,
    machine: Machine,
    kernel: str,
    size: Pair,
    arguments: Sequence[Argument | str],
    constants: Mapping[str, Constant],
) -> Launch:
    """A thread for each strip of the results, which have this size (height, width)."""
    width = 4 if conv.C % 4 == 0 and conv.S <= _WIDEST else 1
    lanes = _lanes(conv.C // width)
    strips = THREADS // lanes
    stride = conv.stride[1]
    strip = stride * max(1, _STRIP // stride)
    blocks = ceil_divide(conv.C, lanes * width)
    blocks *= ceil_divide(size[0] * ceil_divide(size[1], strip), strips)
    images = ceil_divide(machine.blocks(_BLOCKS_A_MULTIPROCESSOR), blocks)
    shape = {"WIDTH": width, "LANES": lanes, "STRIPS": strips, "STRIP": strip}
    return launch(
        _FILE,
        kernel,
        (blocks, min(conv.N, images)),
        arguments,
        (lanes, strips),
        {**constants, **shape},
    )


def filter_grad(problem: Conv2dFilterGrad, machine: Machine) -> tuple[Launch, ...]:
    """dw: a block sums up a slice of the rows of dy."""
    conv, shards = problem.conv, problem.batch_shards
    lanes = _lanes(conv.C)
    block_rows = THREADS // lanes
    blocks = ceil_divide(conv.C, lanes)
    rows = shards.length * conv.P
    slices = cut(rows, blocks, machine, block_rows).in_each_of(shards)
    partial = partial_sums(slices, problem)
    terms = np.int64(conv.N * conv.P), np.int64(rows), np.int64(slices.length)
    return (
        launch(
            "conv2d_depthwise_filter_grad.cu",
            "conv2d_depthwise_filter_grad",
            (blocks, slices.count, slices.shards),
            ("x", "dy", partial, *terms),
            (lanes, block_rows),
            {**conv2d_constants(conv), "LANES": lanes, "ROWS": block_rows},
        ),
        *sum_slices(slices, partial, problem, machine),
    )


def _lanes(vectors: int) -> int:
    """Threads along the channels: a power of two, a warp at most."""
    return min(WARP, 1 << (vectors - 1).bit_length())
