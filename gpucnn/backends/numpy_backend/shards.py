"""Sums over the shards of a batch (``operations.shards``), combined in a tree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from gpucnn.operations.geometry import ceil_divide

_T = TypeVar("_T")


def shard_slices(images: int, shards: int) -> list[slice]:
    """The images of each shard that has any; all of them for one shard."""
    length = max(1, ceil_divide(images, shards))
    starts = range(0, max(1, images), length)
    return [slice(start, min(start + length, images)) for start in starts]


def combined(parts: Sequence[_T], combine: Callable[[_T, _T], _T]) -> _T:
    """The first parts, as many as fill a whole tree, combined with what the others make."""
    if len(parts) == 1:
        return parts[0]
    left = 1 << (len(parts) - 1).bit_length() - 1
    return combine(combined(parts[:left], combine), combined(parts[left:], combine))


def sum_shards(
    images: int,
    shards: int,
    out: NDArray[Any],
    set_sums: Callable[[slice, NDArray[Any]], None],
) -> None:
    """Sets ``out`` to the sum of the shards' sums.

    Args:
        images: the batch.
        shards: how many.
        out: where the sums are written.
        set_sums: writes the sums over some images to an array like ``out``.
    """
    slices = shard_slices(images, shards)
    if len(slices) == 1:
        set_sums(slices[0], out)
        return
    parts = [np.empty_like(out) for _ in slices]
    for of_shard, part in zip(slices, parts, strict=True):
        set_sums(of_shard, part)
    out[...] = combined(parts, np.add)
