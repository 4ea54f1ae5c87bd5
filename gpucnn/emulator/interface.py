"""What is used of whatever runs kernels on the CPU: the emulator, or the executor of PTX."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gpucnn.emulator.arguments import Argument
from gpucnn.emulator.launch import Launch, Limits
from gpucnn.emulator.source import Source


class Parameter(Protocol):
    """A kernel's parameter."""

    @property
    def kind(self) -> str:
        """A letter, as in ``arguments.Parameter``."""

    @property
    def bytes(self) -> int:
        """Its size; of a pointer, that of what it points to."""

    @property
    def pointee(self) -> str:
        """Of a pointer, the kind of what it points to; empty if that is not known."""


class Kernel(Protocol):
    """A compiled kernel; ``str`` of it is its function, its file and constants."""

    @property
    def name(self) -> str:
        """The function."""

    @property
    def source(self) -> Source:
        """What it was compiled from."""

    @property
    def parameters(self) -> Sequence[Parameter]:
        """Its parameters."""

    @property
    def parameter_count(self) -> int:
        """How many parameters it has."""

    @property
    def static_shared_bytes(self) -> int:
        """Static shared memory a block."""

    @property
    def most_threads(self) -> int:
        """What its ``__launch_bounds__`` allow a block; 0 without."""

    @property
    def is_plain(self) -> bool:
        """Whether its plain name finds it on a GPU."""


class Module(Protocol):
    """The kernels of a source."""

    @property
    def source(self) -> Source:
        """What was compiled."""

    @property
    def kernels(self) -> Mapping[str, Kernel]:
        """By name."""

    @property
    def templates(self) -> tuple[str, ...]:
        """Kernels that are templates; only instances that are asked for are compiled."""

    @property
    def variables(self) -> Mapping[str, NDArray[np.uint8]]:
        """The bytes of variables that can be written to, by name."""


class Engine(Protocol):
    """Compiles sources and runs their kernels, in one mode."""

    @property
    def limits(self) -> Limits:
        """Of the GPU that it stands in for."""

    @property
    def workers(self) -> int:
        """Threads of the host."""

    def modules(self, sources: Iterable[Source]) -> Mapping[Source, Module]:
        """The kernels of sources, compiled if they are not in the cache."""

    def private_module(self, source: Source) -> Module:
        """The kernels of a source, with variables that no other module of the source shares."""

    def launch(self, kernel: object, launch: Launch, arguments: Sequence[Argument]) -> Counter[str]:
        """Runs a kernel to its end.

        Returns:
            How many instructions the warps have executed, by opcode, if the mode counts them.
        """
