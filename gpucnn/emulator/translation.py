"""The C++ text of a library of the host: kernel sources, their headers, and what it exports."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from gpucnn.backends.devices.conditions import Conditions
from gpucnn.backends.devices.inclusion import Inclusion, Piece
from gpucnn.backends.devices.source import EMULATED, KernelSource, macros_of_cuda
from gpucnn.backends.devices.source_text import read_text, without_comments
from gpucnn.emulator.paths import without_folders
from gpucnn.errors import BackendError

EMULATOR = Path(__file__).parent
INCLUDE = EMULATOR / "include"
"""The emulator's headers."""

_INSTRUCTIONS = "ptx"
"""The folder of the headers of GPU instructions; the emulator has its own of the first of them."""

_INCLUDED = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"][^>"\n]+[>"])', re.MULTILINE)
_ASSERT = re.compile(r'^([ \t]*#[ \t]*include[ \t]*)[<"](?:cassert|assert\.h)[>"]', re.MULTILINE)
_MACRO = re.compile(r"^[ \t]*#[ \t]*(?:define|undef)\b", re.MULTILINE)
_C = re.compile(r'extern(\s+)"C"')
_DYNAMIC = re.compile(
    r"(?:\bextern(?P<gap>\s+)__shared__|\b__shared__(?P<other>\s+)extern)\b"
    r"(?P<declared>[^;\[#{}]{,500}?(?P<name>\w+)\s*\[\s*\](?:\s*\[[^;\]]*\])*\s*);"
)
# Empty assembly keeps the compiler from moving accesses, here as there.
_ASSEMBLY = re.compile(r'\b(?:asm|__asm|__asm__)\b(?:\s+\w+){,4}\s*\(\s*(?!"\s*"\s*[:)])')
_PREFIX = re.compile(r"\bgpucnn_[0-9a-f]{24}(?:::|_)?")


def symbol_prefix(source: KernelSource) -> str:
    """What the names that a source's module exports begin with."""
    return f"gpucnn_{source.digest()[:24]}"


def without_prefixes(message: str) -> str:
    """A compiler's message with the names that the kernels' author has written."""
    return without_folders(_PREFIX.sub("", message))


def has_macros(source: KernelSource) -> bool:
    """Whether it defines macros, which would reach into other sources of its unit."""
    return any(_MACRO.search(without_comments(read_text(path))) for path in _files(source))


def translation_unit(sources: Sequence[KernelSource]) -> str:
    """The C++ text of a library: each source in a namespace of its own, and its exports.

    Raises:
        BackendError: a source has inline assembly.
    """
    # The compiler's own headers cannot be included inside a namespace. Where a source includes them
    # nothing is left of them then, unless they are missing: that is told if it matters.
    pieces = {source: _pieces(source) for source in sources}
    outside = dict.fromkeys(name for source in sources for name in _outside(pieces[source]))
    parts = ['#include "emulator.h"\n']
    # g++ 12 passes over a missing header that it was asked about before, if by the same name.
    parts += (
        f"#if __has_include({name[0]}./{name[1:]})\n#include {name}\n#endif\n" for name in outside
    )
    parts.append('#include "module_macros.h"\n')
    for source in sources:
        _check_assembly(source, pieces[source])
        parts += _module(source, pieces[source])
    return "".join(parts)


def _pieces(source: KernelSource) -> list[Piece]:
    return Inclusion(source.include_folders, symbol_prefix(source), _is_own).pieces(source.path)


def _files(source: KernelSource) -> list[Path]:
    """A source's headers and itself, but for headers that the emulator has its own versions of."""
    headers = [path for path in source.headers() if not _is_own(path)]
    return [*headers, source.path]


def _is_own(header: Path) -> bool:
    name = Path(_INSTRUCTIONS) / header.name
    return header.parent.name == _INSTRUCTIONS and (INCLUDE / name).exists()


def _outside(pieces: Sequence[Piece]) -> Iterator[str]:
    """What is included from elsewhere: the compiler's headers, the emulator's, what is missing."""
    for piece in pieces:
        yield from _INCLUDED.findall(without_comments(piece.text))


def _check_assembly(source: KernelSource, pieces: Sequence[Piece]) -> None:
    """Raises BackendError for instructions of a GPU, which the host's assembler does not know."""
    for line in Conditions(macros_of_cuda(EMULATED), ("asm",)).lines(pieces):
        if _ASSEMBLY.search(line.text):
            raise BackendError(
                f"{source} does not compile:\n{line.path.name}:{line.line}: inline assembly, of "
                "which the emulator knows the instructions that kernels/include/ptx has a wrapper "
                "for; call the wrapper"
            )


def _embedded(piece: Piece, array: str) -> str:
    """Lines of a file as the host compiles them."""
    text = _ASSERT.sub(r'\1"module_macros.h"', piece.text)
    # Functions are told apart by their namespace, which C does not have.
    text = _C.sub(r'extern\1"C++"', text)
    # All arrays of dynamic shared memory are one, which qualifiers.h must tell from static ones.
    # In templates g++ passes over the name that they are given here.
    text = _DYNAMIC.sub(
        lambda match: (
            f"extern{match['gap'] or match['other']}__dynamic_shared__"
            f'{match["declared"]}__asm__("{array}");'
        ),
        text,
    )
    return f'#line {piece.line} "{piece.path.name}"\n{text}\n'


def _module(source: KernelSource, pieces: Sequence[Piece]) -> list[str]:
    prefix = symbol_prefix(source)
    array = f"{prefix}_dynamic_array"
    parts = [f'namespace {prefix} {{\n#include "names.h"\n#line 1 "constants"\n{source.prologue}']
    parts += (_embedded(piece, array) for piece in pieces)
    for kernel in source.declarations():
        entry = f"::emulator::Entry<&{kernel.name}>"
        parts.append(
            f"EMULATOR_EXPORT const ::emulator::KernelEntry {prefix}_{kernel.name} = "
            f"{{{entry}::call, {entry}::parameters, ::emulator::launch_bound({kernel.bounds})}};\n"
        )
    parts.append("}\n")
    if arrays := {name for piece in pieces for name in _dynamic_arrays(piece)}:
        symbols = [array, *(_mangled(prefix, name) for name in sorted(arrays))]
        names = " ".join(f'EMULATOR_DYNAMIC_NAME("{symbol}")' for symbol in symbols)
        parts.append(f"EMULATOR_DYNAMIC_MEMORY({names})\n")
        parts.append(f'extern __dynamic_shared__ char {array}[] __asm__("{array}");\n')
    else:
        array = "nullptr"
    parts.append(f"EMULATOR_EXPORT_SHARED_MEMORY({prefix}, {array})\n")
    return parts


def _dynamic_arrays(piece: Piece) -> list[str]:
    return [match["name"] for match in _DYNAMIC.finditer(without_comments(piece.text))]


def _mangled(namespace: str, name: str) -> str:
    return f"_ZN{len(namespace)}{namespace}{len(name)}{name}E"
