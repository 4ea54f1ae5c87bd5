"""From sources to libraries of the host: the compiler, the cache."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from gpucnn.emulator.cache import Cache, cache_key
from gpucnn.emulator.compiler import compiler, knows, processor
from gpucnn.emulator.errors import CompilationError
from gpucnn.emulator.modes import (
    CHECKS,
    COMMON,
    GNU,
    MODULE,
    POISON_KEPT,
    POISONED_LOCALS,
    RUNTIME_OPTIONS,
    STAND_INS,
    Mode,
)
from gpucnn.emulator.programs import Programs
from gpucnn.emulator.reporting import Progress, Report, no_progress, no_report
from gpucnn.emulator.scratch import remove_abandoned_folders, scratch_folder
from gpucnn.emulator.source import Source
from gpucnn.emulator.symbols import identifier_of, undefined_names
from gpucnn.emulator.translation import (
    EMULATOR,
    INCLUDE,
    Translated,
    system_folders,
    translate,
    translation_unit,
    without_prefixes,
)

_RUNTIME = EMULATOR / "runtime"
_READERS = [EMULATOR / name for name in ("translation.py", "scanner.py", "source.py")]
"""What decides what is made of a source."""
_COMPILING_EMULATOR = "compiling the emulator, once"
_REMARKS = ".remarks"
"""After a source's key: what the preprocessor warned of."""
_LIBRARY_KEY = re.compile(rb"[0-9a-f]{64}")
_BATCH = 8
"""Sources of one translation unit at most: its headers are parsed once for all of them."""
_OWN_HEADERS = f"-ffile-prefix-map={INCLUDE}=emulator/include"
"""What is cached does not say where this installation is."""


def _host() -> tuple[str, ...]:
    """What libraries depend on besides sources and options: compiler, processor, the emulator."""
    used = compiler()
    return shlex.join(used.command), used.version, processor(used), _emulator_text()


@cache
def _emulator_text() -> str:
    files = sorted([*INCLUDE.rglob("*.*"), *_RUNTIME.glob("*.*"), *_READERS])
    files += [path for path in INCLUDE.rglob("*") if path.is_file() and not path.suffix]
    return "".join(file.read_text(encoding="utf-8") for file in files)


def _key(mode: Mode, *parts: str) -> str:
    options = (mode, COMMON, MODULE, POISONED_LOCALS, POISON_KEPT, STAND_INS)
    return cache_key(*_host(), repr(options), str(system_folders()), *parts)


