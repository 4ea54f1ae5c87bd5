"""How a matrix of rows × C is divided over blocks, as include/channel_rows.cuh expects it.

Everything here depends on shapes and the size of the GPU alone, and so does the order of every sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from gpucnn.launch.elementwise import THREADS, VECTOR, WARP
from gpucnn.launch.machine import Machine
from gpucnn.operations.geometry import ceil_divide

_ROWS_A_THREAD = 8
"""The fewest rows a thread should go down, where there are as many: two turns of its loop."""
_BLOCKS_EACH = 8
"""Blocks of a sum over rows on each multiprocessor: enough to keep it busy, few enough to be joined
quickly."""
_CHUNKS = 65535
"""The most chunks: the length of a grid's axis."""


def channel_width(C: int) -> int:
    """How many neighbouring channels a thread takes, as one vector; every row begins with one."""
    return VECTOR if C % VECTOR == 0 else 1


@dataclass(frozen=True)
class ChannelBlock:
    """A block of ``lanes`` × ``rows`` threads; each takes ``width`` channels of a row at once."""

    C: int
    width: int
    lanes: int
    rows: int

    @property
    def columns(self) -> int:
        """How many blocks side by side hold all channels."""
        return ceil_divide(self.C, self.lanes * self.width)

    @property
    def shape(self) -> tuple[int, int]:
        """Threads along x and y."""
        return self.lanes, self.rows

    @property
    def constants(self) -> dict[str, int]:
        """What kernels know at compile time."""
        return {"C": self.C, "WIDTH": self.width, "LANES": self.lanes, "ROWS": self.rows}

    def threads_to_join(self, machine: Machine) -> int:
        """Threads for joining a channel's chunks: for the most chunks there can be, four each."""
        warps = ceil_divide(machine.blocks(_BLOCKS_EACH), self.columns * 4 * WARP)
        return min(warps * WARP, THREADS)

    def chunks_to_sum(self, rows: int, machine: Machine) -> Chunks:
        """For a sum over the rows, whose chunks must be joined."""
        return self._chunks(rows, ceil_divide(machine.blocks(_BLOCKS_EACH), self.columns))

    def chunks_to_map(self, rows: int) -> Chunks:
        """For a result that is a matrix too."""
        return self._chunks(rows, _CHUNKS)

    def _chunks(self, rows: int, most: int) -> Chunks:
        length = max(_ROWS_A_THREAD * self.rows, ceil_divide(rows, most))
        length = ceil_divide(length, self.rows) * self.rows
        return Chunks(rows, length, ceil_divide(rows, length))


@dataclass(frozen=True)
class Chunks:
    """``rows`` rows in ``count`` chunks of ``length``; the last may be shorter."""

    rows: int
    length: int
    count: int

    @property
    def arguments(self) -> tuple[np.int64, np.int64]:
        """``rows`` and ``chunk`` of a kernel."""
        return np.int64(self.rows), np.int64(self.length)


@lru_cache(maxsize=1024)
def channel_block(C: int) -> ChannelBlock:
    """The block for rows of C channels: whole warps along many channels, rows along few."""
    width = channel_width(C)
    vectors = C // width
    lanes = ceil_divide(vectors, ceil_divide(vectors, WARP))
    return ChannelBlock(C, width, lanes, THREADS // lanes)
