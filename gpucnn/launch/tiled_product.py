"""The kernel of a matrix product on a machine: how many blocks share a multiprocessor.

More blocks hide more latency, but leave each thread fewer registers.
"""

from __future__ import annotations

from dataclasses import dataclass

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
"""Of blocks with so many threads, two share a multiprocessor, so that one computes while the other
waits at its barrier. That leaves a thread 128 registers."""
_SMALL_BLOCK = 64
"""In blocks with so few threads each reads many rows of an operand. If it reads them value by
value, their offsets take all registers that a thread can have."""
_FEW_REGISTERS_UNROLLED = 2
"""Iterations that are unrolled if a thread has fewer registers than its sums need. With more, the
compiler would read so far ahead in shared memory that other values had to leave the registers."""
_FEWEST_UNROLLED = 1
"""The same from sm_120 on, for which the compiler reads further ahead."""


@dataclass(frozen=True)
class TiledProduct:
    """A kernel of a matrix product, as far as it competes for a multiprocessor.

    Attributes:
        tile: what a block computes.
        vector: neighbouring values that a thread reads at once, 4 or 1, of the operands of which it
            reads many rows.
        machine: where it runs.
    """

    tile: GemmTile
    vector: int
    machine: Machine

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
        registers = ceil_divide(self.registers, _REGISTER_UNIT) * _REGISTER_UNIT
        by_registers = self.machine.registers // (registers * self.tile.threads)
        by_threads = self.machine.threads // self.tile.threads
        return min(by_registers, by_threads)

    @property
    def unrolled(self) -> int:
        """How much of a step is unrolled."""
        if self.registers >= _REGISTERS[self.tile.sums]:
            return self.tile.depth
        if self.machine.compute_capability >= 120:
            return _FEWEST_UNROLLED
        return _FEW_REGISTERS_UNROLLED

    @property
    def constants(self) -> dict[str, int]:
        """What the kernel knows at compile time."""
        return {
            **self.tile.constants,
            "UNROLLED_K": self.unrolled,
            "RESIDENT_BLOCKS": self.resident_blocks,
        }
