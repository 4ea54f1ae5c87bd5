"""The C++ text of a library of the host.

The host's preprocessor goes over each source first, so that comments, conditions and macros are
gone, and headers stand where they are included. It also says which lines come from where. What
comes from the system's headers is taken out again; those headers are included once, at the top, as
are the emulator's own, which are empty files for the preprocessor: what they define is for the
compiler. All the rest goes into a namespace of the source's own, so that

- functions may have the names of C's, of other sources' and of overloads of the host's;
- many sources, even versions of one, can be compiled together, which is where the time goes.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from gpucnn.emulator.compiler import compiler
from gpucnn.emulator.cupy_headers import cupy_include_folder
from gpucnn.emulator.errors import CompilationError
from gpucnn.emulator.paths import without_folders
from gpucnn.emulator.programs import Programs
from gpucnn.emulator.scanner import Kernel, Scanned, scan
from gpucnn.emulator.scratch import scratch_folder_of
from gpucnn.emulator.source import Source

EMULATOR = Path(__file__).parent
INCLUDE = EMULATOR / "include"
"""The emulator's headers."""
_WRAPPERS = "wrappers"
"""The folder there of those that take the place of a kernel's own, wherever these are."""

_ASSERTIONS = ("assert.h", "cassert")
_WITHOUT_ASSERTIONS = """
#undef assert
#ifdef NDEBUG
#define assert(...) static_cast<void>(0)
#endif
"""

_MARKER = re.compile(r'# (?P<line>\d+) "(?P<file>(?:\\.|[^"\\])*)"(?P<flags>[ \d]*)$')
_NUMBERS = re.compile(r"[\d\s,+*()]*")
_ENTERED, _OF_SYSTEM = "1", "3"
_PREFIX = re.compile(r"\bgpucnn_[0-9a-f]{24}(?:::|_)?")
_LIMITED = 'ulimit -f 262144; ulimit -t 10; exec "$@"'
"""Macros that double are refused by size: what the preprocessor writes is limited to 128 MiB."""


@dataclass(frozen=True)
class Translated:
    """A source, ready to be compiled.

    Attributes:
        prefix: of the names that it exports.
        text: of its namespace, and of its exports.
        headers: those of the system and of the emulator that it includes.
        warnings: of the preprocessor and of the scan.
    """

    prefix: str
    text: str
    headers: tuple[str, ...]
    warnings: tuple[str, ...]


def symbol_prefix(source: Source) -> str:
    """What the names that a source's module exports begin with."""
    return f"gpucnn_{source.digest()[:24]}"


def without_prefixes(message: str) -> str:
    """A compiler's message with the names that the kernels' author has written."""
    return without_folders(_PREFIX.sub("", message))


def translation_unit(sources: Sequence[Translated]) -> str:
    """The C++ text of a library."""
    headers = dict.fromkeys(header for source in sources for header in source.headers)
    parts = ['#include "emulator.h"\n', *(f'#include "{header}"\n' for header in headers)]
    return "".join([*parts, '#include "module_macros.h"\n', *(one.text for one in sources)])


def translate(
    source: Source, folder: Path, programs: Programs, system: Sequence[Path] = ()
) -> Translated:
    """Preprocesses and scans a source.

    Args:
        source: what to translate.
        folder: where temporary files go.
        programs: what runs the preprocessor.
        system: folders of further headers that are no part of the source.

    Raises:
        CompilationError: the preprocessor refuses it, or the emulator cannot run what it has.
    """
    prefix = symbol_prefix(source)
    found, headers, said = scanned(source, folder, programs, system)
    kernels = [*found.kernels, *(_instance(each, found) for each in source.expressions)]
    parts = [
        "#undef EMULATOR_ADD\n"
        f"#define EMULATOR_ADD atomic_add{'' if source.float_atomics else '_of_integers'}\n"
        f'namespace {prefix} {{\n#include "names.h"\n{found.text}\n# 1 "exports"\n',
        _exported(prefix, kernels, list(found.templates)),
        "}\n",
        _dynamic_memory(prefix, found.dynamic_arrays),
    ]
    return Translated(prefix, "".join(parts), headers, (*said, *found.warnings))


class Preprocessed(NamedTuple):
    """What the preprocessor and the scan make of a source.

    Attributes:
        found: in its own text.
        headers: those from elsewhere that it includes.
        warnings: of the preprocessor.
    """

    found: Scanned
    headers: tuple[str, ...]
    warnings: tuple[str, ...]


def scanned(
    source: Source, folder: Path, programs: Programs, system: Sequence[Path]
) -> Preprocessed:
    """Preprocesses and scans a source; arguments and errors are those of ``translate``."""
    prefix = symbol_prefix(source)
    preprocessed, said = _preprocessed(source, folder, programs, system)
    text, headers = _own_text(preprocessed, [_empty_headers(), *system])
    return Preprocessed(scan(text, prefix, _dynamic_array(prefix)), headers, said)


def system_folders() -> list[Path]:
    """Folders of headers besides the emulator's own and the compiler's: CuPy's, if there is one."""
    folder = cupy_include_folder()
    return [] if folder is None else [folder]


def _instance(expression: str, found: Scanned) -> Kernel:
    """What a name expression stands for: a kernel, or an instance of a template.

    A template's launch bounds count if they do not depend on what it is an instance of.
    """
    others = {kernel.expression: kernel for kernel in found.kernels}
    name = expression.partition("<")[0].strip()
    known = others.get(name) or found.templates.get(name)
    if known is None:
        return Kernel(expression, expression, (), "", True)
    bounds = known.bounds if name in others or _NUMBERS.fullmatch(known.bounds) else ""
    return Kernel(expression, expression, known.parameters, bounds, True)


