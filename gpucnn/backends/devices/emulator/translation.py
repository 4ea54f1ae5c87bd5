"""The C++ text of a library of the host: kernel sources, their headers, and what it exports."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from gpucnn.backends.devices.source import KernelSource

INCLUDE = Path(__file__).parent / "include"
"""The emulator's headers."""

_INSTRUCTIONS = "ptx"
"""The folder of the headers of GPU instructions; the emulator has its own of the first of them."""

_OWN_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*".*$', re.MULTILINE)
_SYSTEM_INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*(<[^>\n]+>).*$", re.MULTILINE)
_ONCE = re.compile(r"^[ \t]*#[ \t]*pragma[ \t]+once.*$", re.MULTILINE)
_DYNAMIC = re.compile(r"extern\s+__shared__[^;\[]*?(\w+)\s*\[\s*\]\s*;")
_BOUNDS = re.compile(r"__launch_bounds__\s*\(((?:[^()]|\([^()]*\))*)\)\s*(\w+)\s*\(")


def symbol_prefix(source: KernelSource) -> str:
    """What the names that a source's module exports begin with."""
    return f"gpucnn_{source.digest()[:24]}"


def translation_unit(sources: Sequence[KernelSource]) -> str:
    """The C++ text of a library: each source in a namespace of its own, and its exports."""
    headers = dict.fromkeys(
        _replacement(header, source) for source in sources for header in source.headers()
    )
    texts = [path.read_text(encoding="utf-8") for path in headers]
    texts += [source.text() for source in sources]
    # The compiler's own headers cannot be included inside a namespace.
    system = dict.fromkeys(name for text in texts for name in _SYSTEM_INCLUDE.findall(text))
    parts = ['#include "emulator.h"\n', *(f"#include {name}\n" for name in system)]
    parts += [_embedded(path) for path in headers]
    for source in sources:
        parts += _module(source)
    return "".join(parts)


def _replacement(header: Path, source: KernelSource) -> Path:
    """The emulator's version of a header of instructions, where it has one, or the header."""
    folder = next(folder for folder in source.include_folders if header.is_relative_to(folder))
    name = header.relative_to(folder)
    own = INCLUDE / name
    return own if name.parts[0] == _INSTRUCTIONS and own.exists() else header


def _embedded(path: Path) -> str:
    """A file's text for a translation unit that has its headers already."""
    text = path.read_text(encoding="utf-8")
    for line in (_OWN_INCLUDE, _SYSTEM_INCLUDE, _ONCE):
        text = line.sub("", text)
    return f'#line 1 "{path.name}"\n{_with_dynamic_shared(text)}\n'


def _with_dynamic_shared(text: str) -> str:
    """Marks arrays of dynamic shared memory, which qualifiers.h must tell from static ones."""
    return re.sub(r"extern(\s+)__shared__", r"extern\1__dynamic_shared__", text)


def _module(source: KernelSource) -> list[str]:
    prefix = symbol_prefix(source)
    text = source.text()
    parts = [
        f'namespace {prefix} {{\n#line 1 "constants"\n{source.prologue}',
        _embedded(source.path),
        "\n",
    ]
    bounds = {name: threads for threads, name in _BOUNDS.findall(text)}
    for function in source.functions():
        entry = f"::emulator::Entry<&{function}>"
        parts.append(
            f"EMULATOR_EXPORT const ::emulator::KernelEntry {prefix}_{function} = "
            f"{{{entry}::call, {entry}::parameters, "
            f"::emulator::launch_bound({bounds.get(function, '')})}};\n"
        )
    parts.append("}\n")
    array = "nullptr"
    if dynamic := _DYNAMIC.search(text):
        array, symbol = f"{prefix}_dynamic_array", _mangled(prefix, dynamic[1])
        # An array under the name by which the compiler refers to the kernel's.
        parts.append(f'EMULATOR_DYNAMIC_ARRAY("{symbol}")\n')
        parts.append(f'extern __dynamic_shared__ char {array}[] __asm__("{symbol}");\n')
    parts.append(f"EMULATOR_EXPORT_SHARED_MEMORY({prefix}, {array})\n")
    return parts


def _mangled(namespace: str, name: str) -> str:
    return f"_ZN{len(namespace)}{namespace}{len(name)}{name}E"
