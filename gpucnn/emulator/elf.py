"""What an ELF file says of the names that it uses and defines: a library of the host, or a cubin.

Such a file has a table of sections. Two of these can be tables of symbols: one for the loader, with
the names that other libraries may use, and one with all names.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

_HEADER = struct.Struct("<40xQ10xHH2x")
"""Of an ELF file: where the table of sections is, the size of an entry, their number."""
_SECTION = struct.Struct("<II Q 8x QQ II 8x Q")
"""Name, kind, flags, offset, size, two references to other sections, the size of an entry."""
_SYMBOL = struct.Struct("<IBBHQQ")
"""Where its name is, kind and binding, visibility, the section that defines it, value, size."""
_ALL_NAMES, _DYNAMIC_NAMES, _VERSIONS = 2, 11, 0x6FFFFFFF
_WRITABLE, _WEAK = 1, 2
_RELOCATED = ".data.rel.ro"
"""What only the loader writes to."""
_SPECIAL = 0xFF00
"""From here on, numbers of sections mean something else."""


class Symbol(NamedTuple):
    """A name that a file uses or defines.

    Attributes:
        name: as the compiler writes it.
        kind: what it is: one of OBJECT, FUNCTION and THREAD_LOCAL, or something else.
        offset: from the beginning of the file as it is loaded; of a thread's variable, from the
            beginning of all of these.
        bytes: its size.
        defined: whether the file defines it.
        needed: whether the file cannot be loaded without it, and its version does not say that it
            is another library's.
        is_writable: whether it lies in a section that can be written to.
        visibility: with the bits of the processor that the file is for.
    """

    name: str
    kind: int
    offset: int
    bytes: int
    defined: bool
    needed: bool
    is_writable: bool
    visibility: int


OBJECT, FUNCTION, THREAD_LOCAL = 1, 2, 6


class Section(NamedTuple):
    """A section of a file."""

    name: str
    kind: int
    flags: int
    offset: int
    bytes: int
    other: int
    entry_bytes: int


def sections(content: bytes) -> list[Section]:
    """The sections of a file of 64 bits, little-endian."""
    table, entry_bytes, count = _HEADER.unpack_from(content)
    found = []
    for i in range(count):
        name, kind, flags, offset, size, other, _, each = _SECTION.unpack_from(
            content, table + i * entry_bytes
        )
        found.append((name, Section("", kind, flags, offset, size, other, each)))
    names = found[int.from_bytes(content[62:64], "little")][1].offset if found else 0
    return [each._replace(name=_text(content, names + name)) for name, each in found]


def dynamic_symbols(content: bytes) -> Iterator[Symbol]:
    """The names that the loader knows."""
    return _symbols(content, _DYNAMIC_NAMES)


def all_symbols(content: bytes) -> Iterator[Symbol]:
    """All names, as far as the file has kept them."""
    return _symbols(content, _ALL_NAMES)


def _symbols(content: bytes, kind: int) -> Iterator[Symbol]:
    every = sections(content)
    table = next((section for section in every if section.kind == kind), None)
    if table is None:
        return
    versions = next((section for section in every if section.kind == _VERSIONS), None)
    texts = every[table.other].offset
    for i in range(1, table.bytes // table.entry_bytes):
        text, info, other, place, value, size = _SYMBOL.unpack_from(
            content, table.offset + i * table.entry_bytes
        )
        is_versioned = (
            kind == _DYNAMIC_NAMES and versions is not None and content[versions.offset + 2 * i] > 1
        )
        needed = not (place or is_versioned or info >> 4 == _WEAK)
        section = every[place] if 0 < place < _SPECIAL else None
        writable = (
            section is not None
            and bool(section.flags & _WRITABLE)
            and not section.name.startswith(_RELOCATED)
        )
        name = _text(content, texts + text)
        yield Symbol(name, info & 15, value, size, place != 0, needed, writable, other)


def _text(content: bytes, begin: int) -> str:
    return content[begin : content.index(0, begin)].decode(errors="surrogateescape")
