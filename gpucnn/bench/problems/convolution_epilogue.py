"""Convolutions that go on with their results to time: a bias, a residual, a ReLU."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from gpucnn.backends.base import Backend
from gpucnn.backends.geometry import Shape
from gpucnn.backends.interface.arrays import Array
from gpucnn.bench.problems.base import total_bytes
from gpucnn.bench.problems.convolution import ConvolutionForward
from gpucnn.bench.timing import Run


class ConvolutionBias(ConvolutionForward):
    """y from x, w and a bias.

    Attributes:
        adds_residual: whether an array like y is added behind the bias.
        has_relu: whether a ReLU ends it.
    """

    adds_residual: ClassVar[bool] = False
    has_relu: ClassVar[bool] = False

    @property
    def shape_text(self) -> str:
        """Such as "64×56×56×64, 64 of 3×3, bias, residual, ReLU"."""
        parts = [super().shape_text, "bias"]
        parts += ["residual"] if self.adds_residual else []
        parts += ["ReLU"] if self.has_relu else []
        return ", ".join(parts)

    @property
    def flops(self) -> int:
        """An addition, or a comparison, for each result and each part of the epilogue more."""
        parts = 1 + self.adds_residual + self.has_relu
        return super().flops + parts * math.prod(self.geometry.y_shape)

    @property
    def traffic(self) -> int:
        """The bias and the residual more."""
        return super().traffic + total_bytes(*self.input_shapes()[2:])

    def input_shapes(self) -> Sequence[Shape]:
        """x, w, bias and residual."""
        residual = (self.geometry.y_shape,) * self.adds_residual
        return *super().input_shapes(), (self.K,), *residual

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """y."""
        x, w, bias, *rest = arrays
        residual = rest[0] if rest else None
        return lambda: backend.conv2d_forward(
            x, w, bias, *self.options, residual=residual, relu=self.has_relu
        )

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """y; what comes behind the bias is a call each, in place."""
        x, w, bias, *residual = tensors

        def run() -> Any:
            y = torch.nn.functional.conv2d(x, w, bias, *self.options)
            for each in residual:
                y = y.add_(each)
            return torch.relu_(y) if self.has_relu else y

        return run


class ConvolutionBiasRelu(ConvolutionBias):
    """With a ReLU."""

    has_relu = True


class ConvolutionBiasAddRelu(ConvolutionBias):
    """With a sum and a ReLU: the end of a residual block whose normalisation is in its filters."""

    adds_residual, has_relu = True, True


def epilogues(name: str, *sizes: int) -> tuple[ConvolutionBias, ...]:
    """All of them; the sizes are those of a ``Convolution``."""
    return (
        ConvolutionBias(f"{name}-bias", *sizes),
        ConvolutionBiasRelu(f"{name}-bias-relu", *sizes),
        ConvolutionBiasAddRelu(f"{name}-bias-add-relu", *sizes),
    )
