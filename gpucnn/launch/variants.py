"""Which kernels can carry out a convolution, and which are chosen.

It follows from shapes alone, and knows no device: the same problem takes the same kernel wherever
it runs. Nor does the batch size decide, so that a smaller last batch compiles nothing new.
"""

from __future__ import annotations

import math
from enum import StrEnum
from functools import lru_cache

from gpucnn.launch.slices import LARGEST_INT, SHORTEST_SLICE
from gpucnn.launch.tiles import DEPTH
from gpucnn.operations.geometry import Conv2dGeometry

_SHORT_AXIS = 65_535
"""Blocks along y or z of a grid at most."""
_NARROW = 2
"""Results of so few columns leave most of any tile empty."""
_DEPTHWISE_TAPS = 64
"""A thread of the depthwise kernels keeps a sum a tap in registers."""
_DEPTHWISE_STRIDE = 8
"""A thread of the depthwise kernels keeps a strip of pixels as long as the stride in registers."""
_DEPTHWISE_REACH = 512
"""Columns from a filter's first tap to its last that a thread of the depthwise kernels tells apart
when they are compiled; that takes seconds for so many, and minutes for thousands."""


class Variant(StrEnum):
    """The kernels for a convolution."""

    DIRECT = "direct"
    """A thread an element, straight from the formula: can do everything."""
    GEMM = "gemm"
    """A matrix product whose operands are gathered as they are read."""
    DEPTHWISE = "depthwise"
    """For groups of one channel and one filter: no product, all reading and writing."""


class Pass(StrEnum):
    """The three convolutions of a training step."""

    FORWARD = "forward"
    INPUT_GRAD = "input_grad"
    FILTER_GRAD = "filter_grad"


@lru_cache(maxsize=4096)
def conv2d_variants(problem: Conv2dGeometry, which: Pass) -> tuple[Variant, ...]:
    """The variants that can do one pass of the problem; the chosen one first."""
    channels, filters = problem.C // problem.groups, problem.K // problem.groups
    narrowest = {
        Pass.FORWARD: filters,
        Pass.INPUT_GRAD: channels,
        Pass.FILTER_GRAD: min(filters, problem.R * problem.S * channels),
    }
    able = [Variant.DIRECT]
    # Groups, and for the input gradient the residues of strides, lie along short axes of the grid.
    short = max(problem.groups, math.prod(problem.stride)) <= _SHORT_AXIS
    if short and _images_fit(problem):
        able.insert(0 if narrowest[which] > _NARROW else 1, Variant.GEMM)
    if _depthwise(problem):
        able.insert(0, Variant.DEPTHWISE)
    return tuple(able)


def _images_fit(problem: Conv2dGeometry) -> bool:
    """Whether an int counts the elements of all images that share a tile, or a shortest slice."""
    of_class = math.prod(
        max(1, size // stride)
        for size, stride in zip((problem.H, problem.W), problem.stride, strict=True)
    )
    images = SHORTEST_SLICE // min(of_class, problem.P * problem.Q) + 3
    return images <= _most_images(problem)


def _most_images(problem: Conv2dGeometry) -> int:
    """How many images an int can index.

    The offsets of taps outside the image count too, which are formed but never read.
    """
    (H, W), (P, Q) = (problem.H, problem.W), (problem.P, problem.Q)
    height, width = H + sum(problem.padding[0]), W + sum(problem.padding[1])
    down, right = height // problem.stride[0], width // problem.stride[1]
    pixels_beyond = (height - H) * W + width
    outputs_beyond = max(0, down - P) * Q + right
    return min(
        (LARGEST_INT - pixels_beyond * problem.C) // (H * W * problem.C),
        (LARGEST_INT - outputs_beyond * problem.K) // (P * Q * problem.K),
    )


def longest_slice(problem: Conv2dGeometry) -> int:
    """How many pixels of dy a slice may have.

    So few that an int indexes its outputs and images even one step beyond its end. At least DEPTH
    for every problem that GEMM accepts.
    """
    pixels = problem.P * problem.Q
    images = _most_images(problem) - 2
    outputs = LARGEST_INT // problem.K
    return min(images * pixels, outputs, LARGEST_INT - pixels) - DEPTH


def _depthwise(problem: Conv2dGeometry) -> bool:
    return (
        problem.groups == problem.C == problem.K > 1
        and problem.R * problem.S <= _DEPTHWISE_TAPS
        and max(problem.stride) <= _DEPTHWISE_STRIDE
        and (problem.S - 1) * problem.dilation[1] <= _DEPTHWISE_REACH
        and _most_images(problem) >= 1
    )
