"""A launch as a value: what to compile, how many blocks and threads, and what each argument is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from gpucnn.errors import ShapeError
from gpucnn.operations.problem import Shape

Grid: TypeAlias = tuple[int, int, int]
LARGEST_GRID: Grid = (2**31 - 1, 65535, 65535)
"""Blocks that a launch may have along each axis."""
Constant: TypeAlias = int | bool
Numbers: TypeAlias = Mapping[str, float]

_MOST = 2**31 - 2**23
"""The largest count that a kernel takes: a loop's int index may run past it by one step, which is
less than 2**23."""


@dataclass(frozen=True)
class Slot:
    """An argument that is one of the operation's arrays; null if that is left out.

    Attributes:
        name: one of the problem's ``takes`` and ``gives``.
    """

    name: str


@dataclass(frozen=True)
class Workspace:
    """An argument that is an array for the duration of the operation alone.

    Attributes:
        name: tells it from the others of a plan.
        shape: of the array.
        dtype: of its elements.
    """

    name: str
    shape: Shape
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class Scalar:
    """An argument that follows from the operation's numbers, which differ from run to run.

    Attributes:
        dtype: of the kernel's parameter.
        formula: its value, from all numbers by name; worked out in double.
    """

    dtype: np.dtype[Any]
    formula: Callable[[Numbers], float]


Argument: TypeAlias = Slot | Workspace | Scalar | np.generic | None
"""A NumPy scalar is a constant of the plan, of the parameter's exact type; None is null."""


@dataclass(frozen=True)
class Launch:
    """One kernel's launch.

    Attributes:
        file: of ``kernels/``; a plugin's, by its absolute path.
        kernel: the function.
        grid: blocks along x, y, z; none along one means that nothing is launched.
        arguments: in the order of the kernel's parameters.
        block: threads along x, y, z.
        shared_bytes: dynamic shared memory.
        constants: of the compilation, in the order in which they are defined.

    Raises:
        ShapeError: more blocks along an axis than a GPU has.
    """

    file: str
    kernel: str
    grid: Grid
    arguments: tuple[Argument, ...]
    block: Grid
    shared_bytes: int
    constants: tuple[tuple[str, Constant], ...]

    def __post_init__(self) -> None:
        if any(blocks > most for blocks, most in zip(self.grid, LARGEST_GRID, strict=True)):
            raise ShapeError(
                f"{self.kernel} would need a grid of {self.grid} blocks, a GPU has at most "
                f"{LARGEST_GRID}; use smaller batches"
            )


def launch(
    file: str,
    kernel: str,
    grid: Sequence[int],
    arguments: Sequence[Argument | str],
    block: Sequence[int],
    constants: Mapping[str, Constant] | None = None,
    shared_bytes: int = 0,
) -> Launch:
    """A launch; grid and block are filled up with ones, and a plain name is a ``Slot``."""
    return Launch(
        file,
        kernel,
        filled(grid),
        tuple(Slot(each) if isinstance(each, str) else each for each in arguments),
        filled(block),
        shared_bytes,
        tuple((constants or {}).items()),
    )


def number(name: str, dtype: str = "float32") -> Scalar:
    """One of the operation's numbers as it is."""
    return Scalar(np.dtype(dtype), _of_name(name))


def as_int(value: int, name: str) -> np.int32:
    """A size as a kernel's int.

    Raises:
        ShapeError: a kernel does not count so far.
    """
    if value > _MOST:
        raise ShapeError(f"{name} is {value}, and a kernel counts to {_MOST}; make it smaller")
    return np.int32(value)


def _of_name(name: str) -> Callable[[Numbers], float]:
    return lambda numbers: numbers[name]


def filled(sizes: Sequence[int]) -> Grid:
    """Sizes along x, y and z, filled up with ones."""
    x, y, z = (*sizes, 1, 1)[:3]
    return x, y, z
