"""Launches over all elements of arrays alike, as include/elementwise.cuh expects them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gpucnn.launch.launch import Argument, Constant, Launch, launch
from gpucnn.operations.geometry import ceil_divide

THREADS = 256
"""Threads a block, where a kernel does not ask for another number."""
WARP = 32
VECTOR = 4
"""Neighbouring elements that a thread of an elementwise kernel takes."""


def vector_of(*lengths: int) -> int:
    """Neighbouring values that are moved as one, if rows of memory are so long (vector.cuh)."""
    return VECTOR if all(length % VECTOR == 0 for length in lengths) else 1


def elementwise(
    file: str,
    kernel: str,
    count: int,
    arguments: Sequence[Argument | str],
    constants: Mapping[str, Constant] | None = None,
) -> Launch:
    """A launch over ``count`` elements, VECTOR of them a thread.

    The count, as a long long, is passed after the other arguments.
    """
    grid = (ceil_divide(count, THREADS * VECTOR),)
    return launch(file, kernel, grid, (*arguments, np.int64(count)), (THREADS,), constants)
