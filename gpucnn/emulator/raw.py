"""``RawKernel`` and ``RawModule`` as CuPy has them, on the emulator."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gpucnn.emulator.arguments import Argument
from gpucnn.emulator.engines import PTX, check_jitter, find_engine
from gpucnn.emulator.errors import (
    CompilationError,
    EmulatorWarning,
    LaunchError,
    UnsupportedError,
)
from gpucnn.emulator.interface import Engine, Kernel, Module
from gpucnn.emulator.kernel_lookup import find_kernel
from gpucnn.emulator.launch import HARDWARE, Grid, Launch, check_accumulation
from gpucnn.emulator.options import parse_options
from gpucnn.emulator.programs import Programs
from gpucnn.emulator.scratch import scratch_folder
from gpucnn.emulator.source import Source
from gpucnn.emulator.standard_headers import remarks_on_headers
from gpucnn.emulator.translation import scanned, system_folders

_DYNAMIC_WITHOUT_OPTING_IN = 48 * 1024
"""Bytes of dynamic shared memory that a launch may ask for unless a kernel was allowed more."""
_GUARDED_BYTES = 2**16
"""The largest array that lies between gaps in fast mode, too: copying a larger one takes long."""
_BACKENDS = ("nvrtc", "nvcc")


class Log(Protocol):
    """What a compiler's words can be written to, such as ``sys.stdout``."""

    def write(self, text: str, /) -> object:
        """Takes some text."""


class RawModule:
    """A text of CUDA C++ and its kernels, compiled when the first of them is asked for.

    As ``cupy.RawModule``, whose arguments it takes, and a few more. Arrays are NumPy's.

    Args:
        code: CUDA C++; or None, and ``path``.
        path: a file with CUDA C++. Compiled modules (cubin, PTX) cannot be run.
        options: NVRTC's: macros, folders of headers and the standard of C++ count; the others are
            about speed, accuracy or diagnostics, and are ignored except in mode ptx.
        backend: "nvrtc", or "nvcc" for code that includes headers of the standard library.
        translate_cucomplex: whether names of cuComplex.h are translated; they work in any case.
        enable_cooperative_groups: whether a grid may synchronise, which it cannot here.
        name_expressions: kernels that are templates, such as "scale<float>", or are not
            ``extern "C"``.
        jitify: whether CuPy compiles with Jitify; it means nothing here.
        mode: "race", which checks each access of memory; "fast", which does not; "sanitize",
            which runs kernels under the compiler's sanitizers; or "ptx", which runs the PTX that
            NVRTC makes of the code, for sm_90 unless the options name another architecture.
        seed: decides the order of threads and blocks. It grows by one with each launch.
        time_limit: seconds after which a launch is ended with an error; None for no limit.
        float_atomics: whether atomic operations on floats are allowed, whose result depends on the
            order of threads, and so on the seed.
        allow_same_value_writes: whether threads may write the same value to a place unordered.
        accumulation: "hardware", which adds up the products of tensor cores as an H100 does; or
            "ieee", which rounds to nearest after each addition.
        jitter: whether approximate functions, such as a GPU's ``ex2``, err in mode ptx, each time
            by another amount within what NVIDIA states.

    Raises:
        LaunchError: arguments that contradict each other, or an unknown accumulation.
        EmulatorError: the emulator does not work here, or an unknown mode.
    """

    def __init__(
        self,
        code: str | None = None,
        *,
        path: str | Path | None = None,
        options: Sequence[str] = (),
        backend: str = "nvrtc",
        translate_cucomplex: bool = False,
        enable_cooperative_groups: bool = False,
        name_expressions: Sequence[str] | None = None,
        jitify: bool = False,
        mode: str = "race",
        seed: int = 0,
        time_limit: float | None = None,
        float_atomics: bool = True,
        allow_same_value_writes: bool = False,
        accumulation: str = HARDWARE,
        jitter: bool = False,
    ) -> None:
        check_jitter(mode, jitter)
        if (code is None) == (path is None):
            raise LaunchError("a RawModule is made of either code or path; give one of them")
        check_accumulation(accumulation)
        if backend not in _BACKENDS:
            raise LaunchError(f'backend is "{backend}"; it is one of {", ".join(_BACKENDS)}')
        self.code = _read(Path(path)) if code is None and path is not None else str(code)
        self.file_path = None if path is None else str(path)
        self.options = tuple(options)
        self.backend = backend
        self.enable_cooperative_groups = enable_cooperative_groups
        self.name_expressions = tuple(name_expressions or ())
        self.mode = mode
        self.seed = seed
        self.time_limit = time_limit
        self.float_atomics = float_atomics
        self.allow_same_value_writes = allow_same_value_writes
        self.accumulation = accumulation
        self.jitter = jitter
        self._module: Module | None = None

    def __getstate__(self) -> dict[str, Any]:
        """What a pickle has: all but what was compiled, which the cache has."""
        return {**self.__dict__, "_module": None}

    def declared_kernels(self) -> tuple[str, ...]:
        """The kernels of the text, templates among them, as ``name_expressions`` call them.

        The text is preprocessed but not compiled.

        Raises:
            CompilationError: the preprocessor refuses it.
        """
        with scratch_folder() as folder:
            found = scanned(self._source(), folder, Programs(), system_folders()).found
        return (*(kernel.expression for kernel in found.kernels), *found.templates)

    def compile(self, log_stream: Log | None = None) -> None:
        """Compiles the module now.

        Args:
            log_stream: what warnings are written to, instead of Python's warnings.

        Raises:
            CompilationError: it does not compile; the message has the compiler's words.
        """
        self._compiled(log_stream)

    def get_function(self, name: str) -> RawKernel:
        """A kernel.

        Args:
            name: of an ``extern "C"`` function; one of ``name_expressions``; or a mangled name.

        Raises:
            CompilationError: the module does not compile, or has no such kernel.
        """
        kernel = RawKernel._of(self, name)
        _ = kernel.kernel
        return kernel

    def get_global(self, name: str) -> NDArray[np.uint8]:
        """The memory of a ``__constant__`` or ``__device__`` variable: its bytes, to be written.

        ``np.ndarray(shape, dtype, module.get_global(name))`` is an array of it.

        Raises:
            CompilationError: the module does not compile, or has no such variable.
        """
        variables = self._compiled().variables
        if name not in variables:
            raise CompilationError(
                f"the module has no variable {name}; it has "
                f"{', '.join(sorted(variables)) or 'none'}"
            )
        return variables[name]

    def _compiled(self, log_stream: Log | None = None) -> Module:
        if self._module is None:
            said: list[str] = []
            source = self._source()
            engine = find_engine(self.mode, report=lambda _, lines: said.extend(lines))
            self._module = engine.private_module(source)
            remarks = remarks_on_headers(self.code) if self.backend == "nvrtc" else []
            for line in dict.fromkeys([*remarks, *said]):
                if log_stream is None:
                    warnings.warn(line, EmulatorWarning, stacklevel=4)
                else:
                    log_stream.write(f"{line}\n")
        return self._module

    def _source(self) -> Source:
        name = "kernel.cu" if self.file_path is None else Path(self.file_path).name
        folders = () if self.file_path is None else (Path(self.file_path).absolute().parent,)
        return Source(
            name,
            self.code,
            folders=folders,
            options=parse_options(self.options),
            expressions=self.name_expressions,
            float_atomics=self.float_atomics,
        )

    def _run(self, kernel: Kernel, launch: Launch, arguments: Sequence[Argument]) -> Counter[str]:
        return _engine(self.mode).launch(kernel, launch, arguments)


