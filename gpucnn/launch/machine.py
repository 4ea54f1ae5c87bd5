"""The machine that launches are planned for.

Each number that a plan takes from the size of a GPU is derived from a ``Machine`` here, as a
multiple of its multiprocessors. Rounding that down to a power of two keeps a plan, and with it the
order of every sum, the same on GPUs of about one size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Machine:
    """A GPU, as far as plans depend on it.

    Attributes:
        architecture: what kernels are compiled for, such as "sm_90a".
        multiprocessors: how many.
        threads: of a multiprocessor, at most.
        registers: of a multiprocessor.
        shared_bytes: shared memory of a multiprocessor.
        block_threads: of a block, at most.
        block_shared_bytes: static shared memory of a block.
        block_dynamic_shared_bytes: dynamic shared memory of a block, after opting in.
        cache_bytes: of the last cache before memory; 0 for a device whose cache is the host's.
        memory_bytes: of the device's own memory; 0 for a device that uses the host's.
    """

    architecture: str
    multiprocessors: int
    threads: int = 2048
    registers: int = 65536
    shared_bytes: int = 228 * 1024
    block_threads: int = 1024
    block_shared_bytes: int = 48 * 1024
    block_dynamic_shared_bytes: int = 227 * 1024
    cache_bytes: int = 0
    memory_bytes: int = 0

    @property
    def compute_capability(self) -> int:
        """90 for "sm_90a"."""
        return int(self.architecture.removeprefix("sm_").rstrip("af"))

    def blocks(self, per_multiprocessor: int) -> int:
        """The largest power of two of blocks that are at most this many on each multiprocessor."""
        return 1 << (per_multiprocessor * self.multiprocessors).bit_length() - 1


MACHINES = {
    machine.architecture: machine
    for machine in (
        Machine("sm_70", 80, shared_bytes=96 * 1024, block_dynamic_shared_bytes=96 * 1024),
        Machine("sm_75", 40, 1024, shared_bytes=64 * 1024, block_dynamic_shared_bytes=64 * 1024),
        Machine("sm_80", 108, shared_bytes=164 * 1024, block_dynamic_shared_bytes=163 * 1024),
        Machine("sm_86", 84, 1536, shared_bytes=100 * 1024, block_dynamic_shared_bytes=99 * 1024),
        Machine("sm_89", 128, 1536, shared_bytes=100 * 1024, block_dynamic_shared_bytes=99 * 1024),
        Machine("sm_90a", 132),
        Machine("sm_100a", 148),
        Machine(
            "sm_120a", 170, 1536, shared_bytes=100 * 1024, block_dynamic_shared_bytes=99 * 1024
        ),
    )
}
"""One GPU of each architecture: V100, T4, A100, RTX 3090 Ti, RTX 4090, H100, B200, RTX 5090.

Multiprocessors are those of NVIDIA's data sheets; the other limits are from the table of technical
specifications in the CUDA C++ programming guide.
"""
EMULATED = MACHINES["sm_90a"]
"""What the emulator stands in for, if nothing else is asked for."""


def machine_of(architecture: str) -> Machine:
    """A GPU of this architecture, as far as is known.

    Args:
        architecture: such as "sm_87". One that is not among MACHINES is taken to have the limits of
            the nearest older one there, or of the oldest.
    """
    wanted = Machine(architecture, 1).compute_capability
    older = [each for each in MACHINES.values() if each.compute_capability <= wanted]
    nearest = older[-1] if older else next(iter(MACHINES.values()))
    return replace(nearest, architecture=architecture)
