"""Average pooling to time, over windows and over whole images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpucnn.backends.base import Backend
from gpucnn.backends.geometry import Shape
from gpucnn.backends.interface.arrays import Array
from gpucnn.bench.problems.base import ImageProblem, tensor_beside, total_bytes
from gpucnn.bench.problems.pooling import Pooling
from gpucnn.bench.timing import Run


class AveragePool(Pooling):
    """Average pooling of x (N, size, size, C); padding counts, as zeros."""

    @property
    def traffic(self) -> int:
        """x and y; dx and dy for the gradient."""
        return total_bytes(self.geometry.x_shape, self.geometry.y_shape)


class AveragePoolForward(AveragePool):
    """y."""

    operation = "avg_pool2d_forward"

    @property
    def flops(self) -> int:
        """A sum over each window, and a factor."""
        return self.results * self.window**2

    def input_shapes(self) -> Sequence[Shape]:
        """x."""
        return (self.geometry.x_shape,)

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """y."""
        (x,) = arrays
        return lambda: backend.avg_pool2d_forward(x, *self.options)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """y."""
        (x,) = tensors
        return lambda: torch.nn.functional.avg_pool2d(x, *self.options)


class AveragePoolInputGrad(AveragePool):
    """dx, from dy."""

    operation = "avg_pool2d_input_grad"

    @property
    def flops(self) -> int:
        """An addition for each element of a window, and a factor for each of dy."""
        return self.results * (self.window**2 + 1)

    def input_shapes(self) -> Sequence[Shape]:
        """dy."""
        return (self.geometry.y_shape,)

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """dx."""
        (dy,) = arrays
        x_shape = self.geometry.x_shape
        return lambda: backend.avg_pool2d_input_grad(dy, x_shape, *self.options)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """dx."""
        (dy,) = tensors
        x = tensor_beside(torch, dy, self.geometry.x_shape)
        backward = torch.ops.aten.avg_pool2d_backward
        return lambda: backward(dy, x, *self.options, False, True, None)


class GlobalAveragePool(ImageProblem):
    """The mean of each channel of an image of x (N, size, size, C)."""

    @property
    def traffic(self) -> int:
        """x and y (N, C); dx and dy for the gradient."""
        return total_bytes(self.x_shape, (self.N, self.C))


class GlobalAveragePoolForward(GlobalAveragePool):
    """y."""

    operation = "global_avg_pool2d_forward"

    @property
    def flops(self) -> int:
        """A sum over all pixels, and a factor."""
        return self.elements

    def input_shapes(self) -> Sequence[Shape]:
        """x."""
        return (self.x_shape,)

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """y."""
        (x,) = arrays
        return lambda: backend.global_avg_pool2d_forward(x)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """y."""
        (x,) = tensors
        return lambda: torch.mean(x, (2, 3))


class GlobalAveragePoolInputGrad(GlobalAveragePool):
    """dx, from dy."""

    operation = "global_avg_pool2d_input_grad"

    @property
    def flops(self) -> int:
        """A factor for each element of dy."""
        return self.N * self.C

    def input_shapes(self) -> Sequence[Shape]:
        """dy."""
        return ((self.N, self.C),)

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """dx."""
        (dy,) = arrays
        return lambda: backend.global_avg_pool2d_input_grad(dy, self.x_shape)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """dx, as PyTorch's automatic differentiation makes it: a view that is divided."""
        (dy,) = tensors
        return lambda: dy[:, :, None, None].expand(-1, -1, self.size, self.size) / self.size**2


PASSES = (AveragePoolForward, AveragePoolInputGrad)
GLOBAL_PASSES = (GlobalAveragePoolForward, GlobalAveragePoolInputGrad)
