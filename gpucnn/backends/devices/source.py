"""What to compile: a file of ``kernels/`` and the constants it is compiled for.

A kernel's shapes, strides and tile sizes are constants of its compilation. They stand before the
text of its file, as ``constexpr`` definitions; each set of them makes a module of its own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import gpucnn
from gpucnn.errors import BackendError

Constant: TypeAlias = int | bool

_PACKAGE = Path(gpucnn.__file__).parent
_INSTALLED = _PACKAGE / "kernels"
KERNELS = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent / "kernels"
"""The folder of the kernels that come with gpucnn: in a wheel, or beside the package."""

_INCLUDE = re.compile(r'^\s*#include\s+"([^"]+)"', re.MULTILINE)
_BOUNDS = r"__launch_bounds__\s*\((?:[^()]|\([^()]*\))*\)"
_KERNEL = re.compile(rf"__global__\s+void\s+(?:{_BOUNDS}\s*)?(\w+)\s*\(")


@dataclass(frozen=True)
class KernelSource:
    """A file of kernels with its constants, ready to be compiled.

    Attributes:
        file: its name in the folder of kernels, such as "max_pool2d.cu".
        constants: names and values, in the order in which they are defined.
        folder: where the file is; headers are looked for in its ``include`` first, then in ours.
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
        own, ours = self.folder / "include", KERNELS / "include"
        return (ours,) if own == ours else (own, ours)

    def text(self) -> str:
        """The file's text.

        Raises:
            BackendError: it cannot be read.
        """
        return _read(self.path)

    def functions(self) -> tuple[str, ...]:
        """The names of its ``__global__`` functions, none of them a template."""
        return tuple(_KERNEL.findall(self.text()))

    def headers(self) -> tuple[Path, ...]:
        """Every header of ours that the file includes, directly or not, in order."""
        return tuple(_headers(self.path, self.include_folders, set()))

    def digest(self) -> str:
        """A hash of everything that the text depends on: file, headers and constants."""
        digest = hashlib.sha256()
        for part in (self.prologue, self.text(), *map(_read, self.headers())):
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


def _headers(path: Path, folders: tuple[Path, ...], seen: set[Path]) -> Iterator[Path]:
    for name in _INCLUDE.findall(_read(path)):
        header = next((folder / name for folder in folders if (folder / name).exists()), None)
        if header is not None and header not in seen:
            seen.add(header)
            yield from _headers(header, folders, seen)
            yield header


@lru_cache(maxsize=256)
def _read_version(path: Path, _modified: int) -> str:
    return path.read_text(encoding="utf-8")


def _read(path: Path) -> str:
    try:
        return _read_version(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise BackendError(f"the kernel file {path} cannot be read: {error.strerror}") from error
