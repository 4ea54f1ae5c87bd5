"""Which kernels can carry out a convolution, and which are chosen.

It follows from the shapes alone: the same problem takes the same kernel on every machine. The batch
size does not matter, so that a smaller last batch compiles nothing new.
"""

from __future__ import annotations

import math
from enum import StrEnum
from functools import lru_cache

from gpucnn.launch.slices import LARGEST_INT, SHORTEST_SLICE
from gpucnn.launch.tiles import DEPTH
from gpucnn.operations.convolution import (
    Conv2dFilterGrad,
    Conv2dForward,
    Conv2dInputGrad,
    Convolution,
)
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
"""The most columns from a filter's first tap to its last. The depthwise kernels are unrolled over
them; compiling that takes seconds for 512 columns, and minutes for thousands."""


class Variant(StrEnum):
    """The kernels for a convolution."""

    DIRECT = "direct"
    """A thread an element, straight from the formula: can do everything."""
    GEMM = "gemm"
    """A matrix product whose operands are gathered as they are read."""
    DEPTHWISE = "depthwise"
    """For groups of one channel and one filter: no product, all reading and writing."""


@lru_cache(maxsize=4096)
def conv2d_variants(problem: Convolution) -> tuple[Variant, ...]:
    """The variants that can do the problem; the chosen one first."""
    conv = problem.conv
    channels, filters = conv.C // conv.groups, conv.K // conv.groups
    narrowest = {
        Conv2dForward: filters,
        Conv2dInputGrad: channels,
        Conv2dFilterGrad: min(filters, conv.R * conv.S * channels),
    }
    able = [Variant.DIRECT]
    # Groups and shards, and for the input gradient the residues of strides, lie along short axes of
    # the grid.
    shards = problem.batch_shards.count if isinstance(problem, Conv2dFilterGrad) else 1
    short = max(conv.groups * shards, math.prod(conv.stride)) <= _SHORT_AXIS
    if short and _images_fit(conv):
        able.insert(0 if narrowest[type(problem)] > _NARROW else 1, Variant.GEMM)
    if _depthwise(conv):
        able.insert(0, Variant.DEPTHWISE)
    return tuple(able)


def _images_fit(conv: Conv2dGeometry) -> bool:
    """Whether an int counts the elements of all images that share a tile, or a shortest slice."""
    of_class = math.prod(
        max(1, size // stride) for size, stride in zip((conv.H, conv.W), conv.stride, strict=True)
    )
    images = SHORTEST_SLICE // min(of_class, conv.P * conv.Q) + 3
    return images <= _most_images(conv)


def _most_images(conv: Conv2dGeometry) -> int:
    """How many images an int can index.

    The offsets of taps outside the image count too, which are formed but never read.
    """
    (H, W), (P, Q) = (conv.H, conv.W), (conv.P, conv.Q)
    height, width = H + sum(conv.padding[0]), W + sum(conv.padding[1])
    down, right = height // conv.stride[0], width // conv.stride[1]
    pixels_beyond = (height - H) * W + width
    outputs_beyond = max(0, down - P) * Q + right
    return min(
        (LARGEST_INT - pixels_beyond * conv.C) // (H * W * conv.C),
        (LARGEST_INT - outputs_beyond * conv.K) // (P * Q * conv.K),
    )


def longest_slice(conv: Conv2dGeometry) -> int:
    """How many pixels of dy a slice may have.

    So few that an int indexes its outputs and images even one step beyond its end. At least DEPTH
    for every problem that GEMM accepts.
    """
    pixels = conv.P * conv.Q
    images = _most_images(conv) - 2
    outputs = LARGEST_INT // conv.K
    return min(images * pixels, outputs, LARGEST_INT - pixels) - DEPTH


def _depthwise(conv: Conv2dGeometry) -> bool:
    return (
        conv.groups == conv.C == conv.K > 1
        and conv.R * conv.S <= _DEPTHWISE_TAPS
        and max(conv.stride) <= _DEPTHWISE_STRIDE
        and (conv.S - 1) * conv.dilation[1] <= _DEPTHWISE_REACH
        and _most_images(conv) >= 1
    )
