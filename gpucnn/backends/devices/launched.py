"""Whether a file has a kernel as it is launched, with as many parameters."""

from __future__ import annotations

import re

from gpucnn.backends.devices.source import KernelSource, without_comments

_TYPES = "bool|char|short|int|long|unsigned|float|double"
_MACRO = re.compile(rf"(?!(?:{_TYPES})\b)\w+(?:\(.*\))?", re.DOTALL)
"""A lone word, which may be a type of a parameter without a name, too."""


def misfit(source: KernelSource, kernel: str, arguments: int) -> str:
    """Why a kernel cannot be launched from a file; empty where it can.

    A GPU would take what lies behind the arguments for those that are missing.

    Args:
        source: the file, with whatever constants.
        kernel: which.
        arguments: how many it is given.

    Raises:
        BackendError: the file cannot be read.
    """
    there = source.functions()
    if kernel not in there:
        return (
            f"{source.path} has no kernel {kernel}, which is launched with {arguments} arguments; "
            f"it has {', '.join(there) or 'none'}"
        )
    counts = parameter_counts(source.text(), kernel)
    if counts and arguments not in counts:
        return (
            f"{source.path}: {kernel} is launched with {arguments} arguments, and the number of "
            f"its parameters is {' or '.join(map(str, sorted(counts)))}"
        )
    return ""


def parameter_counts(text: str, kernel: str) -> set[int]:
    """How many parameters a kernel of a text has, in each of its declarations.

    What a macro may stand for is not counted: of a declaration with one there is no number.
    """
    counts = set()
    for declared in without_comments(text).split("__global__")[1:]:
        _, *behind = re.split(rf"\b{kernel}\s*\(", declared, maxsplit=1)
        if behind:
            parameters = _parameters(behind[0])
            if not any(_MACRO.fullmatch(parameter) for parameter in parameters):
                counts.add(len(parameters))
    return counts


def _parameters(text: str) -> list[str]:
    """What stands between commas, from the begin to the parenthesis that closes it."""
    parts, depth = [""], 0
    for letter in text:
        if letter == ")" and depth == 0:
            break
        depth += (letter in "([{<") - (letter in ")]}>")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    parts = [part.strip() for part in parts]
    return [] if parts in ([""], ["void"]) else parts
