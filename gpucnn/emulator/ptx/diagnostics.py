"""What NVRTC and ptxas write, complaint by complaint."""

from __future__ import annotations

import re

from gpucnn.emulator.ptx.toolkit import HEADER_PACKAGES

_BEGIN = re.compile(r"\S.*?\(\d+\): (?:catastrophic error|error|warning)\b|ptxas (?!info|\s)")
_NEEDLESS = re.compile(
    r"ptxas (?:info|\s)|Remark: The warnings can be|\d+ (?:catastrophic )?errors? detected"
)
_NAMES = "__nv_name_map("
"""The file in which NVRTC looks for the kernels' names: the author has none of it."""
_MISSING_HEADER = re.compile(r'(?:cannot|could not) open source file "([^"]+)"')
_NEEDLESS_HEADERS = ("cmath", "cassert", "cstdint", "cstdio", "math.h", "stdint.h", "limits")
_OF_CUDA = ("cuda", "cooperative", "mma", "nv/", "cuComplex", "thrust/", "cub/")


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


def complaints(log: str, major: int) -> tuple[str, ...]:
    """Why a text was refused, and what to do about it if that is known.

    Args:
        log: of the compiler.
        major: of the version of CUDA that the compiler is of.
    """
    found = diagnostics(log) or (log.strip(),)
    missing = _MISSING_HEADER.search(log)
    advice = _advice(missing[1], major) if missing else ""
    return (*found, advice) if advice else found


def _advice(header: str, major: int) -> str:
    """What to do about a header that is not found; empty if nobody can tell."""
    if header in _NEEDLESS_HEADERS:
        return "NVRTC needs none of the standard library's headers, and has none."
    if header.startswith(_OF_CUDA):
        return f"{header} is one of CUDA's own headers: pip install {HEADER_PACKAGES[major]}"
    return ""
