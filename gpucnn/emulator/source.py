"""What is compiled: a text of CUDA C++ with its headers, constants and options."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from gpucnn.emulator.errors import CompilationError
from gpucnn.emulator.options import Options

_INCLUDE = re.compile(rb'^[ \t]*#[ \t]*include[ \t]*[<"]([^">\n]+)[">]', re.MULTILINE)
_COMPUTED = re.compile(rb"^[ \t]*#[ \t]*include(?:_next)?\b(?![ \t]*[<\"])", re.MULTILINE)
_THIS_PROCESS = os.urandom(16)
"""A part of what no other process is to find in the cache."""
_LARGEST = 1 << 22
"""Bytes of a header."""


@dataclass(frozen=True)
class Source:
    """A text to compile.

    Attributes:
        name: the file, as messages show it.
        text: of the file.
        prologue: definitions that stand before the text.
        folders: where its headers are, first come first served.
        options: what else decides how it is compiled.
        expressions: kernels that are wanted besides those that are no templates, such as
            "scale<float>".
        float_atomics: whether atomic additions of floats are allowed, in the order of the threads.
        label: what messages call it; empty for its name. Nothing depends on it.
    """

    name: str
    text: str
    prologue: str = ""
    folders: tuple[Path, ...] = ()
    options: Options = field(default_factory=Options)
    expressions: tuple[str, ...] = ()
    float_atomics: bool = False
    label: str = field(default="", compare=False)

    def __str__(self) -> str:
        return self.label or self.name

    @property
    def include_folders(self) -> tuple[Path, ...]:
        """All folders of headers."""
        return tuple(dict.fromkeys((*self.folders, *self.options.folders)))

    def headers(self) -> tuple[Path, ...]:
        """Each header of the folders that the text may include, directly or not, in order.

        Conditions are not looked at, so there may be more than the compiler reads.

        Raises:
            CompilationError: one of them is not a file, or is too large.
        """
        found: dict[Path, None] = {}
        waiting = [(self.text.encode(errors="surrogateescape"), Path())]
        while waiting:
            text, place = waiting.pop()
            for name in _included(text):
                header = _find(os.fsdecode(name), place, self.include_folders)
                if header is not None and header not in found:
                    found[header] = None
                    waiting.append((read_header(header), header.parent))
        return tuple(found)

    def digest(self) -> str:
        """A hash of all that what is compiled depends on, apart from compiler and system headers.

        Raises:
            CompilationError: as ``headers``.
        """
        headers = self.headers()
        texts = [self.text.encode(errors="surrogateescape"), *map(read_header, headers)]
        names = [self.name, *(header.name for header in headers)]
        described = repr((names, self.prologue, self.options, self.expressions, self.float_atomics))
        digest = hashlib.sha256()
        for part in (described.encode(errors="surrogateescape"), *texts):
            digest.update(b"%d\n%b" % (len(part), part))
        if any(map(_COMPUTED.search, texts)):  # of a header that only the compiler knows
            digest.update(_THIS_PROCESS)
        return digest.hexdigest()


def _included(text: bytes) -> Iterator[bytes]:
    return iter(dict.fromkeys(_INCLUDE.findall(text)))


def _find(name: str, place: Path, folders: Sequence[Path]) -> Path | None:
    """Where a header is found: beside the file that includes it, or in a folder; None for nowhere.

    Raises:
        CompilationError: there is something that is not a file.
    """
    places = [place, *folders] if place != Path() else folders
    for path in (Path(os.path.normpath(folder / name)) for folder in places):
        try:
            if path.is_file():
                return path
            if path.exists() and not path.is_dir():
                raise CompilationError(f"the header {path} is not a file; remove it")
        except OSError:  # a name that is too long is no file's
            continue
    return None


def read_header(path: Path) -> bytes:
    """The content of a header.

    Raises:
        CompilationError: it cannot be read, or is too large.
    """
    try:
        return _read_version(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise CompilationError(f"the header {path} cannot be read: {error.strerror}") from error


@lru_cache(maxsize=1024)
def _read_version(path: Path, _modified: int) -> bytes:
    with path.open("rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise CompilationError(f"the header {path} has more than {_LARGEST:,} bytes")
    return content
