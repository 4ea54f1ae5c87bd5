"""The executor of compiled code: sources compiled to PTX by NVRTC, and their kernels run."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpucnn.emulator.cache import shared_cache
from gpucnn.emulator.errors import CompilationError, EmulatorError, LaunchError
from gpucnn.emulator.launch import IEEE, Launch, Limits, check_launch, check_static_shared_memory
from gpucnn.emulator.mangling import source_name
from gpucnn.emulator.options import capability_of
from gpucnn.emulator.ptx.arguments import Argument
from gpucnn.emulator.ptx.compilation import PtxStore
from gpucnn.emulator.ptx.nvrtc import nvrtc
from gpucnn.emulator.ptx.program import IEEE as TO_NEAREST
from gpucnn.emulator.ptx.program import Accumulation, Program, ProgramKernel, Settings
from gpucnn.emulator.ptx.syntax import Variable
from gpucnn.emulator.reporting import Progress, Report, no_progress, no_report
from gpucnn.emulator.source import Source
from gpucnn.emulator.tensor_core import tensor_core_of

_MANTISSA_BITS = 23
"""Of FP32."""


class PtxParameter(NamedTuple):
    """A kernel's parameter, as far as PTX describes it.

    Attributes:
        kind: "f" for a floating-point number, "p" for a pointer or an integer of 64 bits, "u" for
            other integers, "s" for anything else.
        bytes: its size.
        name: empty: PTX has names of its own.
        pointee: empty: PTX does not say what a pointer points to.
    """

    kind: str
    bytes: int
    name: str = ""
    pointee: str = ""


@dataclass(frozen=True)
class PtxKernel:
    """A kernel.

    Attributes:
        name: its function, or the name expression that it was asked for by.
        source: what it was compiled from.
        program: its PTX, ready to be run.
        is_plain: whether ``name`` finds it on a GPU.
    """

    name: str
    source: Source
    program: ProgramKernel
    is_plain: bool

    def __str__(self) -> str:
        """The function, its file and constants."""
        return f"{self.name} of {self.source}"

    @property
    def parameters(self) -> tuple[PtxParameter, ...]:
        """Its parameters, as far as PTX describes them."""
        return tuple(map(_parameter, self.program.parameters))

    @property
    def parameter_count(self) -> int:
        """How many parameters it has."""
        return len(self.program.parameters)

    @property
    def static_shared_bytes(self) -> int:
        """Static shared memory a block."""
        return self.program.static_shared_bytes

    @property
    def most_threads(self) -> int:
        """What its ``__launch_bounds__`` allow a block; 0 without."""
        return self.program.most_threads


@dataclass(frozen=True)
class PtxModule(Mapping[str, PtxKernel]):
    """The kernels of a source, by name.

    Attributes:
        source: what was compiled.
        kernels: by name.
        variables: the bytes of those that can be written to, by name.
        warnings: of the compiler.
        templates: none: PTX has only the instances that were asked for.
    """

    source: Source
    kernels: Mapping[str, PtxKernel]
    variables: Mapping[str, NDArray[np.uint8]]
    warnings: tuple[str, ...]
    templates: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> PtxKernel:
        """The kernel of a name."""
        return self.kernels[name]

    def __iter__(self) -> Iterator[str]:
        """The names of all kernels."""
        return iter(self.kernels)

    def __len__(self) -> int:
        """How many kernels there are."""
        return len(self.kernels)


class PtxEmulator:
    """Compiles sources with NVRTC, and runs their PTX on the CPU.

    Args:
        workers: threads of the host; None for as many as the process has cores.
        limits: of the GPU that it stands in for; None for those of an H100.
        progress: shows what is being compiled.
        report: is given each source that has warnings, whether or not it had to be compiled.
        architecture: what sources are compiled for, such as "sm_90a"; empty for what the options
            of each name.

    Raises:
        EmulatorError: no workers, no NVRTC, or no C++ compiler.
    """

    mode = "ptx"

    def __init__(
        self,
        workers: int | None = None,
        limits: Limits | None = None,
        progress: Progress = no_progress,
        report: Report = no_report,
        architecture: str = "",
    ) -> None:
        if workers is not None and workers < 1:
            raise EmulatorError(f"workers is {workers}; the emulator needs one at least")
        nvrtc()
        self.limits = limits or Limits()
        self.workers = workers or len(os.sched_getaffinity(0))
        self._architecture = architecture
        self._store = PtxStore(shared_cache())
        self._progress = progress
        self._report = report
        self._modules: dict[str, PtxModule] = {}

    def modules(self, sources: Iterable[Source]) -> dict[Source, PtxModule]:
        """The kernels of sources; what has not been compiled is, several at a time, on all cores.

        A source's variables are the same wherever its kernels run; ``private_module`` has its own.

        Raises:
            CompilationError: one does not compile.
            UnsupportedError: one has an instruction that the executor does not know.
            LaunchError: a kernel has more static shared memory than a GPU.
        """
        keys = {source: self._key(source) for source in sources}
        self._compile({s: key for s, key in keys.items() if key not in self._modules})
        for source, key in keys.items():
            if key not in self._modules:
                self._modules[key] = self._loaded(source, key)
        modules = {source: self._modules[key] for source, key in keys.items()}
        for module in modules.values():
            self._tell_warnings(module)
        return modules

    def private_module(self, source: Source) -> PtxModule:
        """The kernels of a source, with variables that no other module of the source shares.

        Raises:
            EmulatorError: as ``modules``.
        """
        key = self._key(source)
        self._compile({source: key})
        module = self._loaded(source, key)
        self._tell_warnings(module)
        return module

    def launch(self, kernel: object, launch: Launch, arguments: Sequence[Argument]) -> Counter[str]:
        """Runs a kernel to its end.

        Returns:
            How many instructions the warps have executed, by opcode.

        Raises:
            TypeError: a kernel of another mode.
            LaunchError: arguments that do not fit the kernel's parameters, or more threads or
                shared memory than a GPU has.
            EmulatorError: whatever the kernel does that a GPU would refuse or leave undefined:
                kernel, block, thread, PTX instruction and source line.
            KeyboardInterrupt: the user has ended it.
        """
        if not isinstance(kernel, PtxKernel):
            raise TypeError(f"{kernel!r} is not a kernel of mode ptx")
        check_launch(kernel, launch, self.limits)
        _check_required_block(kernel, launch)
        settings = Settings(
            launch.grid,
            launch.block,
            launch.shared_bytes,
            launch.seed,
            launch.time_limit,
            self.workers,
            launch.jitter,
            _accumulation(launch.accumulation, self._target(kernel.source)),
            launch.allow_same_value_writes,
        )
        return kernel.program.run(settings, arguments)

    def _compile(self, keys: Mapping[Source, str]) -> None:
        """Compiles what the cache does not have, in parallel."""
        missing = {s: key for s, key in keys.items() if self._store.find(key) is None}
        if not missing:
            return
        with (
            self._progress("compiling kernels to PTX, once", len(missing)) as advance,
            ThreadPoolExecutor(self.workers) as threads,
        ):
            jobs = [
                threads.submit(self._store.compile, key, source, self._target(source))
                for source, key in missing.items()
            ]
            try:
                for job in as_completed(jobs):
                    job.result()
                    advance(1)
            finally:  # After an error, or Ctrl-C, no further ones are begun.
                threads.shutdown(wait=False, cancel_futures=True)

    def _target(self, source: Source) -> str:
        return self._architecture or source.options.architecture

    def _key(self, source: Source) -> str:
        return self._store.key(source, self._target(source))

    def _tell_warnings(self, module: PtxModule) -> None:
        if module.warnings:
            self._report(module.source, module.warnings)

    def _loaded(self, source: Source, key: str) -> PtxModule:
        compiled = self._store.find(key)
        if compiled is None:
            raise CompilationError(f"the compiled {source} has gone from the cache; try again")
        program = Program(compiled.text)
        kernels = {
            name: PtxKernel(name, source, program.kernels[lowered], name in compiled.plain)
            for name, lowered in compiled.names.items()
        }
        for kernel in kernels.values():
            kernel.program.described = str(kernel)
            check_static_shared_memory(kernel, self.limits)
        variables = {source_name(name): memory for name, memory in program.variables.items()}
        return PtxModule(source, kernels, variables, compiled.warnings)


def _parameter(variable: Variable) -> PtxParameter:
    kinds = {"f32": "f", "f64": "f", "u64": "p", "u32": "u", "u16": "u", "u8": "u"}
    return PtxParameter(kinds.get(variable.type, "s"), variable.bytes)


def _check_required_block(kernel: PtxKernel, launch: Launch) -> None:
    required = kernel.program.required_block
    if required is not None and required != launch.block:
        raise LaunchError(
            f"{kernel}: a block of {launch.block}; the kernel requires one of {required}"
        )


def _accumulation(name: str, architecture: str) -> Accumulation:
    """How products are added up: as by the tensor cores of an architecture, or as IEEE 754 says."""
    if name == IEEE:
        return TO_NEAREST
    core = tensor_core_of(capability_of(architecture))
    return Accumulation(core.products, core.products // 2, core.fraction_bits - _MANTISSA_BITS)
