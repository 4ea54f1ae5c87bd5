"""Whether a file has a kernel as it is launched, with as many parameters."""

from __future__ import annotations

import re

from gpucnn.backends.devices.source import KernelSource, without_comments


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
    parameters = parameter_count(source.text(), kernel)
    if parameters != arguments:
        return (
            f"{source.path}: {kernel} is launched with {arguments} arguments, and the number of "
            f"its parameters is {parameters}"
        )
    return ""


def parameter_count(text: str, kernel: str) -> int:
    """How many parameters a kernel has that is in a text."""
    _, _, code = without_comments(text).partition("__global__")
    _, *behind = re.split(rf"\b{kernel}\s*\(", code, maxsplit=1)
    depth, commas, words = 0, 0, ""
    for letter in "".join(behind):
        if letter == ")" and depth == 0:
            break
        depth += (letter in "([{<") - (letter in ")]}>")
        commas += letter == "," and depth == 0
        words += letter
    return 0 if words.strip() in ("", "void") else commas + 1
