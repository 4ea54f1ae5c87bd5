"""Operations on one element at a time: activations, and the sum of two branches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from gpucnn.backends.base import Backend
from gpucnn.backends.geometry import Shape
from gpucnn.backends.interface.arrays import Array
from gpucnn.bench.problems.base import ImageProblem, total_bytes
from gpucnn.bench.timing import Run

_SLOPE = 0.01


class Elementwise(ImageProblem):
    """A result of (N, size, size, C) from inputs like it.

    Attributes:
        inputs_read: how many.
        operations_each: floating-point operations for each element.
    """

    inputs_read: ClassVar[int] = 1
    operations_each: ClassVar[int] = 1

    @property
    def flops(self) -> int:
        """As many for each element."""
        return self.operations_each * self.elements

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


class LeakyReluForward(Elementwise):
    """y = x where x is above 0, else slope · x."""

    operation = "leaky_relu_forward"
    operations_each = 2

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """y."""
        (x,) = arrays
        return lambda: backend.leaky_relu_forward(x, _SLOPE)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """y."""
        (x,) = tensors
        return lambda: torch.nn.functional.leaky_relu(x, _SLOPE)


class LeakyReluInputGrad(Elementwise):
    """dx = dy where x is above 0, else slope · dy."""

    operation = "leaky_relu_input_grad"
    inputs_read = 2
    operations_each = 2

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """dx."""
        dy, x = arrays
        return lambda: backend.leaky_relu_input_grad(dy, x, _SLOPE)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """dx."""
        dy, x = tensors
        return lambda: torch.ops.aten.leaky_relu_backward(dy, x, _SLOPE, False)


class SigmoidForward(Elementwise):
    """y = 1 / (1 + exp(−x))."""

    operation = "sigmoid_forward"
    operations_each = 4

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """y."""
        (x,) = arrays
        return lambda: backend.sigmoid_forward(x)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """y."""
        (x,) = tensors
        return lambda: torch.sigmoid(x)


class SigmoidInputGrad(Elementwise):
    """dx = dy · y · (1 − y)."""

    operation = "sigmoid_input_grad"
    inputs_read = 2
    operations_each = 3

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """dx."""
        dy, y = arrays
        return lambda: backend.sigmoid_input_grad(dy, y)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """dx."""
        dy, y = tensors
        return lambda: torch.ops.aten.sigmoid_backward(dy, y)


class TanhForward(Elementwise):
    """y = tanh(x)."""

    operation = "tanh_forward"

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """y."""
        (x,) = arrays
        return lambda: backend.tanh_forward(x)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """y."""
        (x,) = tensors
        return lambda: torch.tanh(x)


class TanhInputGrad(Elementwise):
    """dx = dy · (1 − y²)."""

    operation = "tanh_input_grad"
    inputs_read = 2
    operations_each = 3

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """dx."""
        dy, y = arrays
        return lambda: backend.tanh_input_grad(dy, y)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """dx."""
        dy, y = tensors
        return lambda: torch.ops.aten.tanh_backward(dy, y)


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
"""What a residual network has."""

OTHER_PASSES = (
    LeakyReluForward,
    LeakyReluInputGrad,
    SigmoidForward,
    SigmoidInputGrad,
    TanhForward,
    TanhInputGrad,
)
"""What other networks have in the place of ReLU."""
