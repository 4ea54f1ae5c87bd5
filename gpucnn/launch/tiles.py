"""How matrix products are tiled: the tiles there are, and the one for a product.

The choice follows from sizes alone. The batch size is not one of them, so a smaller last batch
compiles nothing new.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from gpucnn.launch.elementwise import VECTOR
from gpucnn.operations.geometry import ceil_divide

_BUFFERS = 2
_PADDING = 4
"""Values between the rows of an operand in shared memory (QUAD in gemm_tile.cuh)."""
_FLOAT_BYTES = 4
_OCTET = 8
"""Values along k that are read together; the depth of a step is a multiple of this."""
MANY_ROWS = 2**20
"""Rows of a matrix whose number grows with the batch."""


@dataclass(frozen=True)
class GemmTile:
    """How a matrix product is divided over blocks and threads (kernels/include/gemm_tile.cuh).

    Attributes:
        rows, columns: what a block computes.
        depth: how much of the inner length it goes along at a time.
        thread_rows, thread_columns: what a thread computes.
    """

    rows: int
    columns: int
    depth: int
    thread_rows: int
    thread_columns: int

    @property
    def threads(self) -> int:
        """Threads a block."""
        return self.rows // self.thread_rows * (self.columns // self.thread_columns)

    @property
    def sums(self) -> int:
        """Elements of the result that a thread computes."""
        return self.thread_rows * self.thread_columns

    @property
    def shared_bytes(self) -> int:
        """Shared memory for two steps of both operands, with their padding."""
        return _BUFFERS * self.depth * (self.rows + self.columns + 2 * _PADDING) * _FLOAT_BYTES

    @property
    def is_shared_equally(self) -> bool:
        """Whether each thread can read as many whole vectors of a step as any other."""
        values = self.threads * VECTOR
        return self.depth % _OCTET == 0 and min(self.rows, self.columns) * self.depth >= values

    @property
    def constants(self) -> dict[str, int]:
        """What the kernels know at compile time."""
        return {
            "BLOCK_M": self.rows,
            "BLOCK_N": self.columns,
            "BLOCK_K": self.depth,
            "THREAD_M": self.thread_rows,
            "THREAD_N": self.thread_columns,
        }

    def blocks(self, rows: int, columns: int) -> int:
        """How many tiles cover a matrix."""
        return ceil_divide(rows, self.rows) * ceil_divide(columns, self.columns)

    def cost(self, rows: int, columns: int) -> float:
        """The time for a matrix, in no unit: the parts of tiles beyond its edges cost too.

        To a multiply-add come the reads of shared memory, fewer the more of the result a thread
        has, and those of global memory, fewer the larger the tile is.
        """
        shared = 1 / self.thread_rows + 1 / self.thread_columns
        far = 8 / self.rows + 8 / self.columns
        return self.blocks(rows, columns) * self.rows * self.columns * (1 + shared + far)


TILES = (
    GemmTile(128, 128, 16, 8, 8),
    GemmTile(128, 64, 16, 8, 8),
    GemmTile(64, 128, 16, 8, 8),
    GemmTile(64, 64, 16, 8, 4),
    GemmTile(128, 32, 16, 8, 4),
    GemmTile(32, 128, 16, 4, 8),
    GemmTile(64, 32, 16, 4, 4),
    GemmTile(128, 16, 16, 8, 4),
    GemmTile(16, 128, 16, 4, 8),
)
DEPTH = max(tile.depth for tile in TILES)
"""A multiple of every tile's depth."""


@lru_cache(maxsize=4096)
def gemm_tile(rows: int, columns: int) -> GemmTile:
    """The tile for a product of this size; MANY_ROWS if the batch decides how many."""
    return min(TILES, key=lambda tile: tile.cost(rows, columns))
