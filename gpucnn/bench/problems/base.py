"""What a benchmark times: one operation at one shape, in gpucnn and in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpucnn.backends.base import Backend
from gpucnn.backends.interface.arrays import Array
from gpucnn.bench.random_inputs import random_array
from gpucnn.bench.timing import Run
from gpucnn.launch import variants_of
from gpucnn.launch.variants import Variant
from gpucnn.operations import Dtypes, Operand, Timed
from gpucnn.operations.geometry import Shape

Floats: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class Input:
    """An array that an operation is given.

    Attributes:
        shape: images are (N, H, W, C).
        of: makes its values of normally distributed numbers.
        dtype: as the backend takes it; None for the backend's own.
        torch_dtype: the name of PyTorch's dtype for them.
    """

    shape: Shape
    of: Callable[[Floats], NDArray[Any]] = lambda drawn: drawn
    dtype: DTypeLike | None = None
    torch_dtype: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """One operation at one shape.

    Attributes:
        operation: its name in the backend's interface.
        name: the network and the layer that it is from, such as "resnet18-3x3-56".
        shape_text: the shape, as a table shows it.
        inputs: by the names of the operation's parameters.
        flops: floating-point operations; a multiply-add is two; a comparison, a root, an exp one.
        traffic: the fewest bytes that it moves: every input read once, every result written once.
        torch: the same in PyTorch, called with the module and the inputs: images, and filters,
            are tensors (N, C, H, W).
        torch_prepare: before the clock starts, makes what ``torch`` is called with of the inputs.
        variants: the kernels that can do it, the chosen one first; empty where there is only one.
        described: the operation's own description.
    """

    operation: str
    name: str
    shape_text: str
    inputs: Mapping[str, Input]
    flops: int
    traffic: int
    torch: Callable[..., object]
    torch_prepare: Callable[..., Sequence[Any]]
    variants: tuple[Variant, ...]
    described: Timed

    def input_shapes(self) -> tuple[Shape, ...]:
        """The shapes of its inputs."""
        return tuple(each.shape for each in self.inputs.values())

    def draw(self) -> list[Floats]:
        """Random inputs, the same at each call, all of them FP32; integers are whole numbers."""
        generator = np.random.default_rng(0)
        return [
            each.of(random_array(generator, each.shape)).astype(np.float32, copy=False)
            for each in self.inputs.values()
        ]

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """A run on a backend, given its arrays of the inputs, that returns the results."""
        inputs = {
            name: array if each.dtype is None else _of_dtype(backend, array, each.dtype)
            for (name, each), array in zip(self.inputs.items(), arrays, strict=True)
        }
        numbers, problem = self.described.numbers, self.described.problem
        problem = replace(problem, dtypes=backend.dtypes)
        given = [inputs.get(name) for name in problem.takes] + [None] * len(problem.gives)
        changed = [inputs[name] for name in problem.changes if name in inputs]

        def run() -> object:
            results = backend.run(problem, *given, **numbers) or changed
            return tuple(results) if len(results) > 1 else results[0]

        return run

    def theirs(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """A run in PyTorch, given tensors of the inputs, that returns the results."""
        inputs = [
            tensor.to(getattr(torch, each.torch_dtype)) if each.torch_dtype else tensor
            for each, tensor in zip(self.inputs.values(), tensors, strict=True)
        ]
        arguments = self.torch_prepare(torch, *inputs)
        return lambda: self.torch(torch, *arguments)


def _of_dtype(backend: Backend, array: Array, dtype: DTypeLike) -> Array:
    """An input as numbers of this dtype, by the host."""
    return backend.asarray(backend.to_numpy(array), dtype)


def from_timed(timed: Timed) -> Problem:
    """What a benchmark makes of an operation's own description."""
    problem = timed.problem
    return Problem(
        operation=problem.operation,
        name=timed.name,
        shape_text=problem.text,
        inputs={
            name: Input(
                problem.by_name[name].shape,
                timed.values.get(name, lambda drawn: drawn),
                _dtype_of(problem.by_name[name], problem.dtypes),
                _TORCH_DTYPES.get(problem.by_name[name].dtype.name, ""),
            )
            for name in problem.takes
            if name in problem.by_name
        },
        flops=problem.flops,
        traffic=problem.traffic,
        described=timed,
        variants=variants_of(problem),
        torch=lambda torch, *tensors: problem.in_torch(torch, *tensors, **timed.numbers),
        torch_prepare=problem.prepare_torch,
    )


def _dtype_of(operand: Operand, dtypes: Dtypes) -> np.dtype[Any] | None:
    return None if operand.dtype == dtypes.storage else operand.dtype


_TORCH_DTYPES = {"uint8": "uint8", "int32": "int64", "int64": "int64", "float64": "float64"}
"""PyTorch's dtypes of labels, indices and norms."""
