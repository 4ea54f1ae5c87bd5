"""The launch of ``gpucnn emulate``: a kernel of a file, its grid and its block."""

from __future__ import annotations

import math
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gpucnn.cli.emulate_arguments import GivenArgument, Value
from gpucnn.errors import BackendError, did_you_mean, shortened
from gpucnn.text import shown

if TYPE_CHECKING:
    from gpucnn.emulator import RawKernel, RawModule
    from gpucnn.emulator.interface import Parameter


class KernelFaultError(Exception):
    """What the emulator reports of a kernel.

    Args:
        message: its sentence.
        seed: with which it was found.
    """

    def __init__(self, message: str, seed: int) -> None:
        super().__init__(message)
        self.seed = seed


@dataclass(frozen=True)
class Launch:
    """A kernel of a file, and how it is launched.

    Attributes:
        file: the source.
        kernel: its name, such as ``scale<float>`` of a template.
        grid: blocks, one to three numbers.
        block: threads of a block, one to three numbers.
        shared_bytes: of dynamic shared memory.
        mode: what runs it, such as "race".
        options: of the compiler.
        time_limit: seconds; None for no limit.
        jitter: whether approximate functions err in mode ptx.
    """

    file: Path
    kernel: str
    grid: tuple[int, ...]
    block: tuple[int, ...]
    shared_bytes: int
    mode: str
    options: tuple[str, ...]
    time_limit: float | None
    jitter: bool = False

    def run(self, given: Sequence[GivenArgument], seed: int) -> list[Value]:
        """Runs the kernel once, on copies of the arguments.

        Returns:
            The arguments, as the kernel has left them.

        Raises:
            KernelFaultError: the kernel did what the emulator reports.
            BackendError: it cannot be compiled or launched.
        """
        from gpucnn.emulator.errors import (
            CompilationError,
            EmulatorError,
            LaunchError,
            UnsupportedError,
        )

        values = [argument.copy() for argument in given]
        try:
            self._module.seed = seed
            kernel = self._function
            self._check_count(values, kernel.kernel.parameters)
            kernel(self.grid, self.block, values, shared_mem=self.shared_bytes)
        except (CompilationError, LaunchError, UnsupportedError) as error:
            raise BackendError(str(error)) from error
        except EmulatorError as error:
            raise KernelFaultError(str(error), seed) from error
        return values

    @cached_property
    def _module(self) -> RawModule:
        """What the file is compiled to; warnings go to stderr."""
        from gpucnn.emulator import RawModule

        module = RawModule(
            path=self.file,
            options=self.options,
            name_expressions=(self.kernel,),
            mode=self.mode,
            time_limit=self.time_limit,
            jitter=self.jitter,
        )
        module.compile(log_stream=sys.stderr)
        return module

    @cached_property
    def _function(self) -> RawKernel:
        return self._module.get_function(self.kernel)

    def instruction_counts(self) -> Counter[str] | None:
        """How many instructions the warps of the last launch executed; None if nobody counted."""
        return self._function.instruction_counts if self.mode == "ptx" else None

    def _check_count(self, values: Sequence[Value], parameters: Sequence[Parameter]) -> None:
        """Raises BackendError, with arguments that would fit, if their number is wrong."""
        if len(values) != len(parameters):
            fitting = " ".join(f"--arg {_fitting(parameter)}" for parameter in parameters)
            raise BackendError(
                f"{self.kernel} has {len(parameters)} parameters, and there are {len(values)} "
                f"arguments; for example: {fitting}"
            )

    def as_json(self) -> dict[str, Any]:
        """What is launched, for a report."""
        return {
            "file": str(self.file),
            "kernel": self.kernel,
            "grid": list(self.grid),
            "block": list(self.block),
            "shared_bytes": self.shared_bytes,
            "mode": self.mode,
            "options": list(self.options),
        }

    def __str__(self) -> str:
        """One line on what is launched."""
        blocks, threads = math.prod(self.grid), math.prod(self.block)
        shared = f", {self.shared_bytes} bytes of shared memory" if self.shared_bytes else ""
        return (
            f"{shown(self.file.name)}: {shown(self.kernel)}, "
            f"grid {_sizes(self.grid)} and block {_sizes(self.block)}: "
            f"{blocks:,} {'block' if blocks == 1 else 'blocks'} of {threads:,} "
            f"{'thread' if threads == 1 else 'threads'}{shared}, {self.mode} mode"
        )


def _sizes(numbers: Sequence[int]) -> str:
    return f"({', '.join(map(str, numbers))})"


def _fitting(parameter: Parameter) -> str:
    """An argument for a parameter, as ``--arg`` has it."""
    is_pointer = parameter.kind == "p"
    kind = parameter.pointee if is_pointer else parameter.kind
    name = {"f": "float", "i": "int", "u": "uint"}.get(kind, "")
    dtype = f"{name}{8 * parameter.bytes}" if name and parameter.bytes else "DTYPE"
    return f"{dtype}:1024" if is_pointer else f"{dtype}=1"


def chosen_kernel(name: str | None, file: Path, options: Sequence[str], mode: str) -> str:
    """The name that was given, or that of the file's only kernel.

    Args:
        name: that was given; None for none.
        file: the source.
        options: of the compiler.
        mode: in which it is to be run. In mode ptx, NVRTC alone decides what a name stands for.

    Raises:
        BackendError: none was given, and the file has none or several; or the file has no such
            kernel, or cannot be preprocessed.
    """
    from gpucnn.emulator import RawModule
    from gpucnn.emulator.errors import EmulatorError

    if name is not None and mode == "ptx":
        return name
    try:
        declared = RawModule(path=file, options=options).declared_kernels()
    except EmulatorError as error:
        raise BackendError(str(error)) from error
    if name is not None:
        if declared and re.fullmatch(r"\w+", name) and name not in declared:
            hint = did_you_mean(name, declared)
            raise BackendError(f'{shown(file)} has no kernel "{shortened(name)}"; {hint}')
        return name
    if len(declared) == 1:
        return declared[0]
    if not declared:
        raise BackendError(f"{shown(file)} has no kernel: no function is declared __global__")
    raise BackendError(
        f"{shown(file)} has {len(declared)} kernels; choose one by --kernel: {', '.join(declared)}"
    )


def covering_grid(given: Sequence[GivenArgument], block: Sequence[int]) -> tuple[int, ...]:
    """As many blocks as give each element of the largest array a thread of its own."""
    sizes = [one.value.size for one in given if isinstance(one.value, np.ndarray)]
    return (max(1, math.ceil(max(sizes, default=1) / math.prod(block))),)
