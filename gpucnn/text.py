"""Text that others wrote, such as file and class names, made safe to show."""

from __future__ import annotations

import os
import sys

_has_warned: set[str] = set()


def shown(name: str | os.PathLike[str]) -> str:
    r"""A name on one line, with everything escaped that is not a printable character.

    Line breaks, terminal escape sequences and bytes that are not UTF-8 come out as ``\n``,
    ``\x1b`` and ``\xe9``, so a name can neither break a line nor change the terminal's state.
    """
    return "".join(c if c.isprintable() else _escaped(c) for c in os.fspath(name))


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python represents a byte that is not UTF-8 in a file name
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def warn_once(text: str) -> None:
    """Prints ``warning: text`` on stderr, the first time that it is given this text."""
    if text not in _has_warned:
        _has_warned.add(text)
        print(f"warning: {text}", file=sys.stderr, flush=True)
