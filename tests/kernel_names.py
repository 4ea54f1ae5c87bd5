"""The kernels of a file of ours, which have neither macros nor conditions."""

import re

from gpucnn.emulator.scanner import scan


def kernels_of(source):
    """The number of parameters of each kernel, by its name."""
    text = re.sub(r"//.*", "", source.text())
    return {kernel.name: len(kernel.parameters) for kernel in scan(text, "p", "s").kernels}
