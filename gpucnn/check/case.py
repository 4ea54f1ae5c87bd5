"""A case: an operation and its arguments, which any backend can be given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.base import Backend
from gpucnn.backends.devices.planner import PlanningDevice
from gpucnn.backends.interface.arrays import Array
from gpucnn.backends.kernel_backend import KernelBackend
from gpucnn.launch.slices import SHORTEST_SLICE
from gpucnn.launch.tiles import DEPTH, GemmTile
from gpucnn.launch.variants import Variant
from gpucnn.operations.problem import Arguments, Problem

Outcome: TypeAlias = dict[str, NDArray[Any]]
"""An operation's results by name, and the contents of its argument arrays afterwards."""


@dataclass(frozen=True, eq=False)
class Case:
    """An operation with arguments.

    Attributes:
        kind: the type of the operation's problems.
        arguments: by name, arrays as NumPy's. One array under two names is passed as one array,
            and the operation works in place.
        variant: which kernels; None leaves the choice to the plan.
        tile: of a matrix product; None leaves the choice to the plan.
    """

    kind: type[Problem]
    arguments: Arguments
    variant: Variant | None = None
    tile: GemmTile | None = None

    @property
    def shortest_slice(self) -> int:
        """The fewest terms in a slice of a product's sums: few if the tile is named."""
        return SHORTEST_SLICE if self.tile is None else DEPTH

    def __str__(self) -> str:
        """The operation, the shapes of its arrays and its other arguments."""
        words = ", ".join(
            f"{name}={_described(value)}"
            for name, value in self.arguments.items()
            if value is not None
        )
        variant = f" by {self.variant}" if self.variant else ""
        tile = f" in tiles of {self.tile.rows}×{self.tile.columns}" if self.tile else ""
        return f"{self.kind.operation}({words}){variant}{tile}"

    def run(self, backend: Backend) -> Outcome:
        """The outcome on a backend, which is given copies of the arrays."""
        arrays = {
            id(value): _on_backend(backend, value)
            for value in self.arguments.values()
            if isinstance(value, np.ndarray)
        }
        arguments = {name: arrays.get(id(v), v) for name, v in self.arguments.items()}
        returned = self.kind.call(backend, **arguments)
        returned = () if returned is None else returned
        results = returned if isinstance(returned, tuple) else (returned,)
        # The last results may be left out.
        outcome = dict(zip(self.kind.gives, results, strict=False))
        outcome |= {
            name: arguments[name]
            for name, value in self.arguments.items()
            if isinstance(value, np.ndarray)
        }
        return {name: backend.to_numpy(array) for name, array in outcome.items()}


class _Recorder(KernelBackend):
    """Records the problem instead of carrying it out."""

    problem: Problem

    def _carry_out(self, problem: Problem, *_: object) -> None:
        self.problem = problem


def problem_of(kind: type[Problem], arguments: Arguments) -> Problem:
    """The problem that an operation makes from its arguments."""
    recorder = _Recorder(PlanningDevice())
    kind.call(recorder, **arguments)
    return recorder.problem


def _described(value: object) -> str:
    return str(value.shape).replace(" ", "") if isinstance(value, np.ndarray) else str(value)


def _on_backend(backend: Backend, array: NDArray[Any]) -> Array:
    return backend.asarray(array.copy(), None if array.dtype == np.float32 else array.dtype)
