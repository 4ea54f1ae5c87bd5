"""From kernel sources to libraries of the host: the compiler, the cache."""

from __future__ import annotations

import os
import re
import shlex
import signal
from collections.abc import Iterable, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gpucnn.backends.devices.cache import Cache, cache_key
from gpucnn.backends.devices.source import KernelSource
from gpucnn.emulator.compiler import compiler, knows, native_option, processor
from gpucnn.emulator.symbols import identifier_of, undefined_names
from gpucnn.emulator.translation import (
    INCLUDE,
    has_macros,
    translation_unit,
    without_prefixes,
)
from gpucnn.errors import BackendError
from gpucnn.operations.geometry import ceil_divide
from gpucnn.processor import available_cores, thread_on_each_core
from gpucnn.programs import Programs
from gpucnn.progress import progress
from gpucnn.scratch import remove_abandoned_folders, scratch_folder

_RUNTIME = Path(__file__).parent / "runtime"
_HERE = Path(__file__).parent
_DEVICES = _HERE.parent / "backends" / "devices"
_READERS = [
    _HERE / "translation.py",
    *(_DEVICES / f"{name}.py" for name in ("conditions", "inclusion", "source", "source_text")),
]
"""What decides what is made of a file, and which kernels it is found to have."""

_COMPILING_EMULATOR = "compiling the emulator, once"
_LIBRARY_KEY = re.compile(rb"[0-9a-f]{64}")
_BATCH = 8
"""Sources of one translation unit at most: its headers are parsed once for all of them."""

# binutils before 2.41 mix up the names of files in DWARF 5.
_COMMON = ("-std=c++20", "-fPIC", "-pthread", "-g1", "-gdwarf-4")
# A product and a sum are never joined into one operation, so that results are the same on every
# machine; errno and traps are nobody's business here.
_ARITHMETIC = ("-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math")
_RUNTIME_OPTIONS = ("-fno-semantic-interposition",)
_MODULE = (
    *_ARITHMETIC, "-w", "-fvisibility=hidden",
    # Every page of a large frame is touched, so no guard is stepped over; and who has called stays
    # on the stack, to be told in messages.
    "-fstack-clash-protection", "-fno-optimize-sibling-calls",
)  # fmt: skip
_GNU = (
    "-fno-gnu-unique",
    # Shared memory is written only by the runtime; without this the compiler takes it for zero.
    "-fno-ipa-reference-addressable",
)
# Fills uninitialised local variables. Compilers that do not know the option go without, and so does
# fast mode, where some convolutions would take 1.4 times as long.
POISONED_LOCALS = ("-ftrivial-auto-var-init=pattern",)
# Otherwise g++ leaves out what is written through an uninitialised pointer, because it points to
# nothing, and takes a variable that is initialised only sometimes for one that always is.
_POISON_KEPT = ("-fno-tree-pta", "-fno-tree-ccp", "-fno-tree-fre")
_CHECKS = (
    "-fsanitize=thread",
    "-fsanitize=alignment,bounds,shift,signed-integer-overflow,float-cast-overflow",
)
# Calls of these by a kernel go to runtime/stand_ins.cpp; of the first, to shared_arena.cpp.
_STAND_INS = tuple(
    f"-Wl,--wrap={function}"
    for function in (
        "__tls_get_addr", "malloc", "_Znwm", "_Znam", "abort", "exit", "_exit", "__stack_chk_fail",
    )
)  # fmt: skip
_SANITIZERS = (
    "-fsanitize=address,undefined,float-cast-overflow",
    "-fno-sanitize-recover=all",
    "-fno-omit-frame-pointer",
)


@dataclass(frozen=True)
class Mode:
    """How kernels and the runtime are compiled.

    Attributes:
        name: as the user writes it.
        options: for modules of kernels, on whatever processor.
        runtime_options: for the emulator's runtime.
    """

    name: str
    options: tuple[str, ...]
    runtime_options: tuple[str, ...] = ("-O2",)

    @property
    def kernel_options(self) -> tuple[str, ...]:
        """For modules of kernels, which in fast mode use all that this processor has."""
        return (*self.options, native_option()) if self.name == "fast" else self.options

    @property
    def definitions(self) -> tuple[str, ...]:
        """What g++ defines under sanitizers, for a compiler that does not."""
        names = ["__SANITIZE_THREAD__"] * self.checked + ["__SANITIZE_ADDRESS__"] * self.sanitized
        return tuple(f"-D{name}" for name in names)

    @property
    def checked(self) -> bool:
        """Whether each access of memory is checked by the runtime."""
        return self.name == "race"

    @property
    def sanitized(self) -> bool:
        """Whether kernels run under the compiler's sanitizers, in a process of their own."""
        return self.name == "sanitize"

    @property
    def poisoned(self) -> bool:
        """Whether local variables that a kernel leaves uninitialised are poison."""
        return self.checked or self.sanitized


