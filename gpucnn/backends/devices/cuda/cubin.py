"""What a cubin says of its kernels.

It is an ELF file, whose symbols and sections NVIDIA's own tools list. A kernel is a function whose
symbol has the bit STO_CUDA_ENTRY. For each there is a section ``.nv.info.NAME`` of attributes, one
of which describes one parameter (``cuobjdump -elf`` lists them as EIATTR_KPARAM_INFO).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from gpucnn.emulator.elf import FUNCTION, all_symbols, sections
from gpucnn.emulator.mangling import source_name

_ENTRY = 0x10
"""STO_CUDA_ENTRY, of a symbol's visibility."""
_INFORMATION = ".nv.info."
_ATTRIBUTE = struct.Struct("<BBH")
"""Format, which attribute, and its value or the bytes that follow."""
_FOLLOWED = 4
"""The format of attributes that are followed by bytes."""
_PARAMETERS = (0x17, 0x45)
"""EIATTR_KPARAM_INFO, and the same for large parameters."""


def kernel_names(cubin: bytes) -> dict[str, str]:
    """The names of a cubin's kernels in the source, and what the compiler made of them."""
    found: dict[str, str] = {}
    for symbol in all_symbols(cubin):
        if symbol.kind == FUNCTION and symbol.defined and symbol.visibility & _ENTRY:
            name = source_name(symbol.name)
            found[symbol.name if name in found else name] = symbol.name
    return dict(sorted(found.items()))


def parameter_counts(cubin: bytes) -> dict[str, int]:
    """How many parameters each kernel has, by the name that the compiler gave it."""
    return {
        section.name.removeprefix(_INFORMATION): sum(
            kind in _PARAMETERS
            for kind in _attributes(cubin[section.offset : section.offset + section.bytes])
        )
        for section in sections(cubin)
        if section.name.startswith(_INFORMATION)
    }


def _attributes(content: bytes) -> Iterator[int]:
    place = 0
    while place + _ATTRIBUTE.size <= len(content):
        form, kind, value = _ATTRIBUTE.unpack_from(content, place)
        place += _ATTRIBUTE.size + (value if form == _FOLLOWED else 0)
        yield kind
