"""The convolutional layer."""

from __future__ import annotations

import math
from typing import Literal

from gpucnn import init
from gpucnn.backends.interface.arrays import Array
from gpucnn.errors import ConfigError, ShapeError, check_range
from gpucnn.layers.base import (
    LARGEST_WINDOW,
    MOST_CHANNELS,
    Layer,
    Parameter,
    Shape,
    expand_to_pair,
    layers,
)
from gpucnn.operations.geometry import Pair, Sides, conv2d_geometry, same_padding


@layers.register("conv2d")
class Conv2d(Layer):
    """Convolution (cross-correlation) with learned filters.

    Args:
        filters: K, the number of output channels.
        kernel: the filters' height and width, one number or a pair.
        stride: the distance between neighbouring windows, one number or a pair (height, width).
        padding: zeros around the input: one number, a pair (height, width), ((top, bottom),
            (left, right)), or "same" for an output of ceil(input / stride).
        dilation: the distance between neighbouring taps of a filter, one number or a pair.
        groups: how many independent groups the input channels and the filters are divided into.
        bias: whether to add a learned number to each output channel.
        initialiser: how the filters are drawn at first.
    """

    kind = "conv2d"

    def __init__(
        self,
        filters: int,
        kernel: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int | Pair, int | Pair] | Literal["same"] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        initialiser: init.Initialiser = "he",
    ) -> None:
        super().__init__()
        self.filters, self.groups, self.bias = filters, groups, bias
        self.kernel, self.stride = expand_to_pair(kernel), expand_to_pair(stride)
        self.dilation = expand_to_pair(dilation)
        self._padding = padding
        self.padding: Sides = ((0, 0), (0, 0))
        self.initialiser = initialiser
        if min(filters, groups, *self.kernel, *self.stride, *self.dilation) < 1:
            raise ConfigError(
                f"conv2d with filters={filters}, kernel={kernel}, stride={stride}, "
                f"dilation={dilation}, groups={groups}: each must be 1 or more"
            )
        if isinstance(padding, str) and padding != "same":
            raise ConfigError(f'conv2d padding is "{padding}"; give numbers, or "same"')
        if not isinstance(padding, str) and _smallest(padding) < 0:
            raise ConfigError(f"conv2d padding is {padding}; it must not be negative")
        check_range("conv2d filters", filters, 1, MOST_CHANNELS)
        for name, sides in (
            ("kernel", self.kernel),
            ("stride", self.stride),
            ("dilation", self.dilation),
            ("padding", () if isinstance(padding, str) else (_largest(padding),)),
        ):
            check_range(f"conv2d {name}", max(sides, default=0), 0, LARGEST_WINDOW)
        init.check(initialiser)

    def _declare(self, input_shape: Shape) -> Shape:
        """(H, W, C) to (P, Q, K)."""
        H, W, C = self.take_image(input_shape)
        self.padding = self._sides(H, W)
        if C % self.groups or self.filters % self.groups:
            raise self.refuse(
                input_shape, f"groups={self.groups} must divide C={C} and filters={self.filters}"
            )
        w_shape = (self.filters, *self.kernel, C // self.groups)
        try:
            problem = conv2d_geometry(
                (1, H, W, C), w_shape, self.stride, self.padding, self.dilation, self.groups
            )
        except ShapeError as error:
            raise self.refuse(input_shape, str(error)) from None
        self.parameters["weight"] = Parameter(w_shape, self.initialiser, decay=True)
        if self.bias:
            self.parameters["bias"] = Parameter((self.filters,), 0.0, decay=False)
        return problem.y_shape[1:]

    def _sides(self, H: int, W: int) -> Sides:
        if isinstance(self._padding, str):
            return (
                same_padding(H, self.kernel[0], self.stride[0], self.dilation[0]),
                same_padding(W, self.kernel[1], self.stride[1], self.dilation[1]),
            )
        height, width = (
            (self._padding, self._padding) if isinstance(self._padding, int) else self._padding
        )
        return expand_to_pair(height), expand_to_pair(width)

    def forward(self, x: Array) -> Array:
        """x (N, H, W, C) to y (N, P, Q, K)."""
        return self.convolve(x)

    def convolve(self, x: Array, residual: Array | None = None, relu: bool = False) -> Array:
        """``forward`` with a residual (N, P, Q, K) and a ReLU in the same operation, if wanted.

        ``backward`` knows of neither.
        """
        self._x = x
        return self.backend.conv2d_forward(
            x,
            self.parameters["weight"].value,
            self.parameters["bias"].value if self.bias else None,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
            residual=residual,
            relu=relu,
        )

    def backward(self, dy: Array) -> Array | None:
        """dy (N, P, Q, K) to dx (N, H, W, C), the filter gradient and the bias gradient."""
        x, weight = self._x, self.parameters["weight"]
        if weight.learns:
            self.backend.conv2d_filter_grad(
                x,
                dy,
                weight.shape,
                stride=self.stride,
                padding=self.padding,
                dilation=self.dilation,
                groups=self.groups,
                out=weight.gradient,
            )
        if self.bias and self.parameters["bias"].learns:
            self.backend.channel_sum(dy, out=self.parameters["bias"].gradient)
        if not self.needs_input_grad:
            return None
        return self.backend.conv2d_input_grad(
            dy,
            weight.value,
            x.shape,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )

    def multiply_adds(self) -> int:
        """P·Q·K·R·S·C/groups."""
        return math.prod(self.output_shape[:2]) * self.parameters["weight"].size


def _largest(padding: int | tuple[int | Pair, int | Pair]) -> int:
    return padding if isinstance(padding, int) else max(_largest(side) for side in padding)


def _smallest(padding: int | tuple[int | Pair, int | Pair]) -> int:
    return padding if isinstance(padding, int) else min(_smallest(side) for side in padding)
