"""Operations on one element at a time: activations, and the sum of two branches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gpucnn.backends.base import Backend
from gpucnn.backends.geometry import Shape
from gpucnn.backends.interface.arrays import Array
from gpucnn.bench.problems.base import Problem, total_bytes
from gpucnn.bench.timing import Run


@dataclass(frozen=True)
class Elementwise(Problem):
    """A result of (N, size, size, C) from inputs like it."""

    name: str
    N: int
    size: int
    C: int
    inputs_read = 1

    @property
    def x_shape(self) -> Shape:
        """(N, size, size, C)."""
        return self.N, self.size, self.size, self.C

    @property
    def shape_text(self) -> str:
        """Such as "64×56×56×64"."""
        return f"{self.N}×{self.size}×{self.size}×{self.C}"

    @property
    def flops(self) -> int:
        """One an element."""
        return self.N * self.size * self.size * self.C

    @property
    def traffic(self) -> int:
        """The inputs and the result."""
        return (self.inputs_read + 1) * total_bytes(self.x_shape)

    def input_shapes(self) -> Sequence[Shape]:
        """All alike."""
        return (self.x_shape,) * self.inputs_read


class ReluForward(Elementwise):
    """y = max(x, 0)."""

    operation = "relu_forward"

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """y."""
        (x,) = arrays
        return lambda: backend.relu_forward(x)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """y."""
        (x,) = tensors
        return lambda: torch.relu(x)


class ReluInputGrad(Elementwise):
    """dx = dy where y is above 0."""

    operation = "relu_input_grad"
    inputs_read = 2

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """dx."""
        dy, y = arrays
        return lambda: backend.relu_input_grad(dy, y)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """dx."""
        dy, y = tensors
        return lambda: torch.ops.aten.threshold_backward(dy, y, 0)


class Add(Elementwise):
    """a + b."""

    operation = "add"
    inputs_read = 2

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """The sum."""
        a, b = arrays
        return lambda: backend.add(a, b)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """The sum."""
        a, b = tensors
        return lambda: torch.add(a, b)


PASSES = (ReluForward, ReluInputGrad, Add)
