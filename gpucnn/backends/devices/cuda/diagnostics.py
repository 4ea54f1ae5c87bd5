"""What NVRTC and ptxas write, complaint by complaint."""

from __future__ import annotations

import re

from gpucnn.errors import BackendError

_BEGIN = re.compile(r"\S.*?\(\d+\): (?:catastrophic error|error|warning)\b|ptxas (?!info|\s)")
_NEEDLESS = re.compile(
    r"ptxas (?:info|\s)|Remark: The warnings can be|\d+ (?:catastrophic )?errors? detected"
)
_LONGEST = 60
"""Lines of a message."""
_NAMES = "__nv_name_map("
"""The file in which NVRTC looks for the kernels' names: the author has none of it."""


class CompilationError(BackendError):
    """A file that does not compile.

    Args:
        heading: which, and for what.
        diagnostics: what the compiler has to say, complaint by complaint.
    """

    def __init__(self, heading: str, diagnostics: tuple[str, ...]) -> None:
        lines = "\n".join(diagnostics).splitlines()
        if len(lines) > _LONGEST:
            lines = [*lines[:_LONGEST], f"... and {len(lines) - _LONGEST} lines more"]
        super().__init__("\n  ".join([heading, *lines]))
        self.diagnostics = diagnostics


def diagnostics(log: str) -> tuple[str, ...]:
    """Errors and warnings in order, each with the lines that show its place."""
    found: list[list[str]] = []
    for line in log.splitlines():
        if _BEGIN.match(line):
            found.append([line])
        elif found and line.strip(" \0") and not _NEEDLESS.match(line):
            found[-1].append(line)
    told = ["\n".join(lines) for lines in found]
    # A kernel is not found behind another error either.
    return tuple(text for text in told if not text.startswith(_NAMES)) or tuple(told)
