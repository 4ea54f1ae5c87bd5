"""Which kernels can carry out a problem, which are chosen, how products are tiled and sums cut.

Everything here follows from shapes alone, and knows no device: so the same problem gives the same
order of sums, and the same bits, wherever it runs. What selects the code of a kernel does not
depend on the batch size, so that a smaller last batch compiles nothing new.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from gpucnn.backends.geometry import Conv2dGeometry, ceil_divide

_ENOUGH_BLOCKS = 512
"""Blocks that keep the largest GPU busy: cutting a sum further gains nothing."""
_BLOCKS_AT_ONCE = 264
"""Blocks of a product that a wave has: two on each of the 132 multiprocessors of a large GPU."""
_MOST_BLOCKS = 4 * _BLOCKS_AT_ONCE
"""Blocks of a product whose sums are cut: the last of more waves is a small part of all."""
_SLICE_COST = 64
"""The cost of writing and adding up one more slice, counted in terms of its sum."""
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
SHORTEST_SLICE = 256
"""Elements or pixels that a slice of a product's sums has at least: enough to pay for itself."""
LARGEST_INT = 2**31 - 1
MANY_ROWS = 2**20
"""Rows of a matrix, where their number grows with the batch."""


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

    So few that an int indexes its outputs and images even one step beyond its end. At least DEPTH for
    every problem that GEMM accepts.
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


@dataclass(frozen=True)
class GemmTile:
    """How a matrix product is divided over blocks and threads (kernels/include/gemm_tile.cuh).

    Attributes:
        rows, columns: what a block computes.
        depth: how much of the inner length it goes along at a time.
        thread_rows, thread_columns: what a thread computes.
    """

    rows: int
    columns: int
    depth: int
    thread_rows: int
    thread_columns: int

    @property
    def threads(self) -> int:
        """Threads a block."""
        return self.rows // self.thread_rows * (self.columns // self.thread_columns)

    @property
    def constants(self) -> dict[str, int]:
        """What the kernels know at compile time."""
        return {
            "BLOCK_M": self.rows,
            "BLOCK_N": self.columns,
            "BLOCK_K": self.depth,
            "THREAD_M": self.thread_rows,
            "THREAD_N": self.thread_columns,
        }

    def blocks(self, rows: int, columns: int) -> int:
        """How many tiles cover a matrix."""
        return ceil_divide(rows, self.rows) * ceil_divide(columns, self.columns)

    def cost(self, rows: int, columns: int) -> float:
        """The time for a matrix, in no unit: the parts of tiles beyond its edges cost too.

        To a multiply-add come the reads of shared memory, fewer the more of the result a thread
        has, and those of global memory, fewer the larger the tile is.
        """
        shared = 1 / self.thread_rows + 1 / self.thread_columns
        far = 8 / self.rows + 8 / self.columns
        return self.blocks(rows, columns) * self.rows * self.columns * (1 + shared + far)


TILES = (
    GemmTile(128, 128, 8, 8, 8),
    GemmTile(128, 64, 8, 8, 8),
    GemmTile(64, 128, 8, 8, 8),
    GemmTile(64, 64, 8, 8, 4),
    GemmTile(128, 32, 16, 8, 4),
    GemmTile(32, 128, 16, 4, 8),
    GemmTile(64, 32, 16, 4, 4),
    GemmTile(128, 16, 16, 8, 4),
    GemmTile(16, 128, 16, 4, 8),
)
DEPTH = max(tile.depth for tile in TILES)
"""A multiple of every tile's depth."""


@lru_cache(maxsize=4096)
def gemm_tile(rows: int, columns: int) -> GemmTile:
    """The tile for a product of this size; MANY_ROWS where the batch decides."""
    return min(TILES, key=lambda tile: tile.cost(rows, columns))


@dataclass(frozen=True)
class Slices:
    """A sum's terms, cut into slices that are added up one after the other.

    Attributes:
        count: how many; 1 leaves the sum whole.
        length: terms in each, fewer in the last.
    """

    count: int
    length: int


def cut(terms: int, blocks: int, shortest: int) -> Slices:
    """Cuts sums over ``terms`` so that there are enough blocks at work.

    Args:
        terms: the length of the sums.
        blocks: how many blocks of threads there are if the sums stay whole.
        shortest: a slice is so long at least, and a multiple of that.
    """
    wanted = max(1, min(_ENOUGH_BLOCKS // max(1, blocks), terms // shortest))
    return _slices_of(terms, _rounded_up(terms, wanted * shortest) // wanted)


@lru_cache(maxsize=1024)
def cut_product(
    terms: int, blocks: int, shortest: int = SHORTEST_SLICE, longest: int = LARGEST_INT
) -> Slices:
    """Cuts the sums of a matrix product so that its blocks are done soonest.

    Blocks run in waves of as many as fit on the GPU, and the last wave may be nearly empty: more
    slices are shorter waves, and then again they are more to write and to add up.

    Args:
        terms: the length of the sums.
        blocks: how many tiles there are.
        shortest: a slice is so long at least, rounded up to a multiple of DEPTH.
        longest: and so long at most, rounded down.
    """
    most = max(1, min(_MOST_BLOCKS // max(1, blocks), terms // shortest))

    def time(count: int) -> int:
        length = _rounded_up(terms, count * DEPTH) // count
        waves = ceil_divide(blocks * count, _BLOCKS_AT_ONCE)
        return waves * (length + (_SLICE_COST if count > 1 else 0))

    count = min(range(1, most + 1), key=time)
    length = _rounded_up(terms, count * DEPTH) // count
    return _slices_of(terms, min(length, longest // DEPTH * DEPTH))


def _rounded_up(terms: int, multiple: int) -> int:
    """The next multiple, one at least."""
    return max(1, ceil_divide(terms, multiple)) * multiple


def _slices_of(terms: int, length: int) -> Slices:
    return Slices(max(1, ceil_divide(terms, length)), length)
