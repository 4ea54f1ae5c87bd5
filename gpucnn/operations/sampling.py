"""What the arguments of all families are drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gpucnn.operations.geometry import Pair

Generator: TypeAlias = np.random.Generator

CHANNELS = (1, 3, 5, 17, 64)
"""One, fewer than a vector, none of them a multiple of one, and more than a warp has lanes."""
MANY_CHANNELS = 131
"""So many that a block has none for its last threads."""
SPECIAL = (np.nan, -np.nan, np.inf, -np.inf)
"""What is no number, or no finite one; NaN with either sign bit."""
LENGTHS = (1, 4099, 4, 1025, 2, 3, 1024, 5, 31, 127, 1023, 2047)
"""About the ends of a thread's vector and of a block."""


def normal(rng: Generator, *shape: int) -> NDArray[np.float32]:
    """Random numbers about 0."""
    return rng.standard_normal(shape, np.float32)


def is_speckled(number: int) -> bool:
    """Whether ``speckled`` does anything in this problem of a series."""
    return number % 7 == 2


def speckled(
    number: int, array: NDArray[np.float32], values: Sequence[float] = SPECIAL
) -> NDArray[np.float32]:
    """The array; in every seventh problem, beginning with the third, three of these are in it.

    So much else is still seen. The places differ from array to array, and what is drawn for the
    problem and for those after it does not depend on them.
    """
    if not is_speckled(number):
        return array
    rng = np.random.default_rng([number, array.size])
    places = rng.integers(0, array.size, 3)
    array = array.copy()
    array.reshape(-1)[places] = rng.choice(values, places.size)
    return array


def integer(rng: Generator, low: int, high: int) -> int:
    """One of low … high."""
    return int(rng.integers(low, high + 1))


def chosen(rng: Generator, *choices: Any) -> Any:
    """One of these."""
    return choices[integer(rng, 0, len(choices) - 1)]


def length(rng: Generator, number: int) -> int:
    """Of a vector: those of LENGTHS first."""
    return LENGTHS[number] if number < len(LENGTHS) else integer(rng, 1, 3000)


def shape(rng: Generator, number: int) -> tuple[int, ...]:
    """Of an elementwise operation's arrays."""
    if number % 2:
        return (length(rng, number),)
    return integer(rng, 1, 3), integer(rng, 1, 7), integer(rng, 1, 7), chosen(rng, *CHANNELS)


def padding(rng: Generator, extent: int) -> Pair:
    """Before and after, unequal as often as not, and below a window's extent."""
    before, after, most = integer(rng, 0, extent - 1), integer(rng, 0, extent - 1), extent - 1
    pair: Pair = chosen(
        rng,
        (0, 0),
        (before, before),
        (before, after),
        (0, after),
        (0, most),
        (most, max(0, most - 1)),
    )
    return pair


def rows_of(rng: Generator, number: int, C: int) -> int:
    """Rows of C channels: a few; as many as a thread reads at once; more than one chunk has."""
    if number % 5 == 2:
        return 4500 // C
    if number % 3 == 1:
        return max(2, (3600 if C % 4 == 0 else 900) // C)
    return integer(rng, 2, max(2, 600 // C))
