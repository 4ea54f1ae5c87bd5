"""How long sums are cut into slices so that enough blocks are at work, and how slices are added up.

It follows from the sizes and the machine alone: the same sums are added up in the same order, to
the same bits, on every device that stands for that machine.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from gpucnn.launch.elementwise import THREADS, WARP, vector_of
from gpucnn.launch.launch import Argument, Launch, Slot, Workspace, as_int, launch
from gpucnn.launch.machine import Machine
from gpucnn.launch.tiles import DEPTH
from gpucnn.operations.geometry import ceil_divide
from gpucnn.operations.problem import Problem
from gpucnn.operations.shards import Shards

_BLOCKS_A_MULTIPROCESSOR = 4
"""Blocks that keep a multiprocessor busy: cutting a sum further gains nothing."""
_WAVES = 4
"""Waves of a product whose sums are cut, at most: the last of more is a small part of all."""
_SLICE_COST = 64
"""The cost of writing and adding up one more slice, counted in terms of its sum."""
SHORTEST_SLICE = 256
"""Elements or pixels that a slice of a product's sums has at least: enough to pay for itself."""
LARGEST_INT = 2**31 - 1
_SUMS_A_MULTIPROCESSOR = 2
"""Blocks whose threads each add up all slices of an element; with fewer, threads share elements."""
_ROWS = 16
"""Threads that share the slices of an element or vector."""


@dataclass(frozen=True)
class Slices:
    """A sum's terms, cut into slices that are added up one after the other.

    Attributes:
        count: how many; 1 leaves the sum whole.
        length: terms in each, fewer in the last.
        shards: how many shards of the batch there are; each is cut like this.
    """

    count: int
    length: int
    shards: int = 1

    def in_each_of(self, shards: Shards) -> Slices:
        """These slices, of a full shard's terms, in each of the shards."""
        return replace(self, shards=shards.count)

    @property
    def is_whole(self) -> bool:
        """Whether there is nothing to add up."""
        return self.count == self.shards == 1


def cut(terms: int, blocks: int, machine: Machine, shortest: int) -> Slices:
    """Cuts sums over ``terms`` so that there are enough blocks at work.

    Args:
        terms: the length of the sums.
        blocks: how many blocks of threads there are if the sums stay whole.
        machine: where they run.
        shortest: the length of a slice is a multiple of this, and at least this.
    """
    enough = machine.blocks(_BLOCKS_A_MULTIPROCESSOR)
    wanted = max(1, min(enough // max(1, blocks), terms // shortest))
    return _slices_of(terms, _rounded_up(terms, wanted * shortest) // wanted)


@lru_cache(maxsize=1024)
def cut_product(
    terms: int,
    blocks: int,
    at_once: int,
    shortest: int = SHORTEST_SLICE,
    longest: int = LARGEST_INT,
) -> Slices:
    """Cuts the sums of a matrix product so that its blocks are done soonest.

    Blocks run in waves of as many as fit on the GPU, and the last wave may be nearly empty. With
    more slices the waves are shorter, but there is more to write and to add up.

    Args:
        terms: the length of the sums.
        blocks: how many tiles there are.
        at_once: blocks that run at the same time (``TiledProduct.blocks_at_once``).
        shortest: the least length of a slice, rounded up to a multiple of DEPTH.
        longest: the greatest length, rounded down.
    """
    most = max(1, min(_WAVES * at_once // max(1, blocks), terms // shortest))

    def time(count: int) -> int:
        length = _rounded_up(terms, count * DEPTH) // count
        waves = ceil_divide(blocks * count, at_once)
        return waves * (length + (_SLICE_COST if count > 1 else 0))

    count = min(range(1, most + 1), key=time)
    length = _rounded_up(terms, count * DEPTH) // count
    return _slices_of(terms, min(length, longest // DEPTH * DEPTH))


def partial_sums(slices: Slices, problem: Problem) -> Argument:
    """Where a kernel that cuts its sums writes: the result itself, if the sums are whole.

    Args:
        slices: how the sums are cut.
        problem: whose first result they are.
    """
    result = problem.gives[0]
    if slices.is_whole:
        return Slot(result)
    shape = (slices.shards, slices.count, *problem.by_name[result].shape)
    return Workspace("partial", shape, problem.dtypes.accumulation)


def sum_slices(
    slices: Slices,
    partial: Argument,
    problem: Problem,
    machine: Machine,
    *,
    bias: str | None = None,
    residual: str | None = None,
    relu: bool = False,
) -> tuple[Launch, ...]:
    """Adds shards and slices up and finishes the sums; whole sums are finished already.

    A thread takes a vector of neighbouring elements, if vectors divide the last axis.

    Args:
        slices: how the sums were cut.
        partial: as ``partial_sums`` gave it.
        problem: whose first result the sums are.
        machine: where it runs.
        bias: the array that is added along the last axis, by name. None, or one that the problem
            leaves out, adds nothing.
        residual: the array of the result's shape that is added, by name. None, or one that the
            problem leaves out, adds nothing.
        relu: whether values below 0 become 0 at the end.
    """
    if slices.is_whole:
        return ()
    result = problem.gives[0]
    operand = problem.by_name[result]
    width = vector_of(operand.shape[-1])
    elements = operand.size // width
    # If there are at least this many, one thread for each keeps the GPU busy.
    many = machine.blocks(_SUMS_A_MULTIPROCESSOR) * THREADS
    block = (WARP, _ROWS) if elements < many and slices.count > _ROWS else (THREADS,)
    arguments = (
        partial,
        bias,
        residual,
        result,
        np.int32(relu),
        as_int(slices.shards, "shards"),
        as_int(slices.count, "slices"),
        as_int(operand.shape[-1], "channels"),
        np.int64(operand.size),
    )
    grid = (ceil_divide(elements, block[0]),)
    kernel = "sum_slices" if width == 1 else "sum_slices_of_vectors"
    return (launch("sum_slices.cu", kernel, grid, arguments, block),)


def _rounded_up(terms: int, multiple: int) -> int:
    """The next multiple, one at least."""
    return max(1, ceil_divide(terms, multiple)) * multiple


def _slices_of(terms: int, length: int) -> Slices:
    return Slices(max(1, ceil_divide(terms, length)), length)
