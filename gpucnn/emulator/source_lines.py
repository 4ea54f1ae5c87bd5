"""The source lines of a library's instructions, as binutils' addr2line reads them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from gpucnn.emulator.source import Source, read_header

_EMULATORS_OWN = "emulator/include/"
"""In the path of each of the emulator's headers, as the compiler is told to call them."""
_DIRECTIVE = re.compile(rb'^[ \t]*#[ \t]*(?:line[ \t]+)?\d+[ \t]+"([^"\n]+)"', re.MULTILINE)


class SourceLine(NamedTuple):
    """A line of a source: the file, as the compiler was told, and its number."""

    file: str
    line: str

    def __str__(self) -> str:
        return f"{Path(self.file).name}:{self.line}"


def source_lines(library: Path, instructions: Sequence[int]) -> list[SourceLine]:
    """The lines of instructions, innermost first: of each, what has been inlined there as well.

    Args:
        library: where they are.
        instructions: their distances from the library's beginning.
    """
    command = ["addr2line", "-i", "-e", str(library), *map(hex, instructions)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return []
    lines = (line.split(" ")[0].rpartition(":") for line in done.stdout.splitlines())
    return [SourceLine(file, number) for file, _, number in lines if number.isdecimal()]


def line_of_kernel(lines: Sequence[SourceLine], source: Source) -> str:
    """The first line in a kernel's own file; and the first in a header, if it was called there.

    Args:
        lines: innermost first; others, such as the emulator's own, are passed over.
        source: the kernel's.
    """
    text = source.text.encode(errors="surrogateescape")
    file = _names(source.name, text)
    headers = (_names(header.name, read_header(header)) for header in source.headers())
    names = file.union(*headers)
    shown = [
        line for line in lines if Path(line.file).name in names and _EMULATORS_OWN not in line.file
    ]
    own = next((line for line in shown if Path(line.file).name in file), None)
    if own is None or own == shown[0]:
        return str(shown[0]) if shown else ""
    return f"{own} (in {shown[0]})"


def _names(name: str, text: bytes) -> set[str]:
    """The names of a file: its own, and those that it gives itself by ``#line``."""
    named = (found.decode(errors="replace") for found in _DIRECTIVE.findall(text))
    return {Path(name).name, *(Path(each).name for each in named)}
