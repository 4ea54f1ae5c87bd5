"""The emulator: sources compiled and kernels run, in one mode."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from gpucnn.emulator.arguments import Argument
from gpucnn.emulator.builder import Builder
from gpucnn.emulator.cache import shared_cache
from gpucnn.emulator.compiler import compiler
from gpucnn.emulator.errors import EmulatorError
from gpucnn.emulator.launch import (
    HARDWARE,
    Launch,
    Limits,
    check_launch,
    check_static_shared_memory,
)
from gpucnn.emulator.launching import Runtime
from gpucnn.emulator.library import Library, LoadedKernel, Module
from gpucnn.emulator.modes import MODES
from gpucnn.emulator.reporting import Progress, Report, no_progress, no_report
from gpucnn.emulator.sanitizer import SanitizerRunner
from gpucnn.emulator.source import Source
from gpucnn.emulator.tensor_core import EMULATED, TO_NEAREST, TensorCore


class Emulator:
    """Compiles sources and runs their kernels: each thread a fiber, blocks over the cores.

    Args:
        mode: one of MODES.
        workers: threads of the host; None for as many as the process has cores. Race mode has one.
        limits: of the GPU that it stands in for; None for those of an H100.
        progress: shows what is being compiled.
        report: is given each source that has warnings, whether or not it had to be compiled.
        tensor_core: how launches with the accumulation "hardware" add up products.

    Raises:
        EmulatorError: no workers, or no C++ compiler.
    """

    def __init__(
        self,
        mode: str = "race",
        workers: int | None = None,
        limits: Limits | None = None,
        progress: Progress = no_progress,
        report: Report = no_report,
        tensor_core: TensorCore = EMULATED,
    ) -> None:
        if workers is not None and workers < 1:
            raise EmulatorError(f"workers is {workers}; the emulator needs one at least")
        compiler()
        self.mode = MODES[mode]
        self.limits = limits or Limits()
        self.tensor_core = tensor_core
        self.workers = 1 if self.mode.checked else workers or len(os.sched_getaffinity(0))
        kept = shared_cache()
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
            check_static_shared_memory(kernel, self.limits)
        return module.sanitized(built) if self.mode.sanitized else module

    def launch(self, kernel: object, launch: Launch, arguments: Sequence[Argument]) -> Counter[str]:
        """Runs a kernel to its end.

        Returns:
            Nothing: compiled C++ has no instructions of a GPU to be counted.

        Raises:
            TypeError: a kernel of another mode.
            LaunchError: arguments that do not fit the kernel's parameters, more threads or
                shared memory than a GPU has, or an unknown accumulation.
            EmulatorError: whatever the kernel does that a GPU would refuse or leave undefined:
                kernel, block, thread and source line.
            KeyboardInterrupt: the user has ended it.
        """
        if not isinstance(kernel, LoadedKernel):
            raise TypeError(f"{kernel!r} is not a kernel of mode {self.mode.name}")
        check_launch(kernel, launch, self.limits)
        tensor_core = self.tensor_core if launch.accumulation == HARDWARE else TO_NEAREST
        if self._sanitizer:
            self._sanitizer.launch(kernel, launch, arguments, tensor_core)
        else:
            checked = self.mode.checked
            self._runtime.launch(kernel, launch, arguments, self.workers, checked, tensor_core)
        return Counter()


def why_unavailable() -> str:
    """One sentence on why the emulator does not work here; empty if it does."""
    if sys.platform != "linux":
        return "the emulator works on Linux only so far"
    try:
        compiler()
    except EmulatorError as error:
        return str(error)
    return ""


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
