"""The emulator as a device: arrays of the host, kernels run on the CPU."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.devices.device import Argument, Device, Grid, Kernel, Module
from gpucnn.backends.devices.source import KernelSource, as_backend_errors
from gpucnn.backends.interface.arrays import Array
from gpucnn.emulator.arguments import address_of
from gpucnn.emulator.engines import check_jitter, find_engine, why_unavailable
from gpucnn.emulator.launch import HARDWARE, Launch, Limits, check_accumulation
from gpucnn.launch.machine import EMULATED, Machine
from gpucnn.progress import progress

__all__ = ["EmulatorDevice", "why_unavailable"]

_ALIGNMENT = 64
_GAP = 256
"""Bytes before and after each array that belong to no array."""


class EmulatorDevice(Device):
    """Runs kernels on the CPU: each thread a fiber, blocks over the cores.

    Args:
        mode: "fast"; "race", which checks each access of memory; "sanitize", which runs under the
            compiler's sanitizers; or "ptx", which runs what NVRTC makes of the kernels for the
            machine's architecture. The last three are many times slower.
        seed: decides the order of threads and blocks; correct kernels do not depend on it.
        workers: threads of the host; None for as many as the process has cores. Race mode has one.
        time_limit: seconds after which a launch is ended with an error that names the line it had
            reached; None for no limit.
        machine: the GPU whose launches it runs.
        guarded_bytes: arrays of at most this size are copied into memory of their own for a
            launch in fast mode, so that an index out of bounds cannot damage other memory. In race
            mode all arrays are.
        allow_same_value_writes: whether race mode allows several threads to write the same value
            to one place.
        accumulation: "hardware", which adds up the products of tensor cores as the machine does;
            or "ieee", which rounds to nearest after each addition.
        jitter: whether approximate functions err in mode ptx, as far as NVIDIA says they may.

    Attributes:
        instruction_counts: how many instructions the warps of all launches so far have executed,
            by opcode; in mode ptx alone.

    Raises:
        BackendError: an unknown mode or accumulation, no workers, no C++ compiler, or no NVRTC in
            mode ptx.
    """

    name = "emulator"

    def __init__(
        self,
        mode: str = "fast",
        seed: int = 0,
        workers: int | None = None,
        time_limit: float | None = None,
        machine: Machine = EMULATED,
        guarded_bytes: int = 0,
        allow_same_value_writes: bool = False,
        accumulation: str = HARDWARE,
        jitter: bool = False,
    ) -> None:
        limits = Limits(
            machine.block_threads, machine.block_shared_bytes, machine.block_dynamic_shared_bytes
        )
        with as_backend_errors():
            check_accumulation(accumulation)
            check_jitter(mode, jitter)
            self._engine = find_engine(
                mode, workers, limits, progress, architecture=machine.architecture
            )
        self.mode = mode
        self.workers = self._engine.workers
        self.seed = seed
        self.time_limit = time_limit
        self.guarded_bytes = guarded_bytes
        self.allow_same_value_writes = allow_same_value_writes
        self.accumulation = accumulation
        self.jitter = jitter
        self.instruction_counts: Counter[str] = Counter()
        self.machine = machine
        self._modules: dict[tuple[KernelSource, str], Module] = {}

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """A contiguous array with undefined contents, and a gap to the next."""
        size = math.prod(shape) * dtype.itemsize
        memory = np.empty(size + 2 * _GAP + _ALIGNMENT, np.uint8)
        start = _GAP + -(address_of(memory) + _GAP) % _ALIGNMENT
        return memory[start : start + size].view(dtype).reshape(shape)

    def asarray(self, array: NDArray[Any]) -> NDArray[Any]:
        """A copy, with a gap to other arrays."""
        copy = self.empty(array.shape, array.dtype)
        self.write(copy, array)
        return copy

    def write(self, array: Array, host: NDArray[Any]) -> None:
        """Copies a host array into an array of the device."""
        np.asarray(array)[...] = host

    def address(self, array: Array) -> int:
        """Where the array's memory begins."""
        return address_of(np.asarray(array))

    def to_numpy(self, array: Array) -> NDArray[Any]:
        """A copy."""
        return np.array(array, order="C")

    def compile(self, source: KernelSource) -> Module:
        """The kernels of a source."""
        self.compile_all([source])
        return self._modules[_version(source)]

    def compile_all(self, sources: Iterable[KernelSource]) -> None:
        """Compiles what has not been compiled, several sources at a time, on all cores."""
        wanted = [source for source in sources if _version(source) not in self._modules]
        if not wanted:
            return
        with as_backend_errors():
            modules = self._engine.modules(source.as_text() for source in wanted)
        for source in wanted:
            self._modules[_version(source)] = modules[source.as_text()].kernels

    def launch(
        self,
        kernel: Kernel,
        grid: Grid,
        block: Grid,
        shared_bytes: int,
        arguments: Sequence[Argument],
    ) -> None:
        """Runs a kernel to its end.

        Raises:
            TypeError: a kernel of another device.
            BackendError: arguments that do not fit the kernel's parameters, more threads or
                shared memory than a GPU has, or whatever the kernel does that a GPU would refuse
                or leave undefined: kernel, block, thread and source line.
            KeyboardInterrupt: the user has ended it.
        """
        self.seed += 1
        launch = Launch(
            grid,
            block,
            shared_bytes,
            self.seed,
            self.time_limit or 0.0,
            self.guarded_bytes,
            self.allow_same_value_writes,
            self.accumulation,
            self.jitter,
        )
        with as_backend_errors():
            counts = self._engine.launch(kernel, launch, [_own(each) for each in arguments])
        self.instruction_counts += counts

    def synchronise(self) -> None:
        """Nothing to wait for."""


def _own(argument: Argument) -> NDArray[Any] | np.generic | None:
    """An argument as the emulator takes it, of the exact type that the kernel has."""
    if argument is None or isinstance(argument, (np.ndarray, np.generic)):
        return argument
    raise TypeError(
        f"{argument!r} is a {type(argument).__name__}; kernels take arrays of their device, NumPy "
        "scalars and None"
    )


def _version(source: KernelSource) -> tuple[KernelSource, str]:
    """A source as its files are now."""
    return source, source.digest()
