"""Launches of convolution as an implicit matrix product: its tiles, and the slices of its sums."""

from __future__ import annotations

import math

import numpy as np

from gpucnn.launch.choice import Choice
from gpucnn.launch.convolution.constants import conv2d_constants, forward_constants
from gpucnn.launch.elementwise import vector_of
from gpucnn.launch.launch import Launch, as_int, launch
from gpucnn.launch.machine import Machine
from gpucnn.launch.slices import cut_product, partial_sums, sum_slices
from gpucnn.launch.tiled_product import tiled_product
from gpucnn.launch.tiles import MANY_ROWS, gemm_tile
from gpucnn.launch.variants import longest_slice
from gpucnn.operations.convolution import Conv2dFilterGrad, Conv2dForward, Conv2dInputGrad
from gpucnn.operations.geometry import Conv2dGeometry, ceil_divide

_PLACE_BYTES = 4
"""Shared memory for where a row of a tile begins in dx."""


def forward(problem: Conv2dForward, machine: Machine, choice: Choice) -> tuple[Launch, ...]:
    """y: pixels by filters, with sums over the elements of a window."""
    conv = problem.conv
    channels, filters = conv.C // conv.groups, conv.K // conv.groups
    pixels, elements = conv.N * conv.P * conv.Q, conv.R * conv.S * channels
    tile = choice.tile or gemm_tile(MANY_ROWS, filters)
    product = tiled_product(tile, vector_of(channels), machine)
    blocks = tile.blocks(pixels, filters)
    slices = cut_product(
        elements, blocks * conv.groups, product.blocks_at_once, choice.shortest_slice
    )
    partial = partial_sums(slices, problem)
    length = as_int(slices.length, "a slice")
    return (
        launch(
            "conv2d_forward_gemm.cu",
            "conv2d_forward_gemm",
            (blocks, conv.groups, slices.count),
            ("x", "w", "bias", "residual", "y", partial, np.int64(pixels), length),
            (tile.threads,),
            {**forward_constants(problem), **product.constants},
        ),
        *sum_slices(
            slices,
            partial,
            problem,
            machine,
            bias="bias",
            residual="residual",
            relu=problem.relu,
        ),
    )


def input_grad(problem: Conv2dInputGrad, machine: Machine, choice: Choice) -> tuple[Launch, ...]:
    """dx: pixels of a class by channels, with sums over filters and the taps of the class."""
    conv = problem.conv
    channels, filters = conv.C // conv.groups, conv.K // conv.groups
    rows, rows_of_class, taps_down = _classes(conv, 0)
    columns, columns_of_class, taps_right = _classes(conv, 1)
    classes = rows * columns
    tile = choice.tile or gemm_tile(MANY_ROWS, channels)
    product = tiled_product(tile, vector_of(filters), machine, _PLACE_BYTES * tile.rows)
    blocks = tile.blocks(conv.N * rows_of_class * columns_of_class, channels)
    elements = taps_down * taps_right * filters
    slices = cut_product(
        elements, blocks * conv.groups * classes, product.blocks_at_once, choice.shortest_slice
    )
    partial = partial_sums(slices, problem)
    length = as_int(slices.length, "a slice")
    return (
        launch(
            "conv2d_input_grad_gemm.cu",
            "conv2d_input_grad_gemm",
            (blocks, conv.groups, slices.count * classes),
            ("dy", "w", "dx", partial, np.int64(conv.N), length),
            (tile.threads,),
            {**conv2d_constants(conv), **product.constants},
        ),
        *sum_slices(slices, partial, problem, machine),
    )


def filter_grad(problem: Conv2dFilterGrad, machine: Machine, choice: Choice) -> tuple[Launch, ...]:
    """dw: filters by elements of a window, with sums over pixels."""
    conv, shards = problem.conv, problem.batch_shards
    channels, filters = conv.C // conv.groups, conv.K // conv.groups
    pixels, elements = shards.length * conv.P * conv.Q, conv.R * conv.S * channels
    tile = choice.tile or gemm_tile(filters, elements)
    product = tiled_product(tile, vector_of(channels, filters), machine)
    blocks = tile.blocks(filters, elements)
    slices = cut_product(
        pixels,
        blocks * conv.groups,
        product.blocks_at_once,
        choice.shortest_slice,
        longest_slice(conv),
    ).in_each_of(shards)
    partial = partial_sums(slices, problem)
    terms = np.int64(conv.N * conv.P * conv.Q), np.int64(pixels), np.int32(slices.length)
    return (
        launch(
            "conv2d_filter_grad_gemm.cu",
            "conv2d_filter_grad_gemm",
            (blocks, conv.groups * slices.shards, slices.count),
            ("x", "dy", partial, *terms),
            (tile.threads,),
            {**conv2d_constants(conv), **product.constants},
        ),
        *sum_slices(slices, partial, problem, machine),
    )


def _classes(conv: Conv2dGeometry, axis: int) -> tuple[int, int, int]:
    """An axis as include/input_grad_axis.cuh divides it.

    Returns:
        The number of classes, and the most pixels and the most taps that one has.
    """
    size, taps = (conv.H, conv.W)[axis], (conv.R, conv.S)[axis]
    stride, dilation = conv.stride[axis], conv.dilation[axis]
    period = stride // math.gcd(stride, dilation)
    return min(stride, size), ceil_divide(size, stride), ceil_divide(taps, period)
