"""Max pooling to time, forward and input gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gpucnn.backends.base import Backend
from gpucnn.backends.geometry import Pair, Pool2dGeometry, Shape, pool2d_geometry
from gpucnn.backends.interface.arrays import Array
from gpucnn.bench.problems.base import Problem, total_bytes
from gpucnn.bench.timing import Run


@dataclass(frozen=True)
class Pooling(Problem):
    """Pooling of x (N, size, size, C) over windows of (window, window)."""

    name: str
    N: int
    size: int
    C: int
    window: int
    stride: int
    padding: int = 0

    @cached_property
    def geometry(self) -> Pool2dGeometry:
        """All sizes."""
        return pool2d_geometry((self.N, self.size, self.size, self.C), *self.options)

    @property
    def options(self) -> tuple[Pair, Pair, Pair]:
        """Window, stride and padding, in the order in which operations take them."""
        return (self.window,) * 2, (self.stride,) * 2, (self.padding,) * 2

    @property
    def shape_text(self) -> str:
        """Such as "64×112×112×64, 3×3/2"."""
        image = f"{self.N}×{self.size}×{self.size}×{self.C}"
        return f"{image}, {self.window}×{self.window}/{self.stride}"

    @property
    def results(self) -> int:
        """Elements of y."""
        N, P, Q, C = self.geometry.y_shape
        return N * P * Q * C


class MaxPool(Pooling):
    """Max pooling."""

    @property
    def traffic(self) -> int:
        """x, y and a byte for each winner; dx, dy and the same for the gradient."""
        return total_bytes(self.geometry.x_shape, self.geometry.y_shape) + self.results


class MaxPoolForward(MaxPool):
    """y, and where each maximum was."""

    operation = "max_pool2d_forward"

    @property
    def flops(self) -> int:
        """Comparisons."""
        return self.results * self.window**2

    def input_shapes(self) -> Sequence[Shape]:
        """x."""
        return (self.geometry.x_shape,)

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """y and argmax."""
        (x,) = arrays
        return lambda: backend.max_pool2d_forward(x, *self.options)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """y and the indices, which are eight bytes each in PyTorch."""
        (x,) = tensors
        return lambda: torch.ops.aten.max_pool2d_with_indices(x, *self.options)


class MaxPoolInputGrad(MaxPool):
    """dx, from dy and where each maximum was."""

    operation = "max_pool2d_input_grad"

    @property
    def flops(self) -> int:
        """An addition for each element of dy."""
        return self.results

    def input_shapes(self) -> Sequence[Shape]:
        """x, for the maxima, and dy."""
        return self.geometry.x_shape, self.geometry.y_shape

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """dx."""
        x, dy = arrays
        _, argmax = backend.max_pool2d_forward(x, *self.options)
        x_shape = self.geometry.x_shape
        return lambda: backend.max_pool2d_input_grad(dy, argmax, x_shape, *self.options)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """dx."""
        x, dy = tensors
        aten = torch.ops.aten
        _, indices = aten.max_pool2d_with_indices(x, *self.options)
        return lambda: aten.max_pool2d_with_indices_backward(
            dy, x, *self.options, (1, 1), False, indices
        )


PASSES = (MaxPoolForward, MaxPoolInputGrad)
