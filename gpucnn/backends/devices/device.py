"""The seam between the launches and the machine that carries them out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.devices.source import KernelSource
from gpucnn.backends.interface.arrays import Array

Grid: TypeAlias = tuple[int, int, int]
Kernel: TypeAlias = Any
"""What a device's ``compile`` gives and its ``launch`` takes; nobody else looks inside."""
Module: TypeAlias = Mapping[str, Kernel]
"""The kernels of one file, compiled for one set of constants, by name."""
Argument: TypeAlias = Any
"""An array of the device, a NumPy scalar of the parameter's exact type, or None: no array."""


@dataclass(frozen=True)
class DeviceLimits:
    """What a launch may ask for, and what there is of it."""

    threads: int = 1024
    """A block."""
    shared_bytes: int = 48 * 1024
    """Static shared memory a block."""
    dynamic_shared_bytes: int = 48 * 1024
    """Dynamic shared memory a block, after opting in."""
    multiprocessors: int = 1
    cache_bytes: int = 0
    """Of the last cache before memory; 0 for a device whose cache is the host's."""


class Device(ABC):
    """Arrays, kernels and launches. All work runs in the order in which it was handed over.

    Attributes:
        name: the backend's name in ``get_backend``.
        limits: what a launch may ask for.
        runs_ahead: whether a launch returns before the kernel has run.
    """

    runs_ahead = False
    name: str
    limits: DeviceLimits

    @abstractmethod
    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """A contiguous array, aligned to 64 bytes at least, with undefined contents."""

    @abstractmethod
    def asarray(self, array: NDArray[Any]) -> Array:
        """A contiguous, aligned array of the device with a host array's contents."""

    @abstractmethod
    def to_numpy(self, array: Array) -> NDArray[Any]:
        """A copy on the host, after all work before it."""

    @abstractmethod
    def compile(self, source: KernelSource) -> Module:
        """The kernels of a source, from a cache where it has been compiled before.

        Raises:
            BackendError: it does not compile: file, line, constants, what the compiler says.
        """

    def compile_all(self, sources: Iterable[KernelSource]) -> None:
        """Compiles many at once, so that ``compile`` finds them; in parallel where it can."""
        for source in sources:
            self.compile(source)

    @abstractmethod
    def launch(
        self,
        kernel: Kernel,
        grid: Grid,
        block: Grid,
        shared_bytes: int,
        arguments: Sequence[Argument],
    ) -> None:
        """Runs a kernel after all work before it; need not wait for it.

        Args:
            kernel: what ``compile`` gave.
            grid: blocks along x, y, z.
            block: threads along x, y, z.
            shared_bytes: dynamic shared memory.
            arguments: in the order of the kernel's parameters, each of its exact type.
        """

    @abstractmethod
    def synchronise(self) -> None:
        """Waits until all work handed over is done."""


def is_aligned(array: Array, boundary: int = 16) -> bool:
    """Whether the array's memory begins on a boundary of so many bytes."""
    interface = getattr(array, "__cuda_array_interface__", None)
    if interface is None:
        interface = array.__array_interface__
    return bool(interface["data"][0] % boundary == 0)
