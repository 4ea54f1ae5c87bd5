"""What there is to compile, compiled, and the registers and memory of each kernel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from gpucnn.backends.devices.cuda.compilation_error import CompilationError
from gpucnn.backends.devices.cuda.disassembly import by_kind, instructions, why_not
from gpucnn.backends.devices.cuda.nvrtc import Usage
from gpucnn.backends.devices.cuda.store import ProgramStore
from gpucnn.backends.devices.source import KERNELS, Constant, KernelSource
from gpucnn.backends.dry_run import dry_run
from gpucnn.backends.kernel_backend import KernelBackend
from gpucnn.errors import BackendError
from gpucnn.inspect.representative import run_all
from gpucnn.launch.machine import machine_of
from gpucnn.processor import thread_on_each_core
from gpucnn.text import shown


@dataclass(frozen=True)
class KernelReport:
    """One kernel of one variant for one architecture.

    Attributes:
        source: the file and its constants.
        name: the kernel.
        architecture: what it was compiled for.
        usage: registers and memory.
        parameters: how many it has.
        instructions: how many of each kind; None if nothing can read them.
    """

    source: KernelSource
    name: str
    architecture: str
    usage: Usage
    parameters: int
    instructions: Mapping[str, int] | None

    def as_json(self) -> dict[str, object]:
        """All of it."""
        return {
            "file": self.source.file,
            "kernel": self.name,
            "constants": dict(self.source.constants),
            "architecture": self.architecture,
            **vars(self.usage),
            "instructions": None if self.instructions is None else dict(self.instructions),
        }


@dataclass(frozen=True)
class Built:
    """A file, compiled with one set of constants for one architecture.

    Attributes:
        source: the file and its constants.
        architecture: what it was compiled for.
        kernels: its kernels; none if it does not compile.
        error: why it does not.
        errors: the same, one by one.
        warnings: of the compiler, if it compiles.
    """

    source: KernelSource
    architecture: str
    kernels: tuple[KernelReport, ...]
    error: str = ""
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def failures(self) -> tuple[str, ...]:
        """What is wrong: it does not compile, or some of its kernels spill."""
        return (self.error,) if self.error else self.spills

    @property
    def spills(self) -> tuple[str, ...]:
        """A line for each kernel that has too few registers."""
        return tuple(
            f"{self.source}: {kernel.name} spills {kernel.usage.spill_bytes} bytes on "
            f"{self.architecture}, with {kernel.usage.registers} registers"
            for kernel in self.kernels
            if kernel.usage.spill_bytes
        )


@dataclass(frozen=True)
class Plan:
    """What there is to compile, and which of its kernels are launched.

    Attributes:
        sources: by architecture, files with their constants, by file.
        launched: by file, the kernels that operations launch, with the number of arguments.
    """

    sources: Mapping[str, tuple[KernelSource, ...]]
    launched: Mapping[str, Mapping[str, int]]

    def of_files(self, files: Iterable[str]) -> Plan:
        """The part of the plan that is about these files."""
        chosen = set(files)
        return Plan(
            {
                architecture: tuple(source for source in sources if source.file in chosen)
                for architecture, sources in self.sources.items()
            },
            {file: kernels for file, kernels in self.launched.items() if file in chosen},
        )

    def misfits(self, built: Iterable[Built]) -> list[str]:
        """A line for each kernel that differs from what is launched.

        Args:
            built: what was compiled; nothing is known of files that do not compile.
        """
        lines = (
            _misfit(one, kernel, arguments)
            for one in built
            for kernel, arguments in self.launched.get(one.source.file, {}).items()
            if not one.error
        )
        return list(dict.fromkeys(line for line in lines if line))


def _misfit(built: Built, kernel: str, arguments: int) -> str:
    """Why a kernel cannot be launched; empty if it can.

    A GPU would take whatever is in memory after the arguments for those that are missing.
    """
    path, there = built.source.path, {one.name: one.parameters for one in built.kernels}
    if kernel not in there:
        return (
            f"{path} has no kernel {kernel}, which is launched with {arguments} arguments; it has "
            f"{', '.join(there) or 'none'}"
        )
    if there[kernel] != arguments:
        return (
            f"{path}: {kernel} is launched with {arguments} arguments, and the number of its "
            f"parameters is {there[kernel]}"
        )
    return ""


def plan_build(
    architectures: Iterable[str],
    folder: Path = KERNELS,
    others: Iterable[Callable[[KernelBackend], object]] = (),
    constants: tuple[tuple[str, Constant], ...] = (),
) -> Plan:
    """What the operations launch at representative shapes.

    Args:
        architectures: what to plan for.
        folder: of kernels. A file in it that no operation launches is compiled as it is.
        others: further runs, on a backend whose arrays have no contents.
        constants: of the files that no operation launches.

    Raises:
        BackendError: there are no kernels in the folder, or all are launched and there are
            constants.
    """
    files = {path.name for path in folder.glob("*.cu")}
    if not files:
        raise BackendError(
            f"{shown(folder)} is not a folder of kernels: there is no .cu file in it"
        )

    def run_everything(backend: KernelBackend) -> None:
        run_all(backend)
        for run in others:
            run(backend)

    devices = {each: dry_run(run_everything, machine_of(each)) for each in architectures}
    planned = {
        each: [replace(source, folder=folder) for source in device.sources if source.file in files]
        for each, device in devices.items()
    }
    rest = files - {source.file for source in chain.from_iterable(planned.values())}
    if constants and not rest:
        raise BackendError(
            f"operations launch every file of {shown(folder)}, with constants of their own; "
            "--define is for other files"
        )
    alone = [KernelSource(file, constants, folder) for file in rest]
    launched: dict[str, dict[str, int]] = {}
    for device in devices.values():
        for kernel, arguments in device.launches.items():
            if kernel.source.file in files:
                launched.setdefault(kernel.source.file, {})[kernel.name] = arguments
    sources = {
        each: tuple(sorted([*of_each, *alone], key=lambda source: source.file))
        for each, of_each in planned.items()
    }
    return Plan(sources, launched)


def build_all(
    sources: Mapping[str, Sequence[KernelSource]],
    disassemble: bool = True,
    after_each: Callable[[], object] = lambda: None,
) -> list[Built]:
    """Compiles everything, several at a time.

    Args:
        sources: by architecture, files with their constants.
        disassemble: whether instructions are counted.
        after_each: called whenever one has been compiled.

    Returns:
        What was built, in order of architecture, then source.
    """
    stores = [(ProgramStore(architecture), files) for architecture, files in sources.items()]
    with thread_on_each_core() as pool:
        jobs = [
            pool.submit(_build, store, each, disassemble)
            for store, files in stores
            for each in files
        ]
        for _ in as_completed(jobs):
            after_each()
        return [job.result() for job in jobs]


def _build(store: ProgramStore, source: KernelSource, disassemble: bool) -> Built:
    architecture = store.architecture
    try:
        program = store.find(source) or store.compile(source)
    except CompilationError as error:
        return Built(source, architecture, (), str(error), error.diagnostics)
    except BackendError as error:
        return Built(source, architecture, (), str(error), (str(error),))
    found: dict[str, Counter[str]] = {}
    if disassemble and not why_not(architecture):
        found = instructions(program.cubin)
    kernels = tuple(
        KernelReport(
            source,
            name,
            architecture,
            program.usage[name],
            program.parameters[name],
            by_kind(found[lowered]) if found else None,
        )
        for name, lowered in program.names.items()
    )
    return Built(source, architecture, kernels, warnings=program.warnings)
