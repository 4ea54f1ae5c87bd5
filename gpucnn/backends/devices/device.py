"""The interface between launches and the machine that runs them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.devices.source import KernelSource
from gpucnn.backends.interface.arrays import Array
from gpucnn.launch.launch import LARGEST_GRID, Grid
from gpucnn.launch.machine import Machine

__all__ = ["LARGEST_GRID", "Argument", "Device", "Grid", "Kernel", "Module"]


class Kernel(Protocol):
    """What a device's ``compile`` returns and its ``launch`` takes; no one else looks inside."""

    @property
    def name(self) -> str:
        """The function."""

    @property
    def parameter_count(self) -> int | None:
        """How many parameters it has; None if nobody has looked yet."""


Module: TypeAlias = Mapping[str, Kernel]
"""The kernels of one file, compiled for one set of constants, by name."""
Argument: TypeAlias = Array | np.generic | None
"""An array of the device, a NumPy scalar of the parameter's exact type, or None: no array."""


class Device(ABC):
    """Arrays, kernels and launches. All work runs in the order in which it is submitted.

    Attributes:
        name: the backend's name in ``get_backend``.
        machine: what launches are planned for, with its limits.
        runs_ahead: whether a launch returns before the kernel has run.
        time_limit: seconds that a launch may take, on a device that can end one; None for no limit.
    """

    runs_ahead = False
    time_limit: float | None = None
    name: str
    machine: Machine

    @abstractmethod
    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """A contiguous array, aligned to 64 bytes at least, with undefined contents."""

    def zeros(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """As ``empty``, with zeros for contents."""
        array = self.empty(shape, dtype)
        array.fill(0)
        return array

    @abstractmethod
    def asarray(self, array: NDArray[Any]) -> Array:
        """A contiguous, aligned array of the device with a host array's contents."""

    @abstractmethod
    def write(self, array: Array, host: NDArray[Any]) -> None:
        """Copies a host array into an array of the device, after all work before it.

        The host's array may be changed as soon as the call returns.

        Args:
            array: contiguous.
            host: contiguous, of the same shape and dtype.
        """

    def upload(self, array: NDArray[Any]) -> Array:
        """As ``asarray``, for batches that follow one another, while the device works.

        Work that reads the array must be launched before the next call, which may overwrite it.
        """
        return self.asarray(array)

    @abstractmethod
    def address(self, array: Array) -> int:
        """Where the array's memory begins."""

    @abstractmethod
    def to_numpy(self, array: Array) -> NDArray[Any]:
        """A copy on the host, after all work before it."""

    @abstractmethod
    def compile(self, source: KernelSource) -> Module:
        """The kernels of a source, from a cache if it has been compiled before.

        Raises:
            BackendError: it does not compile; the message has the file, the line, the constants
                and what the compiler says.
        """

    def compile_all(self, sources: Iterable[KernelSource]) -> None:
        """Compiles many sources, in parallel if it can, so that ``compile`` finds them."""
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
        """Runs a kernel after all work before it. The call may return before the kernel has run.

        Args:
            kernel: as ``compile`` returned it.
            grid: blocks along x, y, z.
            block: threads along x, y, z.
            shared_bytes: dynamic shared memory.
            arguments: in the order of the kernel's parameters, each of its exact type.
        """

    def free_memory(self) -> int:
        """Bytes that arrays may still take of its own memory; 0 if it has none."""
        return 0

    def hardware(self) -> dict[str, str]:
        """What it is and what drives it, for records; empty if it is the host's processor."""
        return {}

    def is_idle(self) -> bool:
        """Whether all submitted work is done; always, unless the device runs behind the host."""
        return True

    @abstractmethod
    def synchronise(self) -> None:
        """Waits until all submitted work is done."""
