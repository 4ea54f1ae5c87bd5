"""The executor: compiled once by the host's C++ compiler, and called through ctypes."""

from __future__ import annotations

import ctypes
import os
import shlex
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from gpucnn.emulator.cache import Cache, cache_key, default_folder
from gpucnn.emulator.compiler import compiler, native_option, processor
from gpucnn.emulator.errors import CompilationError
from gpucnn.emulator.programs import Programs
from gpucnn.emulator.ptx.encoding import ENCODED, Entry
from gpucnn.emulator.scratch import scratch_folder

_SOURCES = Path(__file__).parent / "executor"
_OPTIONS = (
    "-std=c++20", "-O3", "-fPIC", "-pthread", "-fvisibility=hidden",
    # A register holds now this type, now that.
    "-fno-strict-aliasing",
    "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math",
)  # fmt: skip


class LaunchArguments(ctypes.Structure):
    """``Launch`` of executor/executor.h."""

    _fields_ = (
        ("program", ctypes.c_void_p),
        ("entry", ctypes.c_uint32),
        ("grid", ctypes.c_uint32 * 3),
        ("block", ctypes.c_uint32 * 3),
        ("function_count", ctypes.c_uint32),
        ("register_bytes", ctypes.c_uint32),
        ("local_bytes", ctypes.c_uint32),
        ("shared_bytes", ctypes.c_uint32),
        ("dynamic_shared_bytes", ctypes.c_uint32),
        ("arrays", ctypes.c_void_p),
        ("array_count", ctypes.c_uint64),
        ("shared", ctypes.c_void_p),
        ("shared_count", ctypes.c_uint32),
        ("parameters", ctypes.c_char_p),
        ("parameter_bytes", ctypes.c_uint32),
        ("may_use_host_addresses", ctypes.c_uint32),
        ("seed", ctypes.c_uint64),
        ("time_limit", ctypes.c_double),
        ("workers", ctypes.c_uint32),
        ("jitter", ctypes.c_uint32),
        ("allow_same_value_writes", ctypes.c_uint32),
        ("terms_16_bit", ctypes.c_uint32),
        ("terms_tf32", ctypes.c_uint32),
        ("extra_bits", ctypes.c_uint32),
    )


class Report(ctypes.Structure):
    """``Report`` of executor/launch.cpp: what ended a launch."""

    _fields_ = (
        ("kind", ctypes.c_int32),
        ("pc", ctypes.c_uint32),
        ("other_pc", ctypes.c_int64),
        ("thread", ctypes.c_int64),
        ("other_thread", ctypes.c_int64),
        ("block", ctypes.c_uint32 * 3),
        ("text", ctypes.c_char * 256),
    )


class Executor:
    """The compiled executor.

    Attributes:
        table: its instructions, by name.
        special_registers: in the order in which they lie in the register file.
    """

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))
        self._library.ptx_instructions.restype = ctypes.c_char_p
        self._library.ptx_special_registers.restype = ctypes.c_char_p
        self._library.ptx_make_program.restype = ctypes.c_void_p
        self._library.ptx_free_program.argtypes = [ctypes.c_void_p]
        self._library.ptx_make_run.restype = ctypes.c_void_p
        self._library.ptx_wait.argtypes = [ctypes.c_void_p]
        self._library.ptx_end_run.argtypes = [ctypes.c_void_p]
        self.table: Mapping[str, Entry] = {}
        lines = self._library.ptx_instructions().decode().splitlines()
        for number, line in enumerate(lines):
            name, operands, control = line.split()
            self.table[name] = Entry(number, operands.strip("-"), int(control))
        self.special_registers = self._library.ptx_special_registers().decode().split()

    def make_program(self, code: bytes, constants: bytes, targets: Sequence[int]) -> int:
        """A program in the executor's memory; ``free_program`` gives it back."""
        size = len(code) // ENCODED.size
        words = (ctypes.c_uint32 * len(targets))(*targets)
        made: int = self._library.ptx_make_program(
            code,
            ctypes.c_uint64(size),
            constants,
            ctypes.c_uint64(len(constants)),
            words,
            ctypes.c_uint64(len(targets)),
        )
        return made

    def free_program(self, program: int) -> None:
        """Gives back the memory of a program."""
        self._library.ptx_free_program(program)

    def launch(self, arguments: LaunchArguments, counts: ctypes.Array[ctypes.c_uint64]) -> Report:
        """Runs a launch to its end, or to its first failure.

        Args:
            arguments: of the launch.
            counts: how often each instruction has run is added here.

        Raises:
            KeyboardInterrupt: the user has ended it; or what else a handler of signals raises.
        """
        report = Report()
        run = self._library.ptx_make_run(ctypes.byref(arguments), counts, ctypes.byref(report))
        try:
            # Python calls its handlers of signals between two waits.
            while not self._library.ptx_wait(run):
                pass
        finally:
            self._library.ptx_end_run(run)
        return report


def opcodes() -> tuple[str, ...]:
    """The names of all instructions that the executor has."""
    return tuple(executor().table)


def executor() -> Executor:
    """The process' one executor, compiled if it has not been.

    Raises:
        EmulatorError: there is no C++ compiler, or it does not compile.
    """
    return _loaded(default_folder())


@cache
def _loaded(folder: Path | None) -> Executor:
    kept = Cache(folder)
    used = compiler()
    texts = [path.read_text(encoding="utf-8") for path in sorted(_SOURCES.iterdir())]
    key = cache_key(shlex.join(used.command), used.version, processor(used), *_OPTIONS, *texts)
    path = kept.path_of(key)
    if path is None:
        with kept.claimed([key], wait=True):
            path = kept.path_of(key)
            if path is None:
                kept.put(key, _compiled())
                path = kept.path_of(key)
    if path is None:
        raise CompilationError("the compiled executor has gone from the cache; try again")
    return Executor(path)


def _compiled() -> bytes:
    """The library, made of all files, several at a time."""
    programs = Programs()
    workers = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
    with scratch_folder() as folder, workers, programs.ended_by_errors():
        sources = sorted(_SOURCES.glob("*.cpp"))
        objects = [folder / f"{source.stem}.o" for source in sources]

        def compile_one(source: Path, to: Path) -> None:
            _run([*_OPTIONS, native_option(), "-c", str(source), "-o", str(to)], folder, programs)

        list(workers.map(compile_one, sources, objects))
        library = folder / "executor.so"
        _run([*_OPTIONS, "-shared", *map(str, objects), "-o", str(library)], folder, programs)
        return library.read_bytes()


def _run(arguments: Sequence[str], folder: Path, programs: Programs) -> None:
    command = [*compiler().command, *arguments]
    done = programs.run(command, os.environ | {"TMPDIR": str(folder)})
    done.pass_on_interrupt()
    if done.status:
        raise CompilationError(f"the executor does not compile:\n{done.errors.strip()[:4000]}")
