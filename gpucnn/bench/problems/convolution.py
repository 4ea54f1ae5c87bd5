"""Convolutions to time, in their three passes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from gpucnn.backends.base import Backend
from gpucnn.backends.geometry import Conv2dGeometry, Pair, Shape, conv2d_geometry
from gpucnn.backends.interface.arrays import Array
from gpucnn.backends.variants import Pass, Variant, conv2d_variants
from gpucnn.bench.problems.base import Problem, tensor_beside, total_bytes
from gpucnn.bench.timing import Run


@dataclass(frozen=True)
class Convolution(Problem):
    """A pass of a convolution of x (N, size, size, C) with K filters of (kernel, kernel)."""

    which: ClassVar[Pass]
    name: str
    N: int
    size: int
    C: int
    K: int
    kernel: int
    stride: int = 1
    padding: int = 0
    groups: int = 1

    @cached_property
    def geometry(self) -> Conv2dGeometry:
        """All sizes."""
        x_shape = (self.N, self.size, self.size, self.C)
        w_shape = (self.K, self.kernel, self.kernel, self.C // self.groups)
        return conv2d_geometry(x_shape, w_shape, *self.options)

    @property
    def options(self) -> tuple[Pair, Pair, Pair, int]:
        """Stride, padding, dilation and groups, in the order in which operations take them."""
        stride, padding = (self.stride, self.stride), (self.padding, self.padding)
        return stride, padding, (1, 1), self.groups

    @property
    def shape_text(self) -> str:
        """Such as "64×56×56×64, 64 of 3×3/2"."""
        image = f"{self.N}×{self.size}×{self.size}×{self.C}"
        stride = f"/{self.stride}" if self.stride > 1 else ""
        groups = f", {self.groups} groups" if self.groups > 1 else ""
        return f"{image}, {self.K} of {self.kernel}×{self.kernel}{stride}{groups}"

    @property
    def flops(self) -> int:
        """The same in each pass; taps on the padding count."""
        return 2 * self.geometry.multiply_adds

    @property
    def traffic(self) -> int:
        """The same in each pass: two of x, w and y are read and the third is written."""
        return total_bytes(self.geometry.x_shape, self.geometry.w_shape, self.geometry.y_shape)

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The kernels that can do it."""
        return conv2d_variants(self.geometry, self.which)

    def _torch_backward(self, torch: Any, dy: Any, x: Any, w: Any, wanted: list[bool]) -> Any:
        """PyTorch's gradients of x, of w and of the bias, those that are wanted."""
        stride, padding, dilation, groups = self.options
        return torch.ops.aten.convolution_backward(
            dy, x, w, None, stride, padding, dilation, False, [0, 0], groups, wanted
        )

    @abstractmethod
    def input_shapes(self) -> Sequence[Shape]:
        """Of the pass."""


class ConvolutionForward(Convolution):
    """y from x and w."""

    operation = "conv2d_forward"
    which = Pass.FORWARD

    def input_shapes(self) -> Sequence[Shape]:
        """x and w."""
        return self.geometry.x_shape, self.geometry.w_shape

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """y."""
        x, w = arrays
        return lambda: backend.conv2d_forward(x, w, None, *self.options)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """y."""
        x, w = tensors
        return lambda: torch.nn.functional.conv2d(x, w, None, *self.options)


class ConvolutionInputGrad(Convolution):
    """dx from dy and w."""

    operation = "conv2d_input_grad"
    which = Pass.INPUT_GRAD

    def input_shapes(self) -> Sequence[Shape]:
        """dy and w."""
        return self.geometry.y_shape, self.geometry.w_shape

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """dx."""
        dy, w = arrays
        return lambda: backend.conv2d_input_grad(dy, w, self.geometry.x_shape, *self.options)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """dx; of x, which PyTorch asks for, only the shape and the format count."""
        dy, w = tensors
        x = tensor_beside(torch, dy, self.geometry.x_shape)
        return lambda: self._torch_backward(torch, dy, x, w, [True, False, False])[0]


class ConvolutionFilterGrad(Convolution):
    """dw from x and dy."""

    operation = "conv2d_filter_grad"
    which = Pass.FILTER_GRAD

    def input_shapes(self) -> Sequence[Shape]:
        """x and dy."""
        return self.geometry.x_shape, self.geometry.y_shape

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """dw."""
        x, dy = arrays
        return lambda: backend.conv2d_filter_grad(x, dy, self.geometry.w_shape, *self.options)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """dw; of w, which PyTorch asks for, only the shape and the format count."""
        x, dy = tensors
        w = tensor_beside(torch, x, self.geometry.w_shape)
        return lambda: self._torch_backward(torch, dy, x, w, [False, True, False])[1]


PASSES = (ConvolutionForward, ConvolutionInputGrad, ConvolutionFilterGrad)
