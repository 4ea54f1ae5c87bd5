"""Batch normalisation to time: in training, in inference, and the gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.base import Backend
from gpucnn.backends.geometry import Shape
from gpucnn.backends.interface.arrays import Array
from gpucnn.bench.problems.base import ImageProblem, total_bytes
from gpucnn.bench.timing import Run

_MOMENTUM, _EPSILON = 0.1, 1e-5


class BatchNorm(ImageProblem):
    """Batch normalisation of x (N, size, size, C), and what comes behind it.

    Attributes:
        adds_residual: whether an array like x is added.
        has_relu: whether a ReLU ends it.
        images_moved: how often arrays like x are read or written; the vectors are nothing to them.
    """

    adds_residual: ClassVar[bool] = False
    has_relu: ClassVar[bool] = False
    images_moved: ClassVar[int]

    @property
    def traffic(self) -> int:
        """No cache holds an image from one pass over it to the next."""
        return self.images_moved * total_bytes(self.x_shape)

    @property
    def _behind(self) -> int:
        """Operations of the sum and of the ReLU for each element."""
        return self.adds_residual + self.has_relu

    def _values_shapes(self) -> Sequence[Shape]:
        """x, the residual, scale and shift, in the order in which operations take them."""
        images = (self.x_shape,) * (1 + self.adds_residual)
        return *images, (self.C,), (self.C,)

    def _torch_end(self, torch: Any, y: Any, residual: Sequence[Any]) -> Any:
        """The sum and the ReLU, in place."""
        for each in residual:
            y = y.add_(each)
        return torch.relu_(y) if self.has_relu else y


class BatchNormForward(BatchNorm):
    """y, and the batch's statistics: x is read for these, and again for y."""

    operation = "batch_norm_forward"
    images_moved = 3

    @property
    def flops(self) -> int:
        """A sum, a sum of squares of differences, a multiply-add, and what comes behind."""
        return (6 + self._behind) * self.elements

    def input_shapes(self) -> Sequence[Shape]:
        """x, the residual, scale and shift."""
        return self._values_shapes()

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """y, mean and inverse standard deviation."""
        running = backend.zeros((self.C,)), backend.zeros((self.C,))
        forward = getattr(backend, self.operation)
        return lambda: forward(*arrays, *running, _MOMENTUM, _EPSILON)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """y; what comes behind is a call each."""
        x, *residual, scale, shift = tensors
        running = torch.zeros_like(scale), torch.zeros_like(scale)
        batch_norm = torch.nn.functional.batch_norm

        def run() -> Any:
            y = batch_norm(x, *running, scale, shift, True, _MOMENTUM, _EPSILON)
            return self._torch_end(torch, y, residual)

        return run


class BatchNormReluForward(BatchNormForward):
    """With a ReLU behind it."""

    operation = "batch_norm_relu_forward"
    has_relu = True


class BatchNormAddReluForward(BatchNormForward):
    """With a sum and a ReLU behind it: the end of a residual block."""

    operation = "batch_norm_add_relu_forward"
    images_moved = 4
    adds_residual, has_relu = True, True


class BatchNormInference(BatchNorm):
    """y by given statistics."""

    operation = "batch_norm_inference"
    images_moved = 2

    @property
    def flops(self) -> int:
        """A multiply-add, and what comes behind."""
        return (2 + self._behind) * self.elements

    def input_shapes(self) -> Sequence[Shape]:
        """x, the residual, scale, shift, mean and variance."""
        return *self._values_shapes(), (self.C,), (self.C,)

    def inputs(self) -> list[NDArray[np.float32]]:
        """As everywhere; a variance is not negative."""
        *others, variance = super().inputs()
        return [*others, np.abs(variance)]

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """y."""
        inference = getattr(backend, self.operation)
        return lambda: inference(*arrays, _EPSILON)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """y; what comes behind is a call each."""
        x, *residual, scale, shift, mean, variance = tensors
        batch_norm = torch.nn.functional.batch_norm

        def run() -> Any:
            y = batch_norm(x, mean, variance, scale, shift, False, _MOMENTUM, _EPSILON)
            return self._torch_end(torch, y, residual)

        return run


