"""stdout and stderr that take any text, whatever their encoding, and wherever they lead."""

from __future__ import annotations

import codecs
import io
import os
import sys

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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)


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
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), "r+"))


def _replacement(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    unknown = error.object[error.start : error.end]
    return "".join(_PLAIN.get(c) or _escaped(c) for c in unknown), error.end


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte of a file name that is not UTF-8
        return shown(character)
    return character.encode("ascii", "backslashreplace").decode("ascii")
