"""What a library's file says of the names that it uses and defines, for the loader."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_HEADER = struct.Struct("<40xQ10xHH2x")
"""Of an ELF file: where the table of sections is, the size of an entry, their number."""
_SECTION = struct.Struct("<4xI16xQQI12xQ")
"""Kind, offset, size, the other section that it refers to, the size of an entry."""
_SYMBOL = struct.Struct("<IBxH16x")
"""Where its name is, kind and binding, the section that defines it."""
_NAMES, _VERSIONS = 11, 0x6FFFFFFF
_WEAK = 2


class DynamicName(NamedTuple):
    """A name that the loader knows.

    Attributes:
        name: as the compiler writes it.
        defined: whether the library defines it.
        needed: whether the library cannot be loaded without it, and its version says not that it
            is another library's.
    """

    name: str
    defined: bool
    needed: bool


class _Section(NamedTuple):
    kind: int
    offset: int
    bytes: int
    other: int
    entry_bytes: int


def dynamic_names(library: Path) -> Iterator[DynamicName]:
    """The names of a library of this machine, of 64 bits and little-endian."""
    content = library.read_bytes()
    table, entry_bytes, count = _HEADER.unpack_from(content)
    sections = [
        _Section(*_SECTION.unpack_from(content, table + i * entry_bytes)) for i in range(count)
    ]
    kinds = {section.kind: section for section in sections}
    names, versions = kinds[_NAMES], kinds.get(_VERSIONS)
    texts = sections[names.other].offset
    for i in range(1, names.bytes // names.entry_bytes):
        text, info, section = _SYMBOL.unpack_from(content, names.offset + i * names.entry_bytes)
        begin = texts + text
        name = content[begin : content.index(0, begin)].decode()
        versioned = versions is not None and content[versions.offset + 2 * i] > 1
        defined = section != 0
        yield DynamicName(name, defined, not (defined or versioned or info >> 4 == _WEAK))