def _preprocessed(
    source: Source, folder: Path, programs: Programs, system: Sequence[Path]
) -> tuple[str, tuple[str, ...]]:
    """What the host's preprocessor makes of a source, and its warnings."""
    written, output = folder / "source.cu", folder / "source.ii"
    name = _quoted(source.name)
    content = f'# 1 "constants"\n{source.prologue}# 1 "{name}"\n{source.text}\n'
    written.write_text(content, encoding="utf-8", errors="surrogateescape")
    options = source.options
    capability = f"{options.capability}0"
    command = [
        *compiler().command, "-E", "-x", "c++", f"-std=c++{options.standard}",
        f"-D__CUDA_ARCH__={capability}", "-D__CUDACC__=1", "-D__CUDACC_RTC__=1", *options.macros,
        "-iquote", str(_empty_headers() / _WRAPPERS),
        *(f"-I{each}" for each in source.include_folders),
        *(word for each in (_empty_headers(), *system) for word in ("-isystem", str(each))),
        *(word for each in options.included for word in ("-include", each)),
        *(["-Dassert(...)=static_cast<void>(0)"] if "-DNDEBUG" in options.macros else []),
        str(written), "-o", str(output),
    ]  # fmt: skip
    limited = ["/bin/sh", "-c", _LIMITED, "sh", *command]
    done = programs.run(limited, os.environ | {"TMPDIR": str(folder), "LC_ALL": "C"})
    done.pass_on_interrupt()
    said = without_folders(done.errors.strip())
    if done.status:
        why = said or f"the preprocessor {shlex.join(compiler().command)} needs too much for it"
        raise CompilationError(f"{source} does not compile:\n{why[:4000]}")
    preprocessed = output.read_text(encoding="utf-8", errors="surrogateescape")
    return preprocessed, tuple(line for line in said.splitlines() if "warning:" in line)


class _Folder:
    """Owns a scratch folder."""


_owner = _Folder()


@cache
def _empty_headers() -> Path:
    """A folder with a file for each of the emulator's headers, which is empty but for one thing.

    Only the preprocessor sees whether there is NDEBUG where assertions are included.
    """
    folder = scratch_folder_of(_owner)
    for header in INCLUDE.rglob("*"):
        place = folder / header.relative_to(INCLUDE)
        if header.is_dir():
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(_WITHOUT_ASSERTIONS if header.name in _ASSERTIONS else "")
    return folder


def _quoted(name: str) -> str:
    return "".join(c for c in name if c.isprintable()).replace("\\", "/").replace('"', "'")


def _own_text(text: str, outside: Sequence[Path]) -> tuple[str, tuple[str, ...]]:
    """A source's own lines, and the headers from elsewhere that these include."""
    places = tuple(f"{folder}{os.sep}" for folder in outside)
    headers: dict[str, None] = {}
    parts: list[str] = []
    is_own = True
    for line in text.split("\n"):
        marker = _MARKER.match(line)
        if marker is None:
            if is_own:
                parts.append(line)
            continue
        file, flags = marker["file"], marker["flags"].split()
        was_own, is_own = is_own, _OF_SYSTEM not in flags and not file.startswith(places)
        if file.startswith("<"):  # such as <built-in>
            is_own = was_own = False
        if was_own and not is_own and _ENTERED in flags:
            headers.setdefault(file.removeprefix(places[0]))  # the emulator's by name alone
        if is_own:
            parts.append(f'# {marker["line"]} "{Path(file).name}"')
    return "\n".join(parts), tuple(headers)


def _exported(prefix: str, kernels: Sequence[Kernel], templates: Sequence[str]) -> str:
    """The module's table of kernels."""
    entries = "".join(
        f'    {{"{_escaped(kernel.name)}", "{",".join(kernel.parameters)}", {int(kernel.is_c)}, '
        f"{_entry(kernel)}::call, {_entry(kernel)}::parameters, "
        f"{_bound(kernel)}, "
        f"reinterpret_cast<const void*>(&{kernel.expression})}},\n"
        for kernel in kernels
    )
    names = ",".join(templates)
    return (
        f"const ::emulator::KernelEntry {prefix}_kernels[] = {{\n{entries}    {{}}}};\n"
        f'const char {prefix}_templates[] = "{names}";\n'
    )


def _entry(kernel: Kernel) -> str:
    return f"::emulator::Entry<&{kernel.expression}>"


def _bound(kernel: Kernel) -> str:
    """What its launch bounds allow, with the names that they have in the kernel's namespace."""
    namespace = kernel.expression.partition("<")[0].rpartition("::")[0]
    bound = f"::emulator::launch_bound({kernel.bounds})"
    if not (namespace and kernel.bounds):
        return bound
    return f"[] {{ using namespace {namespace}; return {bound}; }}()"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _dynamic_array(prefix: str) -> str:
    """The name in assembly of a module's dynamic shared memory."""
    return f"{prefix}_dynamic_array"


def _dynamic_memory(prefix: str, names: Sequence[str]) -> str:
    """The module's dynamic shared memory under all its names, and what exports the module."""
    array = _dynamic_array(prefix)
    declared = ""
    if names:
        symbols = " ".join(f'EMULATOR_DYNAMIC_NAME("{symbol}")' for symbol in (array, *names))
        declared = (
            f"EMULATOR_DYNAMIC_MEMORY({symbols})\n"
            f'extern __dynamic_shared__ char {array}[] __asm__("{array}");\n'
        )
    return f"{declared}EMULATOR_EXPORT_MODULE({prefix}, {array if names else 'nullptr'})\n"
