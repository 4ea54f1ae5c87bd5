"""What to compile: a file of ``kernels/`` and the constants it is compiled for.

A kernel's shapes, strides and tile sizes are constants of its compilation. They stand before the
text of its file, as ``constexpr`` definitions; each set of them makes a module of its own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

from gpucnn.backends.devices.conditions import Conditions
from gpucnn.backends.devices.inclusion import Inclusion
from gpucnn.backends.devices.source_text import (
    check_depth,
    find_header,
    included,
    read_text,
    without_strings,
)
from gpucnn.errors import BackendError, did_you_mean, nearest
from gpucnn.text import shown

Constant: TypeAlias = int | bool

_PACKAGE = Path(__file__).parents[2]
_INSTALLED = _PACKAGE / "kernels"
KERNELS = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent / "kernels"
"""The folder of the kernels that come with gpucnn: in a wheel, or beside the package."""

EMULATED = 90
"""The compute capability whose code the emulator runs."""


def _nested(levels: int) -> str:
    """What stands within parentheses, which may hold so many levels of others."""
    return rf"(?:[^()]|\({_nested(levels - 1)}\))*" if levels else "[^()]*"


_BOUNDS = re.compile(rf"__launch_bounds__\s*\((?P<bounds>{_nested(8)})\)")
_SPECIFIER = (
    r"(?:(?:void|static|inline|extern|__noinline__|__forceinline__)\b"
    rf'|""|\b__\w+__\s*\({_nested(8)}\)'
    r"|\[\[[^\]]{0,200}\]\])\s*"
)
# The bounds keep the time in proportion to the length of the file.
_KERNEL = re.compile(
    rf"(?P<template>\btemplate\s*<[^;{{}}]{{,2000}}>\s*)?(?P<before>(?:{_SPECIFIER}){{,20}})"
    rf"\b__global__\s*(?P<behind>(?:{_SPECIFIER}){{,20}})(?P<name>[^\W\d]\w*)\s*\("
)


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
        return f"{shown(self.file)} ({constants})" if constants else shown(self.file)

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

    def declarations(self, capability: int = EMULATED) -> tuple[KernelDeclaration, ...]:
        """Its ``__global__`` functions for a compute capability, without templates, each once."""
        texts = (self.text(), *map(read_text, self.headers()))
        return _declarations(self.path, self.include_folders, capability, texts)

    def functions(self, capability: int = EMULATED) -> tuple[str, ...]:
        """The names of its ``__global__`` functions for a compute capability."""
        return tuple(declaration.name for declaration in self.declarations(capability))

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


@lru_cache(maxsize=256)
def _declarations(
    path: Path, folders: tuple[Path, ...], capability: int, _texts: tuple[str, ...]
) -> tuple[KernelDeclaration, ...]:
    found: dict[str, KernelDeclaration] = {}
    for match in _KERNEL.finditer(_own_text(path, folders, capability)):
        if match["template"]:
            continue
        bounds = _BOUNDS.search(match["before"] + match["behind"])
        name = match["name"]
        # A declaration before the function has its bounds, too.
        if bounds or name not in found:
            found[name] = KernelDeclaration(name, bounds["bounds"] if bounds else "")
    return tuple(found.values())


def macros_of_cuda(capability: int) -> dict[str, str]:
    """What a file of kernels finds defined."""
    return {
        "__CUDA_ARCH__": f"{capability}0",
        "__CUDACC__": "1",
        "__CUDACC_RTC__": "1",
        "__cplusplus": "201703",
    }


def _own_text(path: Path, folders: tuple[Path, ...], capability: int) -> str:
    """What the preprocessor leaves of a file itself, without its headers and strings."""
    pieces = Inclusion(folders).pieces(path)
    conditions = Conditions(macros_of_cuda(capability), ("__global__", "__launch_bounds__"))
    lines = conditions.lines(pieces)
    return without_strings("\n".join(line.text for line in lines if line.path == path))


def _headers(
    path: Path, folders: tuple[Path, ...], seen: set[Path], depth: int = 0
) -> Iterator[Path]:
    for name in dict.fromkeys(included(read_text(path))):
        header = find_header(name, path, folders)
        if header is not None and header not in seen:
            check_depth(header, depth)
            seen.add(header)
            yield from _headers(header, folders, seen, depth + 1)
            yield header


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
        files = ", ".join(sorted(shown(path.name) for path in folder.glob("*.cu")))
        raise BackendError(
            f"none of these operations launches a file of {shown(folder)} ({files}){advice}"
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
        raise BackendError(
            f"{shown(folder)} is not a folder of kernels: there is no .cu file in it"
        )
    if unknown == tuple(files):
        raise BackendError(
            f"no file of {shown(folder)} takes the place of one of ours: {shown(files[0])} has no "
            f"counterpart; "
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
