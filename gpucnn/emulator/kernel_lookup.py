"""The kernel of a module by the name that it is asked for with."""

from __future__ import annotations

import re

from gpucnn.emulator.errors import CompilationError
from gpucnn.emulator.interface import Kernel, Module
from gpucnn.emulator.mangling import source_name

_MANGLED = re.compile(r"_Z(?:N\d+\w+|\d+\w+)")


def find_kernel(module: Module, name: str) -> Kernel:
    """The kernel that a name finds on a GPU.

    Args:
        module: compiled.
        name: of an ``extern "C"`` function, a name expression, or a mangled name.

    Raises:
        CompilationError: there is none; the message says how to name the one that may be meant.
    """
    kernel = module.kernels.get(name)
    if kernel is not None and kernel.is_plain:
        return kernel
    if _MANGLED.match(name):
        # Of several kernels of one name, all but the first are known by their mangled names.
        kernel = kernel or module.kernels.get(source_name(name))
        if kernel is not None and not kernel.is_plain:
            return kernel
        kernel = None
    if kernel is not None:
        raise CompilationError(
            f'{module.source}: {name} is not extern "C", so that a GPU knows it by its mangled '
            f'name alone; write extern "C" before it, or pass name_expressions=("{name}",)'
        )
    if name in module.templates:
        raise CompilationError(
            f"{module.source}: {name} is a template; pass an instance of it, such as "
            f'name_expressions=("{name}<float>",), and ask for that'
        )
    known = [*module.kernels, *(f"{template}<…>" for template in module.templates)]
    raise CompilationError(
        f"{module.source} has no kernel {name}; it has {', '.join(known) or 'none'}"
    )
