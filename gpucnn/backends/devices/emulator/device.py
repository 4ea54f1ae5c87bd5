"""The emulator as a device: NumPy arrays, the host's compiler, fibers for threads."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.devices.cache import Cache
from gpucnn.backends.devices.device import Argument, Device, DeviceLimits, Grid, Module
from gpucnn.backends.devices.emulator.builder import MODES, Builder, compiler
from gpucnn.backends.devices.emulator.library import Library, LoadedKernel, Runtime
from gpucnn.backends.devices.emulator.sanitizer import SanitizerRunner
from gpucnn.backends.devices.source import KernelSource
from gpucnn.errors import BackendError

_ALIGNMENT = 64
_GAP = 256
"""Bytes before and behind each array that belong to none."""


class EmulatorDevice(Device):
    """Runs kernels on the CPU: each thread a fiber, blocks over the cores.

    Args:
        mode: "fast"; "race", which checks each access of memory; or "sanitize", which runs under
            the compiler's sanitizers. The last two are many times slower.
        seed: decides the order of threads and blocks; right kernels do not depend on it.
        workers: threads of the host; None for as many as the process has cores. Race mode has one.

    Raises:
        BackendError: an unknown mode, or no C++ compiler.
    """

    name = "emulator"
    limits = DeviceLimits(dynamic_shared_bytes=227 * 1024)

    def __init__(self, mode: str = "fast", seed: int = 0, workers: int | None = None) -> None:
        if mode not in MODES:
            raise BackendError(f'the emulator has no mode "{mode}"; it has {", ".join(MODES)}')
        self.mode = MODES[mode]
        self.seed = seed
        self.workers = 1 if self.mode.checked else workers or _cores()
        cache = Cache()
        self._builder = Builder(self.mode, cache)
        # A sanitized library cannot be loaded here: kernels and their parameters are then known
        # from a fast one.
        self._loaded = Builder(MODES["fast"], cache) if self.mode.sanitized else self._builder
        self._runtime = Runtime(self._loaded.runtime())
        self._sanitizer = SanitizerRunner(self._builder.runtime()) if self.mode.sanitized else None
        self._modules: dict[KernelSource, Module] = {}

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """A contiguous array with undefined contents, and a gap to the next."""
        count = int(np.prod(shape, dtype=np.int64))
        memory = np.empty(count * dtype.itemsize + 2 * _GAP + _ALIGNMENT, np.uint8)
        start = _GAP + -(memory.ctypes.data + _GAP) % _ALIGNMENT
        return memory[start : start + count * dtype.itemsize].view(dtype).reshape(shape)

    def asarray(self, array: NDArray[Any]) -> NDArray[Any]:
        """A copy, with a gap to other arrays."""
        copy = self.empty(array.shape, array.dtype)
        copy[...] = array
        return copy

    def to_numpy(self, array: NDArray[Any]) -> NDArray[Any]:
        """A copy."""
        return array.copy()

    def compile(self, source: KernelSource) -> Module:
        """The kernels of a source."""
        self.compile_all([source])
        return self._modules[source]

    def compile_all(self, sources: Iterable[KernelSource]) -> None:
        """Compiles what has not been compiled, several sources at a time, on all cores."""
        wanted = [source for source in sources if source not in self._modules]
        built = self._builder.libraries(wanted)
        for source, path in self._loaded.libraries(wanted).items():
            library = Library(path)
            self._modules[source] = {
                function: replace(library.kernel(source, function), library=built[source])
                for function in source.functions()
            }

    def launch(
        self,
        kernel: LoadedKernel,
        grid: Grid,
        block: Grid,
        shared_bytes: int,
        arguments: Sequence[Argument],
    ) -> None:
        """Runs a kernel to its end.

        Raises:
            BackendError: arguments that do not fit the kernel's parameters, more threads or
                shared memory than a GPU has, or whatever the kernel does that a GPU would refuse
                or leave undefined: kernel, block, thread and source line.
        """
        threads = block[0] * block[1] * block[2]
        if not 1 <= threads <= self.limits.threads:
            raise BackendError(
                f"{kernel}: a block of {block} has {threads} threads, a GPU allows "
                f"{self.limits.threads}"
            )
        if shared_bytes > self.limits.dynamic_shared_bytes:
            raise BackendError(
                f"{kernel}: {shared_bytes} bytes of dynamic shared memory, a GPU has "
                f"{self.limits.dynamic_shared_bytes}"
            )
        self.seed += 1
        if self._sanitizer:
            self._sanitizer.launch(kernel, grid, block, shared_bytes, arguments, self.seed)
        else:
            self._runtime.launch(
                kernel, grid, block, shared_bytes, arguments, self.seed, self.workers,
                self.mode.checked,
            )  # fmt: skip

    def synchronise(self) -> None:
        """Nothing to wait for."""


def why_unavailable() -> str:
    """One sentence on why the emulator cannot work here; empty where it can."""
    if sys.platform != "linux":
        return "the emulator works on Linux only so far"
    try:
        compiler()
    except BackendError as error:
        return str(error)
    return ""


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
