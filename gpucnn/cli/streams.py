"""stdout and stderr that take any text, whatever their encoding, and wherever they lead."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from gpucnn.text import shown

_ERRORS = "gpucnn.plain"
_PLAIN = {
    "─": "-",
    "×": "x",
    "·": "*",
    "…": "...",
    "✓": "+",
    "✗": "-",
    "–": "-",
    "−": "-",
    "²": "2",
}
"""What stands for characters of tables and messages that an encoding lacks."""


def prepare_streams() -> None:
    """Opens streams that were closed, and lets none fail because of what it cannot encode.

    A finished job must not end with an error because a log is in Latin-1 or a name is not UTF-8,
    so such characters are replaced or escaped, also under ``PYTHONIOENCODING=...:strict``.
    """
    _open_closed_streams()
    codecs.register_error(_ERRORS, _replacement)
    for name, kind in (("stdout", _Stdout), ("stderr", _Stderr)):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and not isinstance(stream, kind):
            other = kind(
                stream.buffer,
                stream.encoding,
                _ERRORS,
                line_buffering=stream.line_buffering,
                write_through=stream.write_through,
            )
            setattr(sys, name, other)


class _Stdout(io.TextIOWrapper):
    """Names itself in errors, such as that of a full disk; the system's have no name."""

    def write(self, text: str, /) -> int:
        with _named_stdout():
            return super().write(text)

    def flush(self) -> None:
        with _named_stdout():
            super().flush()


class _Stderr(io.TextIOWrapper):
    """Loses text that cannot be written, as to a full disk: a warning must not end a training."""

    def write(self, text: str, /) -> int:
        with suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


@contextmanager
def _named_stdout() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        error.filename = "stdout"
        raise


def printable(text: str) -> str:
    """Text in which control characters are escaped, other than the ends of its lines."""
    return "\n".join(map(shown, text.split("\n")))


def give_up_stdout() -> None:
    """Discards what cannot be written; otherwise Python would try again at its exit and fail."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _open_closed_streams() -> None:
    """Sends a stream that the caller closed (``>&-``) to the null device.

    Otherwise Python has None for it, and the next file to be opened gets its number and its text.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            stream = os.fdopen(os.open(os.devnull, os.O_RDWR), "r+")
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)  # Python's own reference, which keeps it open


def _replacement(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    unknown = error.object[error.start : error.end]
    return "".join(_PLAIN.get(c) or _escaped(c) for c in unknown), error.end


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte of a file name that is not UTF-8
        return shown(character)
    return character.encode("ascii", "backslashreplace").decode("ascii")