class BatchNormReluInference(BatchNormInference):
    """With a ReLU behind it."""

    operation = "batch_norm_relu_inference"
    has_relu = True


class BatchNormAddReluInference(BatchNormInference):
    """With a sum and a ReLU behind it."""

    operation = "batch_norm_add_relu_inference"
    images_moved = 3
    adds_residual, has_relu = True, True


class BatchNormGradients(BatchNorm):
    """dx, dscale and dshift: x and dy are read for the sums, and again for dx."""

    operation = "batch_norm_gradients"
    images_moved = 5

    @property
    def flops(self) -> int:
        """Two sums, one of them of products of differences, and two multiply-adds."""
        return 8 * self.elements

    def input_shapes(self) -> Sequence[Shape]:
        """x, the residual, scale, shift and dy."""
        return *self._values_shapes(), self.x_shape

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """dx, dscale and dshift."""
        x, scale, shift, dy = arrays
        running = backend.zeros((self.C,)), backend.zeros((self.C,))
        _, mean, inverse_std = backend.batch_norm_forward(
            x, scale, shift, *running, _MOMENTUM, _EPSILON
        )
        return lambda: backend.batch_norm_gradients(dy, x, scale, mean, inverse_std)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """dx, dscale, dshift and the residual's, by PyTorch's automatic differentiation."""
        *values, dy = tensors
        x, *residual, scale, shift = (tensor.detach().requires_grad_() for tensor in values)
        running = torch.zeros_like(values[-1]), torch.zeros_like(values[-1])
        y = torch.nn.functional.batch_norm(x, *running, scale, shift, True, _MOMENTUM, _EPSILON)
        y = self._torch_end(torch, y, residual)
        inputs = x, scale, shift, *residual
        return lambda: torch.autograd.grad(y, inputs, dy, retain_graph=True)


class BatchNormReluGradients(BatchNormGradients):
    """Of normalisation with a ReLU, whose result is computed again from x."""

    operation = "batch_norm_relu_gradients"
    has_relu = True

    @property
    def flops(self) -> int:
        """A multiply-add and a comparison more."""
        return super().flops + 3 * self.elements

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """dx, dscale and dshift."""
        x, scale, shift, dy = arrays
        running = backend.zeros((self.C,)), backend.zeros((self.C,))
        _, mean, inverse_std = backend.batch_norm_relu_forward(
            x, scale, shift, *running, _MOMENTUM, _EPSILON
        )
        return lambda: backend.batch_norm_relu_gradients(dy, x, scale, shift, mean, inverse_std)


class BatchNormAddReluGradients(BatchNormGradients):
    """Of normalisation with a sum and a ReLU.

    x, y and dy are read for the sums, dresidual is written and with x read again, for dx.
    """

    operation = "batch_norm_add_relu_gradients"
    images_moved = 7
    adds_residual, has_relu = True, True

    @property
    def flops(self) -> int:
        """A comparison more."""
        return super().flops + self.elements

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """dx, dscale, dshift and dresidual."""
        x, residual, scale, shift, dy = arrays
        running = backend.zeros((self.C,)), backend.zeros((self.C,))
        y, mean, inverse_std = backend.batch_norm_add_relu_forward(
            x, residual, scale, shift, *running, _MOMENTUM, _EPSILON
        )
        return lambda: backend.batch_norm_add_relu_gradients(dy, y, x, scale, mean, inverse_std)


PASSES = (
    BatchNormForward,
    BatchNormReluForward,
    BatchNormAddReluForward,
    BatchNormInference,
    BatchNormReluInference,
    BatchNormAddReluInference,
    BatchNormGradients,
    BatchNormReluGradients,
    BatchNormAddReluGradients,
)
