"""From a source to PTX, by NVRTC or from the cache."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from gpucnn.emulator.cache import Cache, cache_key
from gpucnn.emulator.cupy_headers import cupy_include_folder
from gpucnn.emulator.errors import CompilationError, EmulatorError
from gpucnn.emulator.mangling import is_instance, is_mangled, source_name
from gpucnn.emulator.options import Options
from gpucnn.emulator.ptx.diagnostics import complaints, diagnostics
from gpucnn.emulator.ptx.nvrtc import RefusedError, nvrtc
from gpucnn.emulator.ptx.toolkit import header_folders, headers_version
from gpucnn.emulator.source import Source

TRUE_FP32 = ("--ftz=false", "--prec-div=true", "--prec-sqrt=true", "--fmad=true")
"""Subnormal numbers, divisions and roots as IEEE 754 has them; NVRTC's own defaults."""
WITHOUT_REMARKS_ON_CONSTANTS = "--diag-suppress=177"
"""A kernel does not need every constant that its file is compiled for."""

_FAST_MATH = "use_fast_math"
_ENTRY = re.compile(r"^[ \t]*(?:\.(?:visible|weak)[ \t]+)?\.entry[ \t]+([\w$]+)", re.MULTILINE)
_FILE = re.compile(r'^([ \t]*\.file[ \t]+\d+[ \t]+")([^"]*/)', re.MULTILINE)
_FLOAT_ATOMIC = re.compile(r"\b(?:atom|red)\.[\w.:]*\badd\.[\w.]*(?:bf16|f16|f32|f64)")
_LINE = re.compile(r"^[ \t]*\.loc[ \t]+(\d+)[ \t]+(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Compiled:
    """A source, compiled.

    Attributes:
        text: PTX.
        names: what the compiler calls each kernel, by its name in the source.
        plain: the names that find a kernel on a GPU: of those that are ``extern "C"``, and the name
            expressions.
        warnings: of the compiler.
    """

    text: str
    names: Mapping[str, str]
    plain: tuple[str, ...]
    warnings: tuple[str, ...]


def compile_to_ptx(source: Source, architecture: str) -> Compiled:
    """Compiles a source. Threads may do so side by side.

    Args:
        source: what to compile.
        architecture: for which GPU, such as "sm_90a".

    Raises:
        CompilationError: it does not compile: file, line and the compiler's words.
        EmulatorError: there is no NVRTC, or it does not know the architecture.
    """
    compiler = nvrtc()
    _check_architecture(architecture)
    # Quotes would end the name.
    name = source.name.replace('"', "'").replace("\\", "/")
    text = f'{source.prologue}#line 1 "{name}"\n{source.text}'
    options = (*_options(source.options, architecture), *map("-I{}".format, _folders(source)))
    try:
        made = compiler.compile("PTX", text, name, options, source.expressions)
    except RefusedError as error:
        told = "\n".join(complaints(str(error), compiler.version[0]))
        raise CompilationError(
            f"{source} does not compile for {architecture}:\n{told[:4000]}"
        ) from error
    ptx = _FILE.sub(r"\1", made.code.decode())
    names, plain = _names(ptx, made.names)
    compiled = Compiled(ptx, names, plain, diagnostics(made.log))
    if not source.float_atomics:
        _refuse_float_atomics(source, ptx)
    return compiled


class PtxStore:
    """What has been compiled before, from the cache; the rest from the compiler.

    Args:
        cache: where it is kept.
    """

    def __init__(self, cache: Cache) -> None:
        self.cache = cache

    def key(self, source: Source, architecture: str) -> str:
        """A key of everything that the PTX depends on.

        Raises:
            EmulatorError: there is no NVRTC.
        """
        return cache_key(
            "ptx",
            source.digest(),
            repr(_options(source.options, architecture)),
            nvrtc().build,
            *(f"{folder} {headers_version(folder)}" for folder in _outside_folders()),
        )

    def find(self, key: str) -> Compiled | None:
        """What was compiled before under a key; None if nothing was, or if it is damaged."""
        content = self.cache.get(key)
        return None if content is None else _decoded(content)

    def compile(self, key: str, source: Source, architecture: str) -> None:
        """Compiles a source and keeps what comes of it under its key.

        Raises:
            EmulatorError: as ``compile_to_ptx``.
        """
        compiled = compile_to_ptx(source, architecture)
        self.cache.put(key, json.dumps(asdict(compiled)).encode())


def _decoded(content: bytes) -> Compiled:
    fields = json.loads(content)
    plain, warnings = tuple(fields["plain"]), tuple(fields["warnings"])
    return Compiled(fields["text"], fields["names"], plain, warnings)


def _check_architecture(architecture: str) -> None:
    compiler = nvrtc()
    known = compiler.architectures
    number = re.fullmatch(r"sm_(\d+)[af]?", architecture)
    if number is None or int(number[1]) not in known:
        version = ".".join(map(str, compiler.version))
        raise EmulatorError(
            f"NVRTC {version} makes no code for {architecture}; it does for "
            f"{', '.join(f'sm_{each}' for each in known)}"
        )


def _options(options: Options, architecture: str) -> tuple[str, ...]:
    """All options but the folders of headers.

    The architecture is that of PTX alone: NVRTC would go on to a cubin otherwise.
    """
    given = [option.lstrip("-").partition("=")[0] for option in options.of_the_compiler]
    defaults = () if _FAST_MATH in given else TRUE_FP32
    return (
        f"--gpu-architecture=compute_{architecture.removeprefix('sm_')}",
        f"--std=c++{options.standard}",
        *(each for each in defaults if each.lstrip("-").partition("=")[0] not in given),
        "--generate-line-info",
        WITHOUT_REMARKS_ON_CONSTANTS,
        *options.of_the_compiler,
        *options.macros,
        *(f"--pre-include={header}" for header in options.included),
    )


def _folders(source: Source) -> tuple[Path, ...]:
    return (*source.include_folders, *_outside_folders())


def _outside_folders() -> tuple[Path, ...]:
    """Folders of headers that belong to no source: CuPy's and CUDA's, those that there are."""
    cupy = cupy_include_folder()
    return (*([] if cupy is None else [cupy]), *header_folders(nvrtc().version[0]))


def _names(ptx: str, expressions: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The compiler's name of each kernel by its own, and which of these find it on a GPU."""
    names: dict[str, str] = {}
    plain = []
    for lowered in _ENTRY.findall(ptx):
        if not is_mangled(lowered):
            names[lowered] = lowered
            plain.append(lowered)
        elif not is_instance(lowered):
            name = source_name(lowered)
            names[lowered if name in names else name] = lowered
    return {**names, **expressions}, (*dict.fromkeys([*plain, *expressions]),)


def _refuse_float_atomics(source: Source, ptx: str) -> None:
    """Raises CompilationError if the result depends on the order in which threads add floats."""
    found = _FLOAT_ATOMIC.search(ptx)
    if found is None:
        return
    line = max(_LINE.finditer(ptx, 0, found.start()), key=lambda m: m.start(), default=None)
    place = f", line {line[2]}" if line else ""
    raise CompilationError(
        f"{source}{place}: atomicAdd of floats ({found[0]}): their sum depends on the order, which "
        "is another one each time, so the emulator refuses it; write partial sums, and add them up "
        "in order, or allow it with float_atomics=True"
    )
