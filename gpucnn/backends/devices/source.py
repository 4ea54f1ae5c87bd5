"""What to compile: a file of ``kernels/`` and the constants it is compiled for.

A kernel's shapes, strides and tile sizes are constants of its compilation. They stand before the
text of its file, as ``constexpr`` definitions; each set of them makes a module of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

from gpucnn.emulator.errors import EmulatorError
from gpucnn.emulator.source import Source
from gpucnn.errors import BackendError, did_you_mean, nearest
from gpucnn.files import FileTooLargeError, NotRegularFileError, read_regular
from gpucnn.text import shown

Constant: TypeAlias = int | bool

_PACKAGE = Path(__file__).parents[2]
_INSTALLED = _PACKAGE / "kernels"
KERNELS = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent / "kernels"
"""The folder of the kernels that come with gpucnn: in a wheel, or beside the package."""

_LARGEST = 1 << 22
"""Bytes of a file."""


@contextmanager
def as_backend_errors() -> Iterator[None]:
    """What the emulator raises in the block becomes a BackendError of the same words."""
    try:
        yield
    except EmulatorError as error:
        raise BackendError(str(error)) from error


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

    def as_text(self) -> Source:
        """The same as the emulator takes it.

        Raises:
            BackendError: the file cannot be read.
        """
        name = shown(self.file)
        return Source(name, self.text(), self.prologue, self.include_folders, label=str(self))

    def headers(self) -> tuple[Path, ...]:
        """Every header of its folders that the file may include, directly or not, in order.

        Raises:
            BackendError: the file or one of its headers cannot be read.
        """
        with as_backend_errors():
            return self.as_text().headers()

    def digest(self) -> str:
        """A hash of everything that what is compiled depends on: files, their names, constants.

        Raises:
            BackendError: as ``headers``.
        """
        with as_backend_errors():
            return self.as_text().digest()


def read_text(path: Path) -> str:
    """The text of a kernel file.

    Raises:
        BackendError: it cannot be read.
    """
    try:
        return _read_version(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise BackendError(
            f"the kernel file {shown(path)} cannot be read: {_reason(error)}"
        ) from error
    except UnicodeDecodeError as error:
        raise BackendError(
            f"the kernel file {shown(path)} is not UTF-8: byte {error.start} is "
            f"{error.object[error.start]:#04x}; save it as UTF-8"
        ) from error


@lru_cache(maxsize=256)
def _read_version(path: Path, _modified: int) -> str:
    return read_regular(path, _LARGEST).decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")


def _reason(error: OSError) -> str:
    wrong_file = isinstance(error, (FileTooLargeError, NotRegularFileError))
    return f"it {error.strerror}" if wrong_file else str(error.strerror)


def _definition(name: str, value: Constant) -> str:
    return f"constexpr {_type(value)} {name} = {_literal(value)};\n"


def _type(value: Constant) -> str:
    if isinstance(value, bool):
        return "bool"
    return "int" if -(2**31) <= value < 2**31 else "long long"


def _literal(value: Constant) -> str:
    return str(value).lower()


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
