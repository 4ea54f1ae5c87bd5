"""Launches of convolution straight from its formula, a thread for each element: for any problem."""

from __future__ import annotations

import numpy as np

from gpucnn.launch.convolution.constants import conv2d_constants, forward_constants
from gpucnn.launch.elementwise import THREADS
from gpucnn.launch.images import image_grid
from gpucnn.launch.launch import Launch, as_int, launch
from gpucnn.launch.machine import Machine
from gpucnn.launch.slices import cut, partial_sums, sum_slices
from gpucnn.operations.convolution import Conv2dFilterGrad, Conv2dForward, Conv2dInputGrad
from gpucnn.operations.geometry import ceil_divide

_SHORTEST_SLICE = 4
"""The least number of rows of dy in a slice of the filter gradient."""


def forward(problem: Conv2dForward) -> tuple[Launch, ...]:
    """y, a thread for each element of an image."""
    conv = problem.conv
    return (
        launch(
            "conv2d_forward.cu",
            "conv2d_forward_direct",
            image_grid(conv.P * conv.Q * conv.K, conv.N),
            ("x", "w", "bias", "residual", "y", as_int(conv.N, "N")),
            (THREADS,),
            forward_constants(problem),
        ),
    )


def input_grad(problem: Conv2dInputGrad) -> tuple[Launch, ...]:
    """dx, a thread for each element of an image."""
    conv = problem.conv
    return (
        launch(
            "conv2d_input_grad.cu",
            "conv2d_input_grad_direct",
            image_grid(conv.H * conv.W * conv.C, conv.N),
            ("dy", "w", "dx", as_int(conv.N, "N")),
            (THREADS,),
            conv2d_constants(conv),
        ),
    )


def filter_grad(problem: Conv2dFilterGrad, machine: Machine) -> tuple[Launch, ...]:
    """dw, a thread for each element of each slice of the rows of dy."""
    conv, shards = problem.conv, problem.batch_shards
    rows = shards.length * conv.P
    blocks = ceil_divide(problem.by_name["dw"].size, THREADS)
    slices = cut(rows, blocks, machine, _SHORTEST_SLICE).in_each_of(shards)
    partial = partial_sums(slices, problem)
    terms = np.int64(conv.N * conv.P), np.int64(rows), np.int64(slices.length)
    return (
        launch(
            "conv2d_filter_grad.cu",
            "conv2d_filter_grad_direct",
            (blocks, slices.count, slices.shards),
            ("x", "dy", partial, *terms),
            (THREADS,),
            conv2d_constants(conv),
        ),
        *sum_slices(slices, partial, problem, machine),
    )
