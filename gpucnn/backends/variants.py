"""Which kernels can carry out a problem, which of them is chosen, and how its sums are cut.

Everything here follows from shapes alone, and knows no device: so the same problem gives the same
order of sums, and the same bits, wherever it runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gpucnn.backends.geometry import Conv2dGeometry

_ENOUGH_BLOCKS = 512
"""Blocks that keep the largest GPU busy: cutting a sum further gains nothing."""


class Variant(StrEnum):
    """The kernels for a convolution."""

    DIRECT = "direct"
    """A thread an element, straight from the formula: can do everything."""


def conv2d_variants(_problem: Conv2dGeometry) -> tuple[Variant, ...]:
    """The variants that can do the problem, in each of the three passes; the chosen one first."""
    return (Variant.DIRECT,)


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
    wanted = max(1, min(_ENOUGH_BLOCKS // blocks, terms // shortest))
    length = -(-terms // (wanted * shortest)) * shortest
    return Slices(-(-terms // length), length)