MODES = {
    mode.name: mode
    for mode in (
        Mode("fast", ("-O3", "-fstack-protector-strong")),
        Mode("race", ("-O1", *_CHECKS)),
        Mode("sanitize", ("-O1", *_SANITIZERS), ("-O1", *_SANITIZERS)),
    )
}


def _host() -> tuple[str, ...]:
    """What libraries depend on besides sources and options: compiler, processor, the emulator."""
    used = compiler()
    return shlex.join(used.command), used.version, processor(used), _emulator_text()


@cache
def _emulator_text() -> str:
    files = sorted([*INCLUDE.rglob("*.*"), *_RUNTIME.glob("*.*"), *_READERS])
    return "".join(file.read_text(encoding="utf-8") for file in files)


def _key(mode: Mode, *parts: str) -> str:
    return cache_key(
        *_host(), repr((mode, _COMMON, _MODULE, POISONED_LOCALS, _POISON_KEPT, _STAND_INS)), *parts
    )


class Builder:
    """Compiles modules of kernels and the runtime for one mode.

    Args:
        mode: how.
        cache: where the libraries are kept.
    """

    def __init__(self, mode: Mode, cache: Cache) -> None:
        self.mode = mode
        self.cache = cache

    @property
    def runtime_key(self) -> str:
        """What the runtime depends on, wherever it is kept."""
        return cache_key(*_host(), "runtime", *self._runtime_options)

    def runtime(self) -> Path:
        """The runtime: a library, or for sanitized kernels a program that loads them."""
        key = self.runtime_key
        path = self.cache.path_of(key)
        if path is None:
            with progress(_COMPILING_EMULATOR, 1) as advance:
                self.cache.put(key, self._compile_runtime())
                advance(1)
            path = self._path(key)
        return path

    @property
    def _runtime_options(self) -> tuple[str, ...]:
        own = () if compiler().is_gnu or self.mode.checked else self.mode.definitions
        return (*_COMMON, *_RUNTIME_OPTIONS, *own, *self.mode.runtime_options)

    def libraries(self, sources: Iterable[KernelSource]) -> dict[KernelSource, Path]:
        """The library of each source; those that are not in the cache are compiled, in parallel.

        An error, or Ctrl-C, ends the compilers that are running.

        Raises:
            BackendError: one does not compile.
        """
        sources = list(dict.fromkeys(sources))
        missing = [source for source in sources if self._known(source) is None]
        if missing:
            self._build_all(missing)
        return {source: self._found(source) for source in sources}

    def _build_all(self, missing: Sequence[KernelSource]) -> None:
        remove_abandoned_folders()
        programs = Programs()
        self._precompiled_header(programs)  # which all batches need
        with (
            progress("compiling kernels, once", len(missing)) as advance,
            thread_on_each_core() as pool,
            programs.ended_by_errors(),  # before the threads are waited for
        ):
            jobs = [pool.submit(self._build, batch, programs) for batch in _batches(missing)]
            for job in as_completed(jobs):
                advance(job.result())

    def _known(self, source: KernelSource) -> Path | None:
        """A source's key leads to the key of the library that it was compiled into."""
        library = self.cache.get(_key(self.mode, source.digest()))
        if library is None or not _LIBRARY_KEY.fullmatch(library):
            return None
        return self.cache.path_of(library.decode())

    def _found(self, source: KernelSource) -> Path:
        path = self._known(source)
        if path is None:
            raise BackendError(f"the compiled {source} has gone from the cache; try again")
        return path

    def _path(self, key: str) -> Path:
        path = self.cache.path_of(key)
        if path is None:
            raise BackendError("the compiled emulator has gone from the cache; try again")
        return path

    def _build(self, batch: Sequence[KernelSource], programs: Programs) -> int:
        """Compiles sources into one library; returns how many there are."""
        try:
            library = self._compile_module(batch, programs)
        except BackendError:
            if len(batch) == 1:
                raise
            for source in batch:  # To name the one that does not compile.
                self._build([source], programs)
            return len(batch)
        key = _key(self.mode, "library", *(source.digest() for source in batch))
        self.cache.put(key, library)
        for source in batch:
            self.cache.put(_key(self.mode, source.digest()), key.encode())
        return len(batch)

    def _compile_runtime(self) -> bytes:
        files = sorted(_RUNTIME.glob("*.cpp"))
        linking = ("-rdynamic",) if self.mode.sanitized else ("-shared",)
        if not self.mode.sanitized:
            files = [file for file in files if file.name != "sanitize_main.cpp"]
        # One unit of all files: their headers are read once.
        unit = "".join(f'#include "{file}"\n' for file in files)
        remove_abandoned_folders()
        with scratch_folder() as folder:
            source, output = folder / "runtime.cpp", folder / "runtime"
            source.write_text(unit, encoding="utf-8")
            options = [*self._runtime_options, str(source), *linking, "-ldl"]
            _run([*options, "-o", str(output)], "the emulator", folder, Programs())
            return output.read_bytes()

    def _module_options(self) -> list[str]:
        own = _GNU if compiler().is_gnu else self.mode.definitions
        if self.mode.poisoned and knows(compiler(), POISONED_LOCALS):
            own += (*POISONED_LOCALS, *(_POISON_KEPT if compiler().is_gnu else ()))
        return [*_COMMON, *_MODULE, *own, *self.mode.kernel_options, f"-I{INCLUDE}"]

    def _precompiled_header(self, programs: Programs) -> Path | None:
        """The emulator's header as g++ reads it in no time; None for other compilers."""
        if not compiler().is_gnu:
            return None
        key = _key(self.mode, "header")
        path = self.cache.path_of(key)
        if path is None:
            header = str(INCLUDE / "emulator.h")
            options = [*self._module_options(), "-x", "c++-header", header]
            with scratch_folder() as folder, progress(_COMPILING_EMULATOR, 1) as advance:
                output = folder / "emulator.h.gch"
                _run([*options, "-o", str(output)], "the emulator", folder, programs)
                self.cache.put(key, output.read_bytes())
                advance(1)
            path = self._path(key)
        return path

    def _compile_module(self, sources: Sequence[KernelSource], programs: Programs) -> bytes:
        options = self._module_options()
        header = self._precompiled_header(programs)
        with scratch_folder() as folder:
            unit, compiled = folder / "module.cpp", folder / "module.o"
            unit.write_text(translation_unit(sources), encoding="utf-8")
            if header is not None:
                # Found before the header itself; one that does not fit is passed over.
                (folder / "emulator.h.gch").symlink_to(header)
            described = "; ".join(str(source) for source in sources)
            _run([*options, "-c", str(unit), "-o", str(compiled)], described, folder, programs)
            # Not linked with the sanitizers, whose functions the runtime supplies.
            linking = [option for option in options if option not in _CHECKS]
            if not self.mode.sanitized:
                linking += _STAND_INS
            linked = folder / "module.so"
            linking += [str(compiled), "-shared", "-o", str(linked)]
            _run(linking, described, folder, programs)
            if not self.mode.sanitized:
                _check_defined(linked, self.runtime(), described)
            return linked.read_bytes()


