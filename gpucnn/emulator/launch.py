"""A launch, and what a GPU allows of it; the same for all that run kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from gpucnn.emulator.errors import LaunchError

Grid: TypeAlias = tuple[int, int, int]

HARDWARE, IEEE = "hardware", "ieee"
ACCUMULATIONS = (HARDWARE, IEEE)
"""How products are added up in tensor cores: as a GPU does it, several at once and cut off; or each
addition rounded to nearest."""
_LARGEST_GRID: Grid = (2**31 - 1, 65535, 65535)
_LARGEST_BLOCK: Grid = (1024, 1024, 64)


@dataclass(frozen=True)
class Launch:
    """How a kernel is run.

    Attributes:
        grid: blocks along x, y, z.
        block: threads along x, y, z.
        shared_bytes: dynamic shared memory.
        seed: decides the order of threads and blocks.
        time_limit: seconds after which it is ended with an error; 0 for no limit.
        guarded_bytes: arrays of at most this size are copied into memory of their own for the
            launch in fast mode, so that an index out of bounds cannot damage other memory. In race
            mode all arrays are.
        allow_same_value_writes: whether race mode allows several threads to write the same value
            to one place.
        accumulation: of products in tensor cores; one of ACCUMULATIONS.
        jitter: whether approximate functions err in mode ptx, as far as NVIDIA says they may.
    """

    grid: Grid
    block: Grid
    shared_bytes: int = 0
    seed: int = 0
    time_limit: float = 0.0
    guarded_bytes: int = 0
    allow_same_value_writes: bool = False
    accumulation: str = HARDWARE
    jitter: bool = False


@dataclass(frozen=True)
class Limits:
    """What a GPU allows a block.

    Attributes:
        threads: at most.
        shared_bytes: of static shared memory.
        dynamic_shared_bytes: of static and dynamic shared memory together, after opting in.
    """

    threads: int = 1024
    shared_bytes: int = 48 * 1024
    dynamic_shared_bytes: int = 227 * 1024


class Limited(Protocol):
    """What launches of a kernel depend on; ``str`` of it names the kernel in messages."""

    @property
    def static_shared_bytes(self) -> int:
        """Static shared memory a block."""

    @property
    def most_threads(self) -> int:
        """What its ``__launch_bounds__`` allow a block; 0 without."""


def check_static_shared_memory(kernel: Limited, limits: Limits) -> None:
    """Raises LaunchError if a kernel has more static shared memory than a GPU."""
    if kernel.static_shared_bytes > limits.shared_bytes:
        raise LaunchError(
            f"{kernel} has {kernel.static_shared_bytes} bytes of static shared memory, a "
            f"GPU allows {limits.shared_bytes}; make it smaller, or dynamic"
        )


def check_accumulation(accumulation: str) -> None:
    """Raises LaunchError if there is no such accumulation."""
    if accumulation not in ACCUMULATIONS:
        raise LaunchError(
            f'accumulation is "{accumulation}"; it is one of {", ".join(ACCUMULATIONS)}'
        )


def check_launch(kernel: Limited, launch: Launch, limits: Limits) -> None:
    """Raises LaunchError if a launch has sizes that no GPU or not this kernel allows.

    The same for an accumulation that there is not.
    """
    check_accumulation(launch.accumulation)
    sizes_and_limits = (
        ("grid", launch.grid, _LARGEST_GRID),
        ("block", launch.block, _LARGEST_BLOCK),
    )
    for name, sizes, most in sizes_and_limits:
        if len(sizes) != 3:
            raise LaunchError(f"{kernel}: a {name} of {sizes}; it takes three numbers")
        if any(not 1 <= size <= limit for size, limit in zip(sizes, most, strict=True)):
            raise LaunchError(f"{kernel}: a {name} of {sizes}; a GPU allows 1 to {most}")
    block = launch.block
    threads = block[0] * block[1] * block[2]
    if threads > limits.threads:
        raise LaunchError(
            f"{kernel}: a block of {block} has {threads} threads, a GPU allows {limits.threads}"
        )
    if 0 < kernel.most_threads < threads:
        raise LaunchError(
            f"{kernel}: a block of {block} has {threads} threads, its __launch_bounds__ allow "
            f"{kernel.most_threads}"
        )
    total = kernel.static_shared_bytes + launch.shared_bytes
    if launch.shared_bytes < 0 or total > limits.dynamic_shared_bytes:
        raise LaunchError(
            f"{kernel}: {kernel.static_shared_bytes} bytes of static and "
            f"{launch.shared_bytes} of dynamic shared memory, a GPU has "
            f"{limits.dynamic_shared_bytes} a block"
        )
