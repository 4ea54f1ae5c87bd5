"""Whether a file has the kernels that are launched from it, with as many parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from gpucnn.backends.devices.source import KernelSource, without_comments


def misfits(source: KernelSource, launched: Mapping[str, int]) -> Iterator[str]:
    """A line for each kernel that a launch would not find, or could not be given its arguments.

    Args:
        source: the file, with whatever constants.
        launched: kernels that are launched from it, and how many arguments each is given.

    Raises:
        BackendError: the file cannot be read.
    """
    there = source.functions()
    for name, arguments in launched.items():
        if name not in there:
            yield (
                f"{source.file} has no kernel {name}, which is launched with {arguments} "
                f"arguments; it has {', '.join(there) or 'none'}"
            )
        elif (parameters := parameter_count(source.text(), name)) != arguments:
            yield (
                f"{source.file}: {name} is launched with {arguments} arguments, and the number of "
                f"its parameters is {parameters}"
            )


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
