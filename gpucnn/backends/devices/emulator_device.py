"""The emulator as a device: NumPy arrays, the host's compiler, fibers for threads."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.devices.cache import Cache, default_folder
from gpucnn.backends.devices.device import LARGEST_GRID, Argument, Device, Grid, Kernel, Module
from gpucnn.backends.devices.source import KernelSource
from gpucnn.backends.interface.arrays import Array
from gpucnn.emulator.arguments import address_of
from gpucnn.emulator.builder import MODES, Builder
from gpucnn.emulator.compiler import compiler
from gpucnn.emulator.errors import EmulatorError
from gpucnn.emulator.library import Library, LoadedKernel, Runtime
from gpucnn.emulator.sanitizer import SanitizerRunner
from gpucnn.emulator.symbols import check_nm
from gpucnn.errors import BackendError
from gpucnn.launch.machine import EMULATED, Machine
from gpucnn.processor import available_cores

_ALIGNMENT = 64
_GAP = 256
"""Bytes before and after each array that belong to no array."""
_LARGEST_BLOCK: Grid = (1024, 1024, 64)


class EmulatorDevice(Device):
    """Runs kernels on the CPU: each thread a fiber, blocks over the cores.

    Args:
        mode: "fast"; "race", which checks each access of memory; or "sanitize", which runs under
            the compiler's sanitizers. The last two are many times slower.
        seed: decides the order of threads and blocks; correct kernels do not depend on it.
        workers: threads of the host; None for as many as the process has cores. Race mode has one.
        time_limit: seconds after which a launch is ended with an error that names the line it had
            reached; None for no limit.
        machine: the GPU whose launches it runs.
        guarded_bytes: arrays of at most so many bytes are copied into memory of their own for a
            launch in fast mode, so that an index out of bounds cannot damage other memory. In race
            mode all arrays are.
        allow_same_value_writes: whether race mode allows several threads to write the same value
            to one place.

    Raises:
        BackendError: an unknown mode, no workers, no C++ compiler, or no nm.
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
    ) -> None:
        if mode not in MODES:
            raise BackendError(f'the emulator has no mode "{mode}"; it has {", ".join(MODES)}')
        if workers is not None and workers < 1:
            raise BackendError(f"workers is {workers}; the emulator needs one at least")
        _check_programs()
        self.mode = MODES[mode]
        self.seed = seed
        self.time_limit = time_limit
        self.guarded_bytes = guarded_bytes
        self.allow_same_value_writes = allow_same_value_writes
        self.machine = machine
        self.workers = 1 if self.mode.checked else workers or available_cores()
        kept = _cache(default_folder())
        self._builder = Builder(self.mode, kept)
        # A sanitized library cannot be loaded here: kernels and their parameters are then known
        # from a fast one.
        self._loaded = Builder(MODES["fast"], kept) if self.mode.sanitized else self._builder
        self._runtime = _runtime(self._loaded)
        self._sanitizer = SanitizerRunner(self._builder.runtime()) if self.mode.sanitized else None
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
        built = self._builder.libraries(wanted)
        paths = self._loaded.libraries(wanted)
        try:
            libraries = {path: Library(path) for path in set(paths.values())}
        except EmulatorError as error:
            raise BackendError(str(error)) from error
        for source, path in paths.items():
            kernels = [libraries[path].kernel(source, name) for name in source.functions()]
            self._check_static_shared_memory(kernels)
            self._modules[_version(source)] = {
                kernel.name: kernel.sanitized(built[source]) if self.mode.sanitized else kernel
                for kernel in kernels
            }

    def _check_static_shared_memory(self, kernels: Iterable[LoadedKernel]) -> None:
        for kernel in kernels:
            if kernel.static_shared_bytes > self.machine.block_shared_bytes:
                raise BackendError(
                    f"{kernel} has {kernel.static_shared_bytes} bytes of static shared memory, a "
                    f"GPU allows {self.machine.block_shared_bytes}; make it smaller, or dynamic"
                )

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
        if not isinstance(kernel, LoadedKernel):
            raise TypeError(f"{kernel!r} is not a kernel of the emulator")
        self._check_launch(kernel, grid, block, shared_bytes)
        self.seed += 1
        try:
            self._run(kernel, grid, block, shared_bytes, arguments)
        except EmulatorError as error:
            raise BackendError(str(error)) from error

    def _run(
        self,
        kernel: LoadedKernel,
        grid: Grid,
        block: Grid,
        shared_bytes: int,
        arguments: Sequence[Argument],
    ) -> None:
        if self._sanitizer:
            self._sanitizer.launch(
                kernel, grid, block, shared_bytes, arguments, self.seed, self.time_limit or 0.0
            )
        else:
            self._runtime.launch(
                kernel, grid, block, shared_bytes, arguments, self.seed, self.workers,
                self.mode.checked, self.time_limit or 0.0,
                2**64 - 1 if self.mode.checked else self.guarded_bytes,
                self.allow_same_value_writes,
            )  # fmt: skip

    def _check_launch(
        self, kernel: LoadedKernel, grid: Grid, block: Grid, shared_bytes: int
    ) -> None:
        for name, sizes, most in (("grid", grid, LARGEST_GRID), ("block", block, _LARGEST_BLOCK)):
            if len(sizes) != 3:
                raise BackendError(f"{kernel}: a {name} of {sizes}; it takes three numbers")
            if any(not 1 <= size <= limit for size, limit in zip(sizes, most, strict=True)):
                raise BackendError(f"{kernel}: a {name} of {sizes}; a GPU allows 1 to {most}")
        threads = block[0] * block[1] * block[2]
        if threads > self.machine.block_threads:
            raise BackendError(
                f"{kernel}: a block of {block} has {threads} threads, a GPU allows "
                f"{self.machine.block_threads}"
            )
        if 0 < kernel.most_threads < threads:
            raise BackendError(
                f"{kernel}: a block of {block} has {threads} threads, its __launch_bounds__ allow "
                f"{kernel.most_threads}"
            )
        total = kernel.static_shared_bytes + shared_bytes
        if shared_bytes < 0 or total > self.machine.block_dynamic_shared_bytes:
            allowed = self.machine.block_dynamic_shared_bytes
            raise BackendError(
                f"{kernel}: {kernel.static_shared_bytes} bytes of static and {shared_bytes} of "
                f"dynamic shared memory, a GPU has {allowed} a block"
            )

    def synchronise(self) -> None:
        """Nothing to wait for."""


def why_unavailable() -> str:
    """One sentence on why the emulator does not work here; empty if it does."""
    if sys.platform != "linux":
        return "the emulator works on Linux only so far"
    try:
        _check_programs()
    except BackendError as error:
        return str(error)
    return ""


def _check_programs() -> None:
    """Raises BackendError if a program is missing that the emulator runs."""
    compiler()
    check_nm()


@cache
def _cache(folder: Path | None) -> Cache:
    """One for each folder, so that devices share what they compile even if it cannot be written."""
    return Cache(folder)


_runtimes: dict[str, Runtime] = {}


def _runtime(builder: Builder) -> Runtime:
    """The process' one runtime, loaded if it has not been."""
    key = builder.runtime_key
    if _runtimes and key not in _runtimes:
        raise BackendError(
            "the emulator's compiler has changed since it was first used; start a new process"
        )
    if key not in _runtimes:
        _runtimes[key] = Runtime(builder.runtime())
    return _runtimes[key]


def _version(source: KernelSource) -> tuple[KernelSource, str]:
    """A source as its files are now."""
    return source, source.digest()
