"""A plan with its kernels at hand: what remains to be done at each run is little."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np

from gpucnn.backends.devices.device import Argument, Device, Kernel
from gpucnn.backends.interface.arrays import Array
from gpucnn.launch.launch import Grid, Launch, Scalar, Slot, Workspace
from gpucnn.operations.problem import Problem, Shape


@dataclass(frozen=True)
class _Bound:
    """A launch of a kernel that is compiled.

    Attributes:
        kernel: what the device compiled.
        grid, block, shared_bytes: as in ``Launch``.
        arguments: picks them from all that a plan's kernels are given.
    """

    kernel: Kernel
    grid: Grid
    block: Grid
    shared_bytes: int
    arguments: Callable[[Sequence[Argument]], Sequence[Argument]]


class Prepared:
    """A problem's launches, ready to run.

    Args:
        problem: what is done.
        launches: its plan.
        kernel: compiles the kernel of a launch, or finds it.

    Attributes:
        problem: what is done.
    """

    def __init__(
        self,
        problem: Problem,
        launches: Sequence[Launch],
        kernel: Callable[[Launch], Kernel],
    ) -> None:
        self.problem = problem
        names = (*problem.takes, *problem.gives)
        given = [argument for one in launches for argument in one.arguments]
        workspaces = list(dict.fromkeys(each for each in given if isinstance(each, Workspace)))
        scalars = list(dict.fromkeys(each for each in given if isinstance(each, Scalar)))
        constants = [each for each in given if each is None or isinstance(each, np.generic)]
        first = len(names) + len(workspaces)
        places: dict[object, int] = {Slot(name): place for place, name in enumerate(names)}
        places |= {each: len(names) + place for place, each in enumerate(workspaces)}
        places |= {each: first + place for place, each in enumerate(scalars)}
        places |= {id(each): first + len(scalars) + i for i, each in enumerate(constants)}
        self._workspaces: list[tuple[Shape, np.dtype[Any]]] = [
            (each.shape, each.dtype) for each in workspaces
        ]
        self._scalars = [(each.dtype.type, each.formula) for each in scalars]
        self._constants = constants
        self._launches = [
            _Bound(
                kernel(one),
                one.grid,
                one.block,
                one.shared_bytes,
                _picks([places[_key(argument)] for argument in one.arguments]),
            )
            for one in launches
        ]

    def run(
        self, device: Device, arrays: Sequence[Array | None], numbers: Mapping[str, float]
    ) -> None:
        """Runs the launches on a device.

        Args:
            device: that compiled the kernels.
            arrays: of the problem's ``takes`` and ``gives``.
            numbers: of the problem.
        """
        values: list[Argument] = list(arrays)
        for shape, dtype in self._workspaces:
            values.append(device.empty(shape, dtype))
        for kind, formula in self._scalars:
            values.append(kind(formula(numbers)))
        values += self._constants
        for one in self._launches:
            device.launch(one.kernel, one.grid, one.block, one.shared_bytes, one.arguments(values))


def _key(argument: object) -> object:
    """What an argument is found by: two constants may be equal and of different types."""
    return id(argument) if argument is None or isinstance(argument, np.generic) else argument


def _picks(places: Sequence[int]) -> Callable[[Sequence[Argument]], Sequence[Argument]]:
    if len(places) == 1:
        (place,) = places
        return lambda values: (values[place],)
    return itemgetter(*places)
