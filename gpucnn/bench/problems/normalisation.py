"""Batch normalisation to time, in training: forward and its three gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gpucnn.backends.base import Backend
from gpucnn.backends.geometry import Shape
from gpucnn.backends.interface.arrays import Array
from gpucnn.bench.problems.base import Problem, total_bytes
from gpucnn.bench.timing import Run

_MOMENTUM, _EPSILON = 0.1, 1e-5


@dataclass(frozen=True)
class BatchNorm(Problem):
    """Batch normalisation of x (N, size, size, C)."""

    name: str
    N: int
    size: int
    C: int

    @property
    def x_shape(self) -> Shape:
        """(N, size, size, C)."""
        return self.N, self.size, self.size, self.C

    @property
    def shape_text(self) -> str:
        """Such as "64×56×56×64"."""
        return f"{self.N}×{self.size}×{self.size}×{self.C}"

    @property
    def elements(self) -> int:
        """Of x."""
        return self.N * self.size * self.size * self.C


class BatchNormForward(BatchNorm):
    """y, and the batch's statistics."""

    operation = "batch_norm_forward"

    @property
    def flops(self) -> int:
        """A sum, a sum of squares of differences, and a multiply-add."""
        return 6 * self.elements

    @property
    def traffic(self) -> int:
        """x is read for the statistics, and again for y: no cache holds it in between."""
        return total_bytes(self.x_shape, self.x_shape, self.x_shape)

    def input_shapes(self) -> Sequence[Shape]:
        """x, scale and shift."""
        return self.x_shape, (self.C,), (self.C,)

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """y, mean and inverse standard deviation."""
        running = backend.zeros((self.C,)), backend.zeros((self.C,))
        x, scale, shift = arrays
        return lambda: backend.batch_norm_forward(x, scale, shift, *running, _MOMENTUM, _EPSILON)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """y."""
        x, scale, shift = tensors
        running = torch.zeros_like(scale), torch.zeros_like(scale)
        return lambda: torch.nn.functional.batch_norm(
            x, *running, scale, shift, True, _MOMENTUM, _EPSILON
        )


class BatchNormGradients(BatchNorm):
    """dx, dscale and dshift."""

    operation = "batch_norm_gradients"

    @property
    def flops(self) -> int:
        """Two sums, one of them of products of differences, and two multiply-adds."""
        return 8 * self.elements

    @property
    def traffic(self) -> int:
        """x and dy are read for the sums, and again for dx."""
        return total_bytes(*[self.x_shape] * 5)

    def input_shapes(self) -> Sequence[Shape]:
        """x, scale, shift and dy."""
        return self.x_shape, (self.C,), (self.C,), self.x_shape

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """dx, dscale and dshift."""
        x, scale, shift, dy = arrays
        running = backend.zeros((self.C,)), backend.zeros((self.C,))
        _, mean, inverse_std = backend.batch_norm_forward(
            x, scale, shift, *running, _MOMENTUM, _EPSILON
        )
        return lambda: backend.batch_norm_gradients(dy, x, scale, mean, inverse_std)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """dx, dscale and dshift, by PyTorch's automatic differentiation."""
        x, scale, shift = (tensor.detach().requires_grad_() for tensor in tensors[:3])
        running = torch.zeros_like(tensors[1]), torch.zeros_like(tensors[1])
        y = torch.nn.functional.batch_norm(x, *running, scale, shift, True, _MOMENTUM, _EPSILON)
        inputs = x, scale, shift
        return lambda: torch.autograd.grad(y, inputs, tensors[3], retain_graph=True)


PASSES = (BatchNormForward, BatchNormGradients)
