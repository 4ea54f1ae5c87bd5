"""A caching allocator: the memory of an array that died is given to the next of its size.

Fresh large arrays cost a page fault every 4 KiB, which is more than the arithmetic done on them.
"""

from __future__ import annotations

import math
import weakref
from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpucnn.operations.geometry import ceil_divide

_ALIGNMENT = 64
_GRANULE = 4096
_SMALL = 16384


class MemoryPool:
    """Hands out arrays whose memory returns to the pool with the last reference to them.

    Args:
        limit: bytes kept for reuse at the most; beyond it memory goes back to the system.
    """

    def __init__(self, limit: int = 4 << 30) -> None:
        self.limit = limit
        self.free_bytes = 0
        self._free: dict[int, list[NDArray[np.uint8]]] = defaultdict(list)
        self._loans: dict[int, tuple[weakref.ref[Any], NDArray[np.uint8]]] = {}

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """An aligned, contiguous array with undefined contents."""
        dtype = np.dtype(dtype)
        count = math.prod(shape)
        if count * dtype.itemsize < _SMALL:
            return np.empty(shape, dtype)
        size = ceil_divide(count * dtype.itemsize, _GRANULE) * _GRANULE
        block = self._take(size)
        start = -block.ctypes.data % _ALIGNMENT
        # The base of every view is the array over the block's buffer, so this weak reference dies
        # only with the last view. (Views of an ordinary view would refer to the block itself.)
        flat = np.frombuffer(block.data, dtype, count, start)
        key = id(block)
        self._loans[key] = (weakref.ref(flat, lambda _: self._return(key)), block)
        return flat.reshape(shape)

    def _take(self, size: int) -> NDArray[np.uint8]:
        blocks = self._free[size]
        if blocks:
            self.free_bytes -= size
            return blocks.pop()
        return np.empty(size + _ALIGNMENT, np.uint8)

    def _return(self, key: int) -> None:
        _, block = self._loans.pop(key)
        size = block.nbytes - _ALIGNMENT
        if self.free_bytes + size <= self.limit:
            self.free_bytes += size
            self._free[size].append(block)