class Builder:
    """Compiles modules of kernels and the runtime for one mode.

    Args:
        mode: how.
        cache: where the libraries are kept.
        progress: shows what is being compiled.
        report: is given each source that has warnings, whether or not it had to be compiled.
    """

    def __init__(
        self,
        mode: Mode,
        cache: Cache,
        progress: Progress = no_progress,
        report: Report = no_report,
    ) -> None:
        self.mode = mode
        self.cache = cache
        self._progress = progress
        self._report = report

    @property
    def runtime_key(self) -> str:
        """What the runtime depends on, wherever it is kept."""
        return cache_key(*_host(), "runtime", *self._runtime_options)

    def runtime(self) -> Path:
        """The runtime: a library, or for sanitized kernels a program that loads them."""
        return self._made_once(self.runtime_key, self._compile_runtime)

    def _made_once(self, key: str, make: Callable[[], bytes]) -> Path:
        """What is under a key, made if nothing is, by one process while the others wait."""
        path = self.cache.path_of(key)
        if path is None:
            with self.cache.claimed([key], wait=True):
                path = self.cache.path_of(key)
                if path is None:
                    with self._progress(_COMPILING_EMULATOR, 1) as advance:
                        self.cache.put(key, make())
                        advance(1)
                    path = self._path(key)
        return path

    @property
    def _runtime_options(self) -> tuple[str, ...]:
        own = () if compiler().is_gnu or self.mode.checked else self.mode.definitions
        return (*COMMON, *RUNTIME_OPTIONS, *own, *self.mode.runtime_options)

    def libraries(self, sources: Iterable[Source]) -> dict[Source, Path]:
        """The library of each source; those that are not in the cache are compiled, in parallel.

        Processes that share the cache share the work. An error, or Ctrl-C, ends the compilers that
        are running.

        Raises:
            CompilationError: one does not compile.
        """
        sources = list(dict.fromkeys(sources))
        keys = {source: _key(self.mode, source.digest()) for source in sources}
        missing = [source for source in sources if self._known(keys[source]) is None]
        while missing:
            with self.cache.claimed([keys[source] for source in missing]) as claimed:
                own = [source for source in missing if keys[source] in claimed]
                own = [source for source in own if self._known(keys[source]) is None]
                if own:
                    self._build_all(own)
            missing = [source for source in missing if self._known(keys[source]) is None]
            if missing:  # others compile them; if these fail, it is our turn
                with self.cache.claimed([keys[missing[0]]], wait=True):
                    pass
        if self._report is not no_report:
            for source, key in keys.items():
                if remarks := self.cache.get(f"{key}{_REMARKS}"):
                    self._report(source, remarks.decode(errors="replace").splitlines())
        return {source: self._found(source, keys[source]) for source in sources}

    def _build_all(self, missing: Sequence[Source]) -> None:
        remove_abandoned_folders()
        programs = Programs()
        self._precompiled_header(programs)  # which all batches need
        with (
            self._progress("compiling kernels, once", len(missing)) as advance,
            _thread_on_each_core() as pool,
            programs.ended_by_errors(),  # before the threads are waited for
        ):
            jobs = [pool.submit(self._build, batch, programs) for batch in _batches(missing)]
            for job in as_completed(jobs):
                advance(job.result())

    def _known(self, key: str) -> Path | None:
        """A source's key leads to the key of the library that it was compiled into."""
        library = self.cache.get(key)
        if library is None or not _LIBRARY_KEY.fullmatch(library):
            return None
        return self.cache.path_of(library.decode())

    def _found(self, source: Source, key: str) -> Path:
        path = self._known(key)
        if path is None:
            raise CompilationError(f"the compiled {source} has gone from the cache; try again")
        return path

    def _path(self, key: str) -> Path:
        path = self.cache.path_of(key)
        if path is None:
            raise CompilationError("the compiled emulator has gone from the cache; try again")
        return path

    def _build(self, batch: Sequence[Source], programs: Programs) -> int:
        """Compiles sources into one library; returns how many there are."""
        try:
            library = self._compile_module(batch, programs)
        except CompilationError:
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
        own = GNU if compiler().is_gnu else self.mode.definitions
        if self.mode.poisoned and knows(compiler(), POISONED_LOCALS):
            own += (*POISONED_LOCALS, *(POISON_KEPT if compiler().is_gnu else ()))
        options = [*COMMON, *MODULE, *own, *self.mode.kernel_options, _OWN_HEADERS, f"-I{INCLUDE}"]
        return options + [word for each in system_folders() for word in ("-isystem", str(each))]

    def _precompiled_header(self, programs: Programs) -> Path | None:
        """The emulator's header as g++ reads it in no time; None for other compilers."""
        if not compiler().is_gnu:
            return None

        def make() -> bytes:
            options = [*self._module_options(), "-x", "c++-header", str(INCLUDE / "emulator.h")]
            with scratch_folder() as folder:
                output = folder / "emulator.h.gch"
                _run([*options, "-o", str(output)], "the emulator", folder, programs)
                return output.read_bytes()

        return self._made_once(_key(self.mode, "header"), make)

    def _translated(self, source: Source, programs: Programs) -> Translated:
        with scratch_folder() as folder:
            translated = translate(source, folder, programs, system_folders())
        if translated.warnings:  # Whoever finds the library in the cache wants them, too.
            remarks = "\n".join(translated.warnings).encode(errors="replace")
            self.cache.put(f"{_key(self.mode, source.digest())}{_REMARKS}", remarks)
        return translated

    def _compile_module(self, sources: Sequence[Source], programs: Programs) -> bytes:
        translated = [self._translated(source, programs) for source in sources]
        options = self._module_options()
        header = self._precompiled_header(programs)
        with scratch_folder() as folder:
            unit, compiled = folder / "module.cpp", folder / "module.o"
            text = translation_unit(translated)
            unit.write_text(text, encoding="utf-8", errors="surrogateescape")
            if header is not None:
                # Found before the header itself; one that does not fit is passed over.
                (folder / "emulator.h.gch").symlink_to(header)
            described = "; ".join(map(str, sources))
            _run([*options, "-c", str(unit), "-o", str(compiled)], described, folder, programs)
            # Not linked with the sanitizers, whose functions the runtime supplies.
            linking = [option for option in options if option not in CHECKS]
            if not self.mode.sanitized:
                linking += STAND_INS
            linked = folder / "module.so"
            linking += [str(compiled), "-shared", "-o", str(linked)]
            _run(linking, described, folder, programs)
            if not self.mode.sanitized:
                _check_defined(linked, self.runtime(), described)
            return linked.read_bytes()


def _check_defined(library: Path, runtime: Path, described: str) -> None:
    """Raises CompilationError for what is declared only, which the linker takes for another's."""
    if names := undefined_names(library, runtime):
        raise CompilationError(
            f"{described} uses {', '.join(map(identifier_of, names))}, which is declared and "
            "defined nowhere; define it, or include what does"
        )


def _batches(sources: Sequence[Source]) -> list[Sequence[Source]]:
    """What is compiled together."""
    share = -(-len(sources) // _cores())
    size = max(1, min(_BATCH, share))
    return [sources[i : i + size] for i in range(0, len(sources), size)]


def _cores() -> int:
    return len(os.sched_getaffinity(0))


@contextmanager
def _thread_on_each_core() -> Iterator[ThreadPoolExecutor]:
    """Threads for compilers. Left by an exception, such as Ctrl-C, they begin no further one."""
    threads = ThreadPoolExecutor(_cores())
    try:
        yield threads
    finally:
        threads.shutdown(cancel_futures=True)


def _run(arguments: Sequence[str], described: str, folder: Path, programs: Programs) -> None:
    """Runs the compiler, whose own temporary files go into the folder too."""
    command = [*compiler().command, *arguments]
    done = programs.run(command, os.environ | {"TMPDIR": str(folder)})
    done.pass_on_interrupt()
    if done.status:
        words = without_prefixes(done.errors.strip())
        raise CompilationError(f"{described} does not compile:\n{words[:4000]}")
