"""Kernels in PTX for tests: a body becomes a text, each of whose lines is a line of "kernel.cu"."""

import numpy as np

from gpucnn.emulator.ptx.program import Program, Settings

_HEAD = """
.version 8.0
.target sm_80
.address_size 64
.file 1 "kernel.cu"
"""
_REGISTERS = """
.reg .pred %p<8>; .reg .b16 %h<8>; .reg .b32 %r<32>; .reg .f32 %f<32>; .reg .b64 %rd<16>;
"""


def text(body, parameters=1, declarations="", directives=""):
    """A text with the kernel ``kernel``, whose parameters ``a``, ``b``, … are addresses."""
    names = ", ".join(f".param .u64 {chr(ord('a') + k)}" for k in range(parameters))
    lines = [f".loc 1 {number} 0\n{line}" for number, line in enumerate(body.split("\n"))]
    return (
        f"{_HEAD}{declarations}\n.visible .entry kernel({names}) {directives}\n"
        "{" + _REGISTERS + "\n".join(lines) + "\nret;\n}\n"
    )


def run(source, *arguments, grid=1, block=32, **settings):
    """Runs the kernel of a text; returns how often each opcode was executed."""
    blocks = (grid, 1, 1) if isinstance(grid, int) else grid
    threads = (block, 1, 1) if isinstance(block, int) else block
    kernel = Program(source).kernels["kernel"]
    return kernel.run(Settings(blocks, threads, **settings), arguments)


def zeros(count, dtype=np.uint32):
    return np.zeros(count, dtype)
