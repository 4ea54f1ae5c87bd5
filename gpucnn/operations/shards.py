"""Shards: the parts of a batch whose sums are made separately and then combined in a fixed tree.

A run on several GPUs uses as many shards as it had ranks at the start. Because a shard's sum does
not depend on who holds the shard, it gives the same bits on fewer ranks or on one:

- A batch of N images is cut into shards of ⌈N/shards⌉ neighbouring images. The last shard may be
  shorter, and shards that would be empty are left out, which changes no sum.
- A full shard is summed exactly as the operation with 1 shard sums a batch of that many images. How
  its sum is cut further follows from the size of a full shard, never from the number of shards or
  from the size of the batch. The kernels cut a shorter shard at the same places, so they sum it as
  a full one that ends with images of zeros; NumPy sums it as a batch of its size.
- The sums are combined in pairs of neighbours, and so are the results, until one is left:
  ((s0 + s1) + (s2 + s3)) + s4. A sum without a neighbour is carried up unchanged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gpucnn.errors import ShapeError
from gpucnn.operations.geometry import Shape, ceil_divide

MOST_SHARDS = 1024
"""The most shards; kernels/include/shards.cuh has a level of the tree for each doubling."""
_BY_NUMBER = (1, 2, 1, 3, 1, 5, 1, 1, 2, 1, 1)
"""What is drawn; a length that no other cycle of a series of problems has."""


@dataclass(frozen=True)
class Shards:
    """A batch in shards.

    Attributes:
        count: shards that are not empty; 1 for an empty batch.
        length: images, or rows, in each; fewer in the last.
    """

    count: int
    length: int


def check_shards(shards: int) -> None:
    """Raises ShapeError for a number of shards outside 1 … MOST_SHARDS."""
    if not 1 <= shards <= MOST_SHARDS:
        raise ShapeError(f"shards is {shards}; use 1 to {MOST_SHARDS}")


def cut_batch(images: int, shards: int) -> Shards:
    """The shards of a batch of so many images, or of samples."""
    length = ceil_divide(images, shards)
    return Shards(max(1, ceil_divide(images, max(1, length))), length)


def cut_rows(shape: Shape, shards: int) -> Shards:
    """The shards of an array (N, …, C), in rows of C values; (C,) is one row."""
    images, *sizes = shape[:-1] or (1,)
    of_images = cut_batch(images, shards)
    return Shards(of_images.count, of_images.length * math.prod(sizes))


def drawn_shards(number: int) -> int:
    """Shards of the problem of this number in a series: often 1, and at times more than images."""
    return _BY_NUMBER[number % len(_BY_NUMBER)]


def shards_text(shards: int) -> str:
    """The end of a problem's text, such as ", 3 shards"; empty for one."""
    return f", {shards} shards" if shards > 1 else ""
