"""A problem: an operation and its arguments, which any backend can be given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gpucnn import operations
from gpucnn.backends.base import Backend
from gpucnn.backends.devices.planner import PlanningDevice
from gpucnn.backends.interface.arrays import Array
from gpucnn.backends.kernel_backend import KernelBackend
from gpucnn.launch import tiled_variants, variants_of
from gpucnn.launch.slices import SHORTEST_SLICE
from gpucnn.launch.tiles import DEPTH, TILES, GemmTile
from gpucnn.launch.variants import Variant

Arguments: TypeAlias = Mapping[str, Any]
"""By the names of an operation's parameters. float32 stands for the backend's own dtype."""
Outcome: TypeAlias = dict[str, NDArray[Any]]
"""An operation's results by name, and what its argument arrays hold afterwards."""
Bounds: TypeAlias = Mapping[str, NDArray[Any]]
"""How far each float of an outcome may be off. What is left out must be exact."""


def exactly(_arguments: Arguments, _reference: Backend) -> Bounds:
    """The bounds of an operation that rounds nothing."""
    return {}


@dataclass(frozen=True)
class Operation:
    """What it takes to draw problems of an operation, and to judge their outcomes.

    Attributes:
        name: the backend's method.
        results: names of what it returns.
        draw: arguments of a problem, from a generator and the problem's number in its series.
        bounds: from a problem's arguments in float64, and the reference, its outcome's bounds.
        variants: of its kernels; none where there is one way only.
        able: which variants can do a problem with these arguments.
        tiles: of each variant that is a matrix product.
    """

    name: str
    results: tuple[str, ...]
    draw: Callable[[np.random.Generator, int], Arguments]
    bounds: Callable[[Arguments, Backend], Bounds]
    variants: tuple[Variant, ...] = ()
    able: Callable[[Arguments], tuple[Variant, ...]] = lambda _: ()
    tiles: Mapping[Variant | None, Sequence[GemmTile]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Problem:
    """An operation with its arguments.

    Attributes:
        operation: which.
        arguments: arrays are NumPy's. One array under two names is one array for the operation
            too, which then works in place.
        variant: of the kernels; None leaves the choice to the backend.
        tile: of a matrix product; None likewise.
    """

    operation: Operation
    arguments: Arguments
    variant: Variant | None = None
    tile: GemmTile | None = None

    @property
    def shortest_slice(self) -> int:
        """Terms that a slice of a product's sums has at least: few, where the tile is named too."""
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
        return f"{self.operation.name}({words}){variant}{tile}"

    def run(self, backend: Backend) -> Outcome:
        """The outcome on a backend, which gets copies of the arrays."""
        arrays = {
            id(value): _on_backend(backend, value)
            for value in self.arguments.values()
            if isinstance(value, np.ndarray)
        }
        arguments = {name: arrays.get(id(v), v) for name, v in self.arguments.items()}
        returned = getattr(backend, self.operation.name)(**arguments)
        returned = () if returned is None else returned
        results = returned if isinstance(returned, tuple) else (returned,)
        # The last results may be left out.
        outcome = dict(zip(self.operation.results, results, strict=False))
        outcome |= {
            name: arguments[name]
            for name, value in self.arguments.items()
            if isinstance(value, np.ndarray)
        }
        return {name: backend.to_numpy(array) for name, array in outcome.items()}


def described(kind: type[operations.Problem]) -> Operation:
    """An operation whose description says all of this."""
    tiled = tiled_variants(kind)
    return Operation(
        kind.operation,
        kind.gives,
        kind.draw,
        exactly,
        tuple(Variant) if any(tiled) else (),
        lambda arguments: variants_of(problem_of(kind.operation, arguments)),
        dict.fromkeys(tiled, TILES),
    )


class _Recorder(KernelBackend):
    """Takes note of problems."""

    def _carry_out(self, problem: operations.Problem, *_: object) -> None:
        self.problem = problem


def problem_of(operation: str, arguments: Arguments) -> operations.Problem:
    """The problem that an operation makes of its arguments."""
    recorder = _Recorder(PlanningDevice())
    getattr(recorder, operation)(**arguments)
    return recorder.problem


def _described(value: Any) -> str:
    return str(value.shape).replace(" ", "") if isinstance(value, np.ndarray) else str(value)


def _on_backend(backend: Backend, array: NDArray[Any]) -> Array:
    return backend.asarray(array.copy(), None if array.dtype == np.float32 else array.dtype)
