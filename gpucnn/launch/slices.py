"""How long sums are cut into slices, for there to be enough blocks at work.

It follows from sizes alone, and knows no device: the same sums are added up in the same order, to
the same bits, wherever they run.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from gpucnn.launch.tiles import DEPTH
from gpucnn.operations.geometry import ceil_divide

_ENOUGH_BLOCKS = 512
"""Blocks that keep the largest GPU busy: cutting a sum further gains nothing."""
_BLOCKS_AT_ONCE = 264
"""Blocks of a product that a wave has: two on each of the 132 multiprocessors of a large GPU."""
_MOST_BLOCKS = 4 * _BLOCKS_AT_ONCE
"""Blocks of a product whose sums are cut: the last of more waves is a small part of all."""
_SLICE_COST = 64
"""The cost of writing and adding up one more slice, counted in terms of its sum."""
SHORTEST_SLICE = 256
"""Elements or pixels that a slice of a product's sums has at least: enough to pay for itself."""
LARGEST_INT = 2**31 - 1


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
