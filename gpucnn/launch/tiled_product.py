"""The kernel of a matrix product on a machine: how many blocks share a multiprocessor.

More blocks hide more latency, but leave each thread fewer registers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gpucnn.launch.machine import Machine
from gpucnn.launch.tiles import GemmTile
from gpucnn.operations.geometry import ceil_divide

_REGISTERS = {64: 168, 32: 128, 16: 96}
"""Registers that a thread needs, by the number of sums that it keeps in them.

The others hold its part of both operands, what it has read for the next step, and offsets.
"""
_MOST_REGISTERS = 255
"""Registers that a thread can have."""
_REGISTER_UNIT = 8
"""Registers are allocated in multiples of this."""
_LARGE_BLOCK = 256
"""Two blocks of this many threads share a multiprocessor, so that one computes while the other
waits at its barrier. That leaves a thread 128 registers."""
_SMALL_BLOCK = 64
"""In a block of this many threads, each thread reads many rows of an operand. If it reads them
value by value, their offsets take all registers that a thread can have."""
_FEW_UNROLLED = 2
"""Iterations that are unrolled if a thread has fewer registers than its sums need. With more, the
compiler would read so far ahead in shared memory that other values had to leave the registers."""
_FEWEST_UNROLLED = 1
"""The same from sm_120 on, for which the compiler reads further ahead, and if values are read one
by one, because their offsets take registers too."""
_RESERVED_BYTES = 1024
"""Shared memory that CUDA takes for itself in each block, from sm_80 on."""


@dataclass(frozen=True)
class TiledProduct:
    """A kernel of a matrix product, as far as it competes for a multiprocessor.

    Attributes:
        tile: what a block computes.
        vector: how many neighbouring values a thread reads at once, 4 or 1; only operands of which
            it reads many rows count.
        machine: where it runs.
        table_bytes: shared memory that a block uses besides that for the two operands.
    """

    tile: GemmTile
    vector: int
    machine: Machine
    table_bytes: int = 0

    @property
    def registers(self) -> int:
        """What a thread may have."""
        if self.tile.threads == _LARGE_BLOCK:
            return self.machine.registers // (2 * _LARGE_BLOCK)
        if self.tile.threads == _SMALL_BLOCK and self.vector == 1:
            return _MOST_REGISTERS
        return _REGISTERS[self.tile.sums]

    @property
    def resident_blocks(self) -> int:
        """Blocks that run on a multiprocessor at the same time, at least."""
        reserved = _RESERVED_BYTES if self.machine.compute_capability >= 80 else 0
        shared_bytes = self.tile.shared_bytes + self.table_bytes + reserved
        return min(self.blocks_by_registers, self.machine.shared_bytes // shared_bytes)

    @property
    def blocks_at_once(self) -> int:
        """The same on all multiprocessors."""
        return self.machine.multiprocessors * self.resident_blocks

    @property
    def blocks_by_registers(self) -> int:
        """Blocks for which a multiprocessor has registers, and threads."""
        registers = ceil_divide(self.registers, _REGISTER_UNIT) * _REGISTER_UNIT
        by_registers = self.machine.registers // (registers * self.tile.threads)
        return min(by_registers, self.machine.threads // self.tile.threads)

    @property
    def unrolled(self) -> int:
        """How much of a step is unrolled."""
        if self.registers >= _REGISTERS[self.tile.sums]:
            return self.tile.depth
        if self.machine.compute_capability >= 120 or self.vector == 1:
            return _FEWEST_UNROLLED
        return _FEW_UNROLLED

    @property
    def constants(self) -> dict[str, int]:
        """What the kernel knows at compile time."""
        return {
            **self.tile.constants,
            "UNROLLED_K": self.unrolled,
            "RESIDENT_BLOCKS": self.resident_blocks,
        }


def tiled_product(
    tile: GemmTile, vector: int, machine: Machine, table_bytes: int = 0
) -> TiledProduct:
    """A kernel of a matrix product in a tile, or in one of half the depth.

    A deep step has fewer barriers and less to compute for each multiply-add, but takes more shared
    memory. It is halved, if threads can share a step of half the depth, where that would keep
    blocks off a multiprocessor that has the registers for them.

    Args:
        tile: what a block computes.
        vector: as in ``TiledProduct``.
        machine: where it runs.
        table_bytes: as in ``TiledProduct``.
    """
    product = TiledProduct(tile, vector, machine, table_bytes)
    halved = replace(tile, depth=tile.depth // 2)
    if halved.is_shared_equally and product.resident_blocks < product.blocks_by_registers:
        return replace(product, tile=halved)
    return product
