"""The emulator: sources compiled and kernels run, in one mode."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gpucnn.emulator.arguments import Argument
from gpucnn.emulator.builder import Builder, Progress, Report, no_progress, no_report
from gpucnn.emulator.cache import Cache, default_folder
from gpucnn.emulator.compiler import compiler
from gpucnn.emulator.errors import EmulatorError, LaunchError
from gpucnn.emulator.launching import Grid, Launch, Runtime
from gpucnn.emulator.library import Library, LoadedKernel, Module
from gpucnn.emulator.modes import MODES
from gpucnn.emulator.sanitizer import SanitizerRunner
from gpucnn.emulator.source import Source

_LARGEST_GRID: Grid = (2**31 - 1, 65535, 65535)
_LARGEST_BLOCK: Grid = (1024, 1024, 64)


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


class Emulator:
    """Compiles sources and runs their kernels: each thread a fiber, blocks over the cores.

    Args:
        mode: "fast"; "race", which checks each access of memory; or "sanitize", which runs under
            the compiler's sanitizers. The last two are many times slower.
        workers: threads of the host; None for as many as the process has cores. Race mode has one.
        limits: of the GPU that it stands in for; None for those of an H100.
        progress: shows what is being compiled.
        report: is given each source that has warnings, whether or not it had to be compiled.

    Raises:
        EmulatorError: an unknown mode, no workers, or no C++ compiler.
    """

    def __init__(
        self,
        mode: str = "race",
        workers: int | None = None,
        limits: Limits | None = None,
        progress: Progress = no_progress,
        report: Report = no_report,
    ) -> None:
        if mode not in MODES:
            raise EmulatorError(f'the emulator has no mode "{mode}"; it has {", ".join(MODES)}')
        if workers is not None and workers < 1:
            raise EmulatorError(f"workers is {workers}; the emulator needs one at least")
        compiler()
        self.mode = MODES[mode]
        self.limits = limits or Limits()
        self.workers = 1 if self.mode.checked else workers or len(os.sched_getaffinity(0))
        kept = _cache(default_folder())
        self._builder = Builder(self.mode, kept, progress, report)
        # A sanitized library cannot be loaded here: kernels and their parameters are then known
        # from a fast one.
        self._loaded = (
            Builder(MODES["fast"], kept, progress) if self.mode.sanitized else self._builder
        )
        self._runtime = _runtime(self._loaded)
        self._sanitizer = SanitizerRunner(self._builder.runtime()) if self.mode.sanitized else None

    def modules(self, sources: Iterable[Source]) -> dict[Source, Module]:
        """The kernels of sources; what has not been compiled is, several at a time, on all cores.

        A source's variables are the same wherever its kernels run; ``private_module`` has its own.

        Raises:
            CompilationError: one does not compile.
            LaunchError: a kernel has more static shared memory than a GPU.
        """
        sources = list(dict.fromkeys(sources))
        built = self._builder.libraries(sources)
        paths = self._loaded.libraries(sources)
        libraries = {path: Library(path) for path in set(paths.values())}
        return {
            source: self._module(libraries[path], source, built[source])
            for source, path in paths.items()
        }

    def private_module(self, source: Source) -> Module:
        """The kernels of a source, with variables that no other module of the source shares.

        Raises:
            EmulatorError: as ``modules``.
        """
        module = self.modules([source])[source]
        if not module.variables:
            return module
        library = Library(self._loaded.libraries([source])[source], is_private=True)
        return self._module(library, source, self._builder.libraries([source])[source])

    def _module(self, library: Library, source: Source, built: Path) -> Module:
        module = library.module(source)
        for kernel in module.values():
            self._check_static_shared_memory(kernel)
        return module.sanitized(built) if self.mode.sanitized else module

    def _check_static_shared_memory(self, kernel: LoadedKernel) -> None:
        if kernel.static_shared_bytes > self.limits.shared_bytes:
            raise LaunchError(
                f"{kernel} has {kernel.static_shared_bytes} bytes of static shared memory, a "
                f"GPU allows {self.limits.shared_bytes}; make it smaller, or dynamic"
            )

    def launch(self, kernel: LoadedKernel, launch: Launch, arguments: Sequence[Argument]) -> None:
        """Runs a kernel to its end.

        Raises:
            LaunchError: arguments that do not fit the kernel's parameters, or more threads or
                shared memory than a GPU has.
            EmulatorError: whatever the kernel does that a GPU would refuse or leave undefined:
                kernel, block, thread and source line.
            KeyboardInterrupt: the user has ended it.
        """
        self._check_launch(kernel, launch)
        if self._sanitizer:
            self._sanitizer.launch(kernel, launch, arguments)
        else:
            self._runtime.launch(kernel, launch, arguments, self.workers, self.mode.checked)

    def _check_launch(self, kernel: LoadedKernel, launch: Launch) -> None:
        limits = (("grid", launch.grid, _LARGEST_GRID), ("block", launch.block, _LARGEST_BLOCK))
        for name, sizes, most in limits:
            if len(sizes) != 3:
                raise LaunchError(f"{kernel}: a {name} of {sizes}; it takes three numbers")
            if any(not 1 <= size <= limit for size, limit in zip(sizes, most, strict=True)):
                raise LaunchError(f"{kernel}: a {name} of {sizes}; a GPU allows 1 to {most}")
        block = launch.block
        threads = block[0] * block[1] * block[2]
        if threads > self.limits.threads:
            raise LaunchError(
                f"{kernel}: a block of {block} has {threads} threads, a GPU allows "
                f"{self.limits.threads}"
            )
        if 0 < kernel.most_threads < threads:
            raise LaunchError(
                f"{kernel}: a block of {block} has {threads} threads, its __launch_bounds__ allow "
                f"{kernel.most_threads}"
            )
        total = kernel.static_shared_bytes + launch.shared_bytes
        if launch.shared_bytes < 0 or total > self.limits.dynamic_shared_bytes:
            raise LaunchError(
                f"{kernel}: {kernel.static_shared_bytes} bytes of static and "
                f"{launch.shared_bytes} of dynamic shared memory, a GPU has "
                f"{self.limits.dynamic_shared_bytes} a block"
            )


def why_unavailable() -> str:
    """One sentence on why the emulator does not work here; empty if it does."""
    if sys.platform != "linux":
        return "the emulator works on Linux only so far"
    try:
        compiler()
    except EmulatorError as error:
        return str(error)
    return ""


@cache
def _cache(folder: Path | None) -> Cache:
    """One for each folder, so that devices share what they compile even if it cannot be written."""
    return Cache(folder)


_runtimes: dict[str, Runtime] = {}


def _runtime(builder: Builder) -> Runtime:
    """The process' one runtime, loaded if it has not been."""
    key = builder.runtime_key
    if _runtimes and key not in _runtimes:
        raise EmulatorError(
            "the emulator's compiler has changed since it was first used; start a new process"
        )
    if key not in _runtimes:
        _runtimes[key] = Runtime(builder.runtime())
    return _runtimes[key]
