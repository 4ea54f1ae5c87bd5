"""What to compile: a file of ``kernels/`` and the constants it is compiled for.

A kernel's shapes, strides and tile sizes are constants of its compilation. They stand before the
text of its file, as ``constexpr`` definitions; each set of them makes a module of its own.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import gpucnn
from gpucnn.errors import BackendError, did_you_mean, nearest

Constant: TypeAlias = int | bool

_PACKAGE = Path(gpucnn.__file__).parent
_INSTALLED = _PACKAGE / "kernels"
KERNELS = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent / "kernels"
"""The folder of the kernels that come with gpucnn: in a wheel, or beside the package."""

_COMMENT_OR_LITERAL = re.compile(
    r'"(?:\\.|[^"\\\n])*"|' r"'(?:\\.|[^'\\\n])'|//[^\n]*|/\*.*?\*/", re.DOTALL
)
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"\n]+)"', re.MULTILINE)
_BOUNDS = r"__launch_bounds__\s*\((?P<bounds>(?:[^()]|\([^()]*\))*)\)"
_KERNEL = re.compile(rf"__global__\s+(?:(?:void|static|inline)\s+|{_BOUNDS}\s*)*(?P<name>\w+)\s*\(")


@dataclass(frozen=True)
class KernelDeclaration:
    """What a ``__global__`` function is declared with.

    Attributes:
        name: the function.
        bounds: the arguments of its ``__launch_bounds__``, as they are written; empty without.
    """

    name: str
    bounds: str


@dataclass(frozen=True)
class KernelSource:
    """A file of kernels with its constants, ready to be compiled.

    Attributes:
        file: its name in the folder of kernels, such as "max_pool2d.cu".
        constants: names and values, in the order in which they are defined.
        folder: where the file is; headers are looked for beside it, in its ``include``, in ours.
    """

    file: str
    constants: tuple[tuple[str, Constant], ...] = ()
    folder: Path = KERNELS

    def __str__(self) -> str:
        """The file and its constants, as messages show them."""
        constants = ", ".join(f"{name}={_literal(value)}" for name, value in self.constants)
        return f"{self.file} ({constants})" if constants else self.file

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / self.file

    @property
    def prologue(self) -> str:
        """The definitions of the constants, one a line."""
        return "".join(_definition(name, value) for name, value in self.constants)

    @property
    def include_folders(self) -> tuple[Path, ...]:
        """Where the file's headers are, first come first served."""
        folders = (self.folder, self.folder / "include", KERNELS / "include")
        return tuple(dict.fromkeys(folders))

    def text(self) -> str:
        """The file's text.

        Raises:
            BackendError: it cannot be read.
        """
        return read_text(self.path)

    def declarations(self) -> tuple[KernelDeclaration, ...]:
        """Its ``__global__`` functions, none of them a template, each once."""
        return _declarations(self.text())

    def functions(self) -> tuple[str, ...]:
        """The names of its ``__global__`` functions."""
        return tuple(declaration.name for declaration in self.declarations())

    def headers(self) -> tuple[Path, ...]:
        """Every header of its folders that the file includes, directly or not, in order."""
        return tuple(_headers(self.path, self.include_folders, set()))

    def digest(self) -> str:
        """A hash of everything that what is compiled depends on: files, their names, constants."""
        digest = hashlib.sha256()
        names = (path.name for path in (self.path, *self.headers()))
        for part in (*names, self.prologue, self.text(), *map(read_text, self.headers())):
            digest.update(f"{len(part)}\n{part}".encode())
        return digest.hexdigest()


def _definition(name: str, value: Constant) -> str:
    return f"constexpr {_type(value)} {name} = {_literal(value)};\n"


def _type(value: Constant) -> str:
    if isinstance(value, bool):
        return "bool"
    return "int" if -(2**31) <= value < 2**31 else "long long"


def _literal(value: Constant) -> str:
    return str(value).lower()


def without_comments(text: str) -> str:
    """A text of C++ whose comments are gone, its lines where they were."""
    return _COMMENT_OR_LITERAL.sub(_shown, text)


def _shown(match: re.Match[str]) -> str:
    found = match[0]
    return " " + "\n" * found.count("\n") if found.startswith("/") else found


@lru_cache(maxsize=256)
def _declarations(text: str) -> tuple[KernelDeclaration, ...]:
    found = {
        match["name"]: KernelDeclaration(match["name"], match["bounds"] or "")
        for match in _KERNEL.finditer(without_comments(text))
    }
    return tuple(found.values())


def included(text: str) -> list[str]:
    """The names that a text of C++ includes in quotes."""
    return _INCLUDE.findall(without_comments(text))


def find_header(name: str, path: Path, folders: Sequence[Path]) -> Path | None:
    """Where a file finds a header: beside itself, or in one of the folders; None for nowhere."""
    candidates = (Path(os.path.normpath(folder / name)) for folder in (path.parent, *folders))
    return next((header for header in candidates if header.is_file()), None)


def _headers(path: Path, folders: tuple[Path, ...], seen: set[Path]) -> Iterator[Path]:
    for name in included(read_text(path)):
        header = find_header(name, path, folders)
        if header is not None and header not in seen:
            seen.add(header)
            yield from _headers(header, folders, seen)
            yield header


@lru_cache(maxsize=256)
def _read_version(path: Path, _modified: int) -> str:
    return path.read_text(encoding="utf-8")


def read_text(path: Path) -> str:
    """The text of a kernel file or of a header.

    Raises:
        BackendError: it cannot be read.
    """
    try:
        return _read_version(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise BackendError(f"the kernel file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BackendError(
            f"the kernel file {path} is not UTF-8: byte {error.start} is "
            f"{error.object[error.start]:#04x}; save it as UTF-8"
        ) from error


def check_used(
    sources: Iterable[KernelSource], folder: Path, advice: str = "; choose others, or all"
) -> None:
    """Whether a file of a folder of the user's kernels takes the place of any of the sources.

    Args:
        sources: what operations launch.
        folder: the user's.
        advice: how the message ends.

    Raises:
        BackendError: none is, and what is to be looked at would be our own kernels.
    """
    if not any((folder / source.file).is_file() for source in sources):
        files = ", ".join(sorted(path.name for path in folder.glob("*.cu")))
        raise BackendError(
            f"none of these operations launches a file of {folder} ({files}){advice}"
        )


def check_own_kernels(folder: Path) -> tuple[str, ...]:
    """Looks at a folder whose kernel files are to take the place of ours of the same names.

    Returns:
        The files that have no such name, and so are not used.

    Raises:
        BackendError: none of its files has, or one that has cannot be read.
    """
    known = sorted(path.name for path in KERNELS.glob("*.cu"))
    files = sorted(path.name for path in folder.glob("*.cu"))
    unknown = tuple(file for file in files if file not in known)
    if not files:
        raise BackendError(f"{folder} is not a folder of kernels: there is no .cu file in it")
    if unknown == tuple(files):
        raise BackendError(
            f"no file of {folder} takes the place of one of ours: {files[0]} has no counterpart; "
            f"{_counterpart(files[0], known)}"
        )
    for file in known:
        if file in files:
            read_text(folder / file)
    return unknown


def _counterpart(file: str, known: Sequence[str]) -> str:
    """Which of the known files may be meant: the ending, that all have, tells nothing."""
    stem = file.removesuffix(".cu")
    near = nearest(stem, (name.removesuffix(".cu") for name in known))
    return f'did you mean "{near}.cu"?' if near else did_you_mean(stem, known)
