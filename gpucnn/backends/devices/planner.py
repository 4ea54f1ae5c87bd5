"""A device that only records which kernels it is asked for.

If a step of a model, or a list of problems, runs on it, all kernels and variants that they launch
are known. These can then be compiled in parallel, for any GPU, on a machine that has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.devices.device import Argument, Device, Kernel, Module
from gpucnn.backends.devices.source import KernelSource
from gpucnn.backends.interface.arrays import Array
from gpucnn.errors import BackendError
from gpucnn.launch.launch import Grid
from gpucnn.launch.machine import EMULATED, Machine


@dataclass(frozen=True, eq=False)
class PlannedKernel:
    """A kernel that is not compiled.

    Attributes:
        source: the file and its constants.
        name: its function.
    """

    source: KernelSource
    name: str

    @property
    def parameter_count(self) -> None:
        """Nobody has looked."""
        return None

    def __str__(self) -> str:
        """The function."""
        return self.name


class PlanningDevice(Device):
    """Arrays whose memory is never touched, and launches that are only recorded.

    Args:
        machine: what launches are planned for.
        name: the backend's name, for messages.

    Attributes:
        sources: what was asked for, each once, in the order of first use.
        launches: the kernels that were launched, in the same order, with the number of arguments.
    """

    def __init__(self, machine: Machine = EMULATED, name: str = "planner") -> None:
        self.machine = machine
        self.name = name
        self._sources: dict[KernelSource, None] = {}
        self.launches: dict[PlannedKernel, int] = {}

    @property
    def sources(self) -> tuple[KernelSource, ...]:
        """What was asked for, each once, in the order of first use."""
        return tuple(self._sources)

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Address space: the system provides memory only for what is written to."""
        return np.empty(shape, dtype)

    def address(self, array: Array) -> int:
        """0, which is aligned: nothing reads the array."""
        return 0

    def asarray(self, array: NDArray[Any]) -> Array:
        """An array of the same shape and dtype, without the contents."""
        return self.empty(array.shape, array.dtype)

    def zeros(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """As ``empty``, because nothing would read the zeros."""
        return self.empty(shape, dtype)

    def write(self, array: Array, host: NDArray[Any]) -> None:
        """Nothing is written."""

    def to_numpy(self, array: Array) -> NDArray[Any]:
        """Zeros, which at least are finite."""
        return np.zeros(array.shape, array.dtype)

    def compile(self, source: KernelSource) -> Module:
        """Records the source."""
        self._sources[source] = None
        return _Planned(source)

    def launch(
        self,
        kernel: Kernel,
        grid: Grid,
        block: Grid,
        shared_bytes: int,
        arguments: Sequence[Argument],
    ) -> None:
        """Records the kernel, and checks that the device could run such a block."""
        if not isinstance(kernel, PlannedKernel):
            raise TypeError(f"{kernel!r} is not a kernel of this device")
        threads = block[0] * block[1] * block[2]
        most, most_bytes = self.machine.block_threads, self.machine.block_dynamic_shared_bytes
        if threads > most or shared_bytes > most_bytes:
            raise BackendError(
                f"{kernel} asks for blocks of {threads} threads and {shared_bytes} bytes of "
                f"shared memory; the device has {most} and {most_bytes}"
            )
        self.launches[kernel] = len(arguments)

    def synchronise(self) -> None:
        """Nothing to wait for."""


class _Planned(dict[str, PlannedKernel]):
    """The kernels of a file, as far as they were asked for: nothing is known of the others."""

    def __init__(self, source: KernelSource) -> None:
        super().__init__()
        self._source = source

    def __missing__(self, name: str) -> PlannedKernel:
        self[name] = PlannedKernel(self._source, name)
        return self[name]
