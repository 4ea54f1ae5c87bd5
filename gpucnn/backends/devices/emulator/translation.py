"""The C++ text of a library of the host: kernel sources, their headers, and what it exports."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from gpucnn.backends.devices.source import (
    KernelSource,
    find_header,
    read_text,
    without_comments,
)

EMULATOR = Path(__file__).parent
INCLUDE = EMULATOR / "include"
"""The emulator's headers."""

_INSTRUCTIONS = "ptx"
"""The folder of the headers of GPU instructions; the emulator has its own of the first of them."""

_INCLUDED = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"].*$', re.MULTILINE)
_ONCE = re.compile(r"^[ \t]*#[ \t]*pragma[ \t]+once.*$", re.MULTILINE)
_MACRO = re.compile(r"^[ \t]*#[ \t]*(?:define|undef)\b", re.MULTILINE)
_DYNAMIC = re.compile(r"extern\s+__shared__[^;\[]*?(\w+)\s*\[\s*\]\s*;")
_PREFIX = re.compile(r"\bgpucnn_[0-9a-f]{24}(?:::|_)?")


def symbol_prefix(source: KernelSource) -> str:
    """What the names that a source's module exports begin with."""
    return f"gpucnn_{source.digest()[:24]}"


def without_prefixes(message: str) -> str:
    """A compiler's message with the names that the kernels' author has written."""
    return _PREFIX.sub("", message)


def has_macros(source: KernelSource) -> bool:
    """Whether it defines macros, which would reach into other sources of its unit."""
    return any(_MACRO.search(without_comments(read_text(path))) for path in _files(source))


def translation_unit(sources: Sequence[KernelSource]) -> str:
    """The C++ text of a library: each source in a namespace of its own, and its exports."""
    # The compiler's own headers cannot be included inside a namespace.
    outside = dict(line for source in sources for line in _outside(source))
    parts = ['#include "emulator.h"\n', *outside.values(), '#include "assertion.h"\n']
    for source in sources:
        parts += _module(source)
    return "".join(parts)


def _files(source: KernelSource) -> list[Path]:
    """A source's headers and itself, but for headers that the emulator has its own versions of."""
    headers = [path for path in source.headers() if not _is_own(path)]
    return [*headers, source.path]


def _is_own(header: Path) -> bool:
    name = Path(_INSTRUCTIONS) / header.name
    return header.parent.name == _INSTRUCTIONS and (INCLUDE / name).exists()


def _outside(source: KernelSource) -> Iterator[tuple[str, str]]:
    """What is included from elsewhere, by name: the compiler's headers, and what is missing."""
    for path in _files(source):
        text = without_comments(read_text(path))
        for match in _INCLUDED.finditer(text):
            bracket, name = match.groups()
            if bracket == "<" or find_header(name, path, source.include_folders) is None:
                line = text.count("\n", 0, match.start()) + 1
                yield name, f'#line {line} "{path.name}"\n{match[0]}\n'


def _embedded(path: Path) -> str:
    """A file's text for a translation unit that has its headers already."""
    text = _ONCE.sub("", _INCLUDED.sub("", read_text(path)))
    # Functions are told apart by their namespace, which C does not have.
    text = re.sub(r'extern(\s+)"C"', r'extern\1"C++"', text)
    # qualifiers.h must tell arrays of dynamic shared memory from static ones.
    text = re.sub(r"extern(\s+)__shared__", r"extern\1__dynamic_shared__", text)
    return f'#line 1 "{path.name}"\n{text}\n'


def _module(source: KernelSource) -> list[str]:
    prefix = symbol_prefix(source)
    parts = [f'namespace {prefix} {{\n#line 1 "constants"\n{source.prologue}']
    parts += map(_embedded, _files(source))
    for kernel in source.declarations():
        entry = f"::emulator::Entry<&{kernel.name}>"
        parts.append(
            f"EMULATOR_EXPORT const ::emulator::KernelEntry {prefix}_{kernel.name} = "
            f"{{{entry}::call, {entry}::parameters, ::emulator::launch_bound({kernel.bounds})}};\n"
        )
    parts.append("}\n")
    array = "nullptr"
    if symbols := [_mangled(prefix, name) for name in _dynamic_arrays(source)]:
        # Memory under the names by which the compiler refers to the kernels' arrays, and under
        # one more for the runtime.
        array = f"{prefix}_dynamic_array"
        names = " ".join(f'EMULATOR_DYNAMIC_NAME("{symbol}")' for symbol in symbols)
        parts.append(f"EMULATOR_DYNAMIC_MEMORY({names})\n")
        parts.append(f'extern __dynamic_shared__ char {array}[] __asm__("{symbols[0]}");\n')
    parts.append(f"EMULATOR_EXPORT_SHARED_MEMORY({prefix}, {array})\n")
    return parts


def _dynamic_arrays(source: KernelSource) -> list[str]:
    texts = (without_comments(read_text(path)) for path in _files(source))
    return list(dict.fromkeys(name for text in texts for name in _DYNAMIC.findall(text)))


def _mangled(namespace: str, name: str) -> str:
    return f"_ZN{len(namespace)}{namespace}{len(name)}{name}E"
