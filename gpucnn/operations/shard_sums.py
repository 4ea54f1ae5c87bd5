"""How the references sum shard by shard, as ``shards`` describes it, with code of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from gpucnn.operations.tracked import Tracked

_T = TypeVar("_T")


def combine_shards(
    N: int, shards: int, of_images: Callable[[slice], _T], combine: Callable[[_T, _T], _T]
) -> _T:
    """What is found in each shard of N images, combined in pairs of neighbours until one is left.

    Args:
        N: the batch.
        shards: how many.
        of_images: what is found in some of the images.
        combine: of two neighbours, the left one first.
    """
    length = max(1, -(-N // shards))
    parts = [of_images(slice(n, min(n + length, N))) for n in range(0, max(N, 1), length)]
    while len(parts) > 1:
        pairs = [parts[n : n + 2] for n in range(0, len(parts), 2)]
        parts = [combine(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
    return parts[0]


def sum_shards(N: int, shards: int, of_images: Callable[[slice], Tracked]) -> Tracked:
    """The sums over shards of N images, added up; the arguments as for ``combine_shards``."""
    return combine_shards(N, shards, of_images, Tracked.__add__)