def _check_defined(library: Path, runtime: Path, described: str) -> None:
    """Raises BackendError for what is declared only, which the linker takes for another's."""
    if names := undefined_names(library, runtime):
        raise BackendError(
            f"{described} uses {', '.join(map(identifier_of, names))}, which is declared and "
            "defined nowhere; define it, or include what does"
        )


def _batches(sources: Sequence[KernelSource]) -> list[Sequence[KernelSource]]:
    """What is compiled together; a source with macros alone, for they would reach into others."""
    together = [source for source in sources if not has_macros(source)]
    share = ceil_divide(len(together), available_cores())
    size = max(1, min(_BATCH, share))
    batches: list[Sequence[KernelSource]] = [
        together[i : i + size] for i in range(0, len(together), size)
    ]
    return batches + [[source] for source in sources if source not in together]


def _run(arguments: Sequence[str], described: str, folder: Path, programs: Programs) -> None:
    """Runs the compiler, whose own temporary files go into the folder too."""
    command = [*compiler().command, *arguments]
    done = programs.run(command, os.environ | {"TMPDIR": str(folder)})
    if done.status == 128 + signal.SIGINT:
        raise KeyboardInterrupt  # somebody has interrupted all of the user's processes
    if done.status:
        words = without_prefixes(done.errors.strip())
        raise BackendError(f"{described} does not compile:\n{words[:4000]}")
