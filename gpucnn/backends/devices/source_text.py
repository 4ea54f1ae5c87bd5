"""Files of C++: their text, with comments and without, and the headers that they include."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from gpucnn.errors import BackendError
from gpucnn.files import FileTooLargeError, NotRegularFileError, read_regular
from gpucnn.text import shown

# What is not ended goes on to the end of the file, or of the line: it is not looked for again from
# each place on, which would take a time that grows with the square of the length.
_COMMENT_OR_LITERAL = re.compile(
    r'R"(?P<end>[^()\\\s"]{0,16})\((?:.*?\)(?P=end)"|.*)|"(?:\\.|[^"\\\n])*(?:"|(?=\n)|\\?\Z)'
    r"|'(?:\\.|[^'\\\n])'|//[^\n]*|/\*(?:.*?\*/|.*)",
    re.DOTALL,
)
_LARGEST = 1 << 22
"""Bytes of a file."""
_DEEPEST_INCLUSION = 200
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*[<"]([^">\n]+)[">]', re.MULTILINE)


@lru_cache(maxsize=256)
def _read_version(path: Path, _modified: int) -> str:
    return read_regular(path, _LARGEST).decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")


def read_text(path: Path) -> str:
    """The text of a kernel file or of a header.

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


def _reason(error: OSError) -> str:
    wrong_file = isinstance(error, (FileTooLargeError, NotRegularFileError))
    return f"it {error.strerror}" if wrong_file else str(error.strerror)


@lru_cache(maxsize=256)
def without_comments(text: str) -> str:
    """A text of C++ whose comments are gone, its lines where they were."""
    return _COMMENT_OR_LITERAL.sub(_shown, text)


def _shown(match: re.Match[str]) -> str:
    found = match[0]
    return " " + "\n" * found.count("\n") if found.startswith("/") else found


def without_strings(text: str) -> str:
    """A text of C++ without comments whose strings are empty, its lines where they were."""
    return _COMMENT_OR_LITERAL.sub(lambda match: '""' + "\n" * match[0].count("\n"), text)


@lru_cache(maxsize=256)
def included(text: str) -> tuple[str, ...]:
    """The names that a text of C++ includes, whatever the conditions."""
    return tuple(_INCLUDE.findall(without_comments(text)))


def check_depth(header: Path, depth: int) -> None:
    """Raises BackendError if a header is included at a depth that compilers refuse."""
    if depth >= _DEEPEST_INCLUSION:
        raise BackendError(
            f"{shown(header)}: this header is included {depth} levels deep, and compilers allow "
            f"{_DEEPEST_INCLUSION}; include it from a file that is closer to the kernels"
        )


def find_header(name: str, path: Path, folders: Sequence[Path]) -> Path | None:
    """Where a file finds a header: beside itself, or in one of the folders; None for nowhere."""
    candidates = (Path(os.path.normpath(folder / name)) for folder in (path.parent, *folders))
    return next((header for header in candidates if _is_file(header)), None)


def _is_file(path: Path) -> bool:
    """Whether there is such a file; a name that is too long is no file's."""
    try:
        return path.is_file()
    except OSError:
        return False
