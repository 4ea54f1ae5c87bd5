"""What binutils say of a library: its shared variables, and the source line of an instruction."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from gpucnn.backends.devices.source import KernelSource
from gpucnn.backends.devices.source_text import read_text
from gpucnn.emulator.elf import dynamic_names
from gpucnn.emulator.translation import INCLUDE
from gpucnn.errors import BackendError

_OWN_HEADERS = f"/{'/'.join(INCLUDE.parts[-3:])}/"
"""In the path of each of the emulator's headers, whichever installation compiled what is cached."""
_LINE_DIRECTIVE = re.compile(r'^[ \t]*#[ \t]*(?:line[ \t]+)?\d+[ \t]+"([^"\n]+)"', re.MULTILINE)


class Variable(NamedTuple):
    """A variable: its mangled name, where it lies in its section or from an anchor, its size."""

    name: str
    offset: int
    bytes: int


def check_nm() -> None:
    """Raises BackendError where there is no nm to ask."""
    if shutil.which("nm") is None:
        raise BackendError("binutils' nm is not there; install binutils")


def thread_local_variables(library: Path) -> tuple[Variable, ...]:
    """The variables of a library's thread-local storage, which is where shared memory lies."""
    return _variables(library, "TLS")


def static_variables(library: Path) -> tuple[Variable, ...]:
    """The other variables, among which shared memory is in a library that is sanitized."""
    return _variables(library, "OBJECT")


def undefined_names(library: Path, runtime: Path) -> list[str]:
    """What a library of kernels uses that neither the runtime nor this process defines."""
    process = ctypes.CDLL(None)
    needed = [used.name for used in dynamic_names(library) if used.needed]
    return [
        name for name in needed if name not in _supplied(runtime) and not hasattr(process, name)
    ]


def identifier_of(name: str) -> str:
    """What an author has written, of the compiler's name for it."""
    return "::".join(list(_identifiers(name))[1:]) or name


def variable_name(mangled: str) -> str:
    """The identifier of a variable, of the compiler's name for it."""
    for match in re.finditer(r"E(\d+)(?=[A-Za-z_])", mangled):  # Of a function: "...E4tile", "_0".
        begin, end = match.end(), match.end() + int(match[1])
        if re.fullmatch(r"(_\d*_?)?", mangled[end:]):
            return mangled[begin:end]
    return identifier_of(mangled)


@cache
def _supplied(runtime: Path) -> frozenset[str]:
    return frozenset(symbol.name for symbol in dynamic_names(runtime) if symbol.defined)


@cache
def _variables(library: Path, kind: str) -> tuple[Variable, ...]:
    check_nm()
    command = ["nm", "--defined-only", "--print-size", "--format=sysv", str(library)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BackendError(f"binutils' nm cannot read {library}: {done.stderr.strip()}")
    rows = ([field.strip() for field in line.split("|")] for line in done.stdout.splitlines())
    return tuple(
        Variable(row[0], int(row[1], 16), int(row[4], 16))
        for row in rows
        if len(row) == 7 and row[3] == kind and row[4]
    )


def shared_variables(
    variables: Sequence[Variable], prefix: str, kernel: str, kernels: Sequence[str]
) -> tuple[Variable, ...]:
    """The shared variables that a kernel may use, each by its distance from the anchor.

    Its own, and those of its module that no kernel owns: a device function's may be anyone's.

    Args:
        variables: of the library.
        prefix: of the kernel's module; the library may hold others.
        kernel: its name.
        kernels: of all kernels of the module.
    """
    others = set(kernels) - {kernel}
    own = [variable for variable in variables if _may_use(variable.name, prefix, others)]
    return _from_anchor(own, variables, prefix)


def moved_variables(
    shared: Sequence[Variable], variables: Sequence[Variable], prefix: str
) -> tuple[Variable, ...]:
    """The shared variables as another library of the same module has them, where it does.

    Its sizes may have a sanitizer's red zones in them.
    """
    sizes = {variable.name: variable.bytes for variable in shared}
    moved = [v._replace(bytes=sizes[v.name]) for v in variables if v.name in sizes]
    return _from_anchor(moved, variables, prefix)


def _from_anchor(
    chosen: Sequence[Variable], variables: Sequence[Variable], prefix: str
) -> tuple[Variable, ...]:
    anchor = next(v for v in variables if v.name.startswith(f"_ZZL{_counted(prefix + '_anchor')}"))
    return tuple(v._replace(offset=v.offset - anchor.offset) for v in chosen)


def _may_use(name: str, prefix: str, others: set[str]) -> bool:
    scopes = list(_identifiers(name))
    is_dynamic = re.match(rf"_ZN{_counted(prefix)}\d", name)
    return scopes[:1] == [prefix] and scopes[1] not in others and not is_dynamic


def _identifiers(mangled: str) -> Iterator[str]:
    """The identifiers at the beginning of a mangled name, outermost first."""
    rest = re.sub("^_Z[NZLK]*", "", mangled)
    while match := re.match(r"L?(\d+)", rest):
        begin, length = match.end(), int(match[1])
        yield rest[begin : begin + length]
        rest = rest[begin + length :]


def _counted(identifier: str) -> str:
    return f"{len(identifier)}{identifier}"


def _names(path: Path) -> set[str]:
    """The names of a file: its own, and those that it gives itself by ``#line``."""
    named = _LINE_DIRECTIVE.findall(read_text(path))
    return {path.name, *(Path(name).name for name in named)}


class SourceLine(NamedTuple):
    """A line of a source: the file with its folder, as the compiler was told, and its number."""

    file: str
    line: str

    def __str__(self) -> str:
        return f"{Path(self.file).name}:{self.line}"


def source_lines(library: Path, instructions: Sequence[int]) -> list[SourceLine]:
    """The lines of instructions, innermost first: of each, what has been inlined there as well.

    Args:
        library: where they are.
        instructions: their distances from the library's beginning.
    """
    command = ["addr2line", "-i", "-e", str(library), *map(hex, instructions)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return []
    lines = (line.split(" ")[0].rpartition(":") for line in done.stdout.splitlines())
    return [SourceLine(file, number) for file, _, number in lines if number.isdecimal()]


def line_of_kernel(lines: Sequence[SourceLine], source: KernelSource) -> str:
    """The first line in a kernel's own file; and the first in a header, if it was called there.

    Args:
        lines: innermost first; others, such as the emulator's own, are passed over.
        source: the kernel's file.
    """
    file = _names(source.path)
    names = file.union(*map(_names, source.headers()))
    shown = [
        line for line in lines if Path(line.file).name in names and _OWN_HEADERS not in line.file
    ]
    own = next((line for line in shown if Path(line.file).name in file), None)
    if own is None or own == shown[0]:
        return str(shown[0]) if shown else ""
    return f"{own} (in {shown[0]})"