class RawKernel:
    """A kernel, compiled when it is first called.

    As ``cupy.RawKernel``. All arguments but ``name`` are those of ``RawModule``.

    Args:
        name: of an ``extern "C"`` function.
    """

    def __init__(
        self,
        code: str,
        name: str,
        options: Sequence[str] = (),
        backend: str = "nvrtc",
        translate_cucomplex: bool = False,
        *,
        enable_cooperative_groups: bool = False,
        jitify: bool = False,
        mode: str = "race",
        seed: int = 0,
        time_limit: float | None = None,
        float_atomics: bool = True,
        allow_same_value_writes: bool = False,
        accumulation: str = HARDWARE,
        jitter: bool = False,
    ) -> None:
        self._bind(
            RawModule(
                code,
                options=options,
                backend=backend,
                translate_cucomplex=translate_cucomplex,
                enable_cooperative_groups=enable_cooperative_groups,
                jitify=jitify,
                mode=mode,
                seed=seed,
                time_limit=time_limit,
                float_atomics=float_atomics,
                allow_same_value_writes=allow_same_value_writes,
                accumulation=accumulation,
                jitter=jitter,
            ),
            name,
        )

    def _bind(self, module: RawModule, name: str) -> None:
        self._of_module = module
        self.name = name
        self._dynamic_bytes: int | None = None
        self._counts: Counter[str] = Counter()

    @classmethod
    def _of(cls, module: RawModule, name: str) -> RawKernel:
        kernel = cls.__new__(cls)
        kernel._bind(module, name)
        return kernel

    @property
    def code(self) -> str:
        """The text that it is compiled from."""
        return self._of_module.code

    @property
    def options(self) -> tuple[str, ...]:
        """What was given for NVRTC."""
        return self._of_module.options

    @property
    def backend(self) -> str:
        """ "nvrtc" or "nvcc"."""
        return self._of_module.backend

    @property
    def kernel(self) -> Kernel:
        """What is launched.

        Raises:
            CompilationError: it does not compile, or there is no such kernel.
        """
        return find_kernel(self._of_module._compiled(), self.name)

    def compile(self, log_stream: Log | None = None) -> None:
        """As ``RawModule.compile``."""
        self._of_module.compile(log_stream)
        _ = self.kernel

    def __call__(
        self,
        grid: Sequence[int],
        block: Sequence[int],
        args: Sequence[Argument],
        *,
        shared_mem: int = 0,
        stream: object = None,
        enable_cooperative_groups: bool = False,
    ) -> None:
        """Runs the kernel to its end.

        Args:
            grid: blocks along x, y and z; one to three numbers.
            block: threads along x, y and z, likewise.
            args: NumPy arrays, which are the device's arrays here; NumPy scalars, by their type;
                Python's int, float and complex as int64, float64 and complex128; None for a null
                pointer; integers of 64 bits for addresses; NumPy's structured scalars.
            shared_mem: bytes of dynamic shared memory.
            stream: means nothing here, where each launch ends before the call returns.
            enable_cooperative_groups: as for ``RawModule``.

        Raises:
            LaunchError: arguments that do not fit the parameters, or sizes that no GPU allows.
            EmulatorError: what the kernel does wrong; there is a class for each kind of mistake.
        """
        module = self._of_module
        kernel = self.kernel
        if shared_mem > self.max_dynamic_shared_size_bytes:
            raise LaunchError(
                f"{kernel}: {shared_mem} bytes of dynamic shared memory, without opting in a GPU "
                f"allows {self.max_dynamic_shared_size_bytes}; set the kernel's "
                "max_dynamic_shared_size_bytes first"
            )
        module.seed += 1
        launch = Launch(
            _sizes("grid", grid),
            _sizes("block", block),
            int(shared_mem),
            module.seed,
            module.time_limit or 0.0,
            _GUARDED_BYTES,
            module.allow_same_value_writes,
            module.accumulation,
            module.jitter,
        )
        self._counts = module._run(kernel, launch, args)

    @property
    def instruction_counts(self) -> Counter[str]:
        """How many instructions the last launch executed, by opcode, as "fma.rn.f32".

        One that a warp executes counts once, however many of its threads take part.

        Raises:
            UnsupportedError: a mode other than ptx, which has no instructions of a GPU.
        """
        if self._of_module.mode != PTX:
            raise UnsupportedError(
                f'mode {self._of_module.mode} counts no instructions; mode="ptx" does'
            )
        return Counter(self._counts)

    @property
    def max_dynamic_shared_size_bytes(self) -> int:
        """Bytes of dynamic shared memory that a launch may ask for; it can be raised."""
        if self._dynamic_bytes is None:
            return _DYNAMIC_WITHOUT_OPTING_IN - self.shared_size_bytes
        return self._dynamic_bytes

    @max_dynamic_shared_size_bytes.setter
    def max_dynamic_shared_size_bytes(self, size: int) -> None:
        most = _engine(self._of_module.mode).limits.dynamic_shared_bytes - self.shared_size_bytes
        if not 0 <= size <= most:
            raise LaunchError(
                f"max_dynamic_shared_size_bytes is {size}; {self.kernel} can have 0 to {most}"
            )
        self._dynamic_bytes = int(size)

    @property
    def shared_size_bytes(self) -> int:
        """Bytes of static shared memory."""
        return self.kernel.static_shared_bytes

    @property
    def max_threads_per_block(self) -> int:
        """Threads that a block may have."""
        most = _engine(self._of_module.mode).limits.threads
        return self.kernel.most_threads or most

    @property
    def attributes(self) -> dict[str, int]:
        """What is known of the kernel by CuPy's names; registers and such are a GPU's alone."""
        return {
            "max_threads_per_block": self.max_threads_per_block,
            "shared_size_bytes": self.shared_size_bytes,
            "max_dynamic_shared_size_bytes": self.max_dynamic_shared_size_bytes,
        }


@cache
def _engine(mode: str) -> Engine:
    return find_engine(mode)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise CompilationError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CompilationError(
            f"{path} is not text in UTF-8; the emulator runs CUDA C++, not compiled modules"
        ) from error


def _sizes(name: str, given: Sequence[int]) -> Grid:
    """Three sizes, of one to three.

    Raises:
        LaunchError: they are more or fewer, or not whole numbers.
    """
    sizes = (given,) if isinstance(given, (int, np.integer)) else tuple(given)
    if not 1 <= len(sizes) <= 3 or any(int(size) != size for size in sizes):
        raise LaunchError(f"a {name} of {given!r}; it takes one to three whole numbers")
    x, y, z = (*map(int, sizes), 1, 1)[:3]
    return x, y, z
