"""Pooling layers."""

from __future__ import annotations

from typing import Literal

from gpucnn.backends.interface.arrays import Array
from gpucnn.errors import ConfigError, ShapeError, check_range
from gpucnn.layers.base import LARGEST_WINDOW, Layer, Shape, expand_to_pair, layers
from gpucnn.operations.geometry import Pair, pool2d_geometry


class _Pool2d(Layer):
    """The window, stride and padding that pooling layers share.

    Args:
        window: its height and width, one number or a pair; "global" for the whole image.
        stride: the distance between neighbouring windows, one number or a pair; None for the size
            of the window.
        padding: what is added around the input, one number or a pair (height, width).
    """

    def __init__(
        self,
        window: int | tuple[int, int] | Literal["global"] = 2,
        stride: int | tuple[int, int] | None = None,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__()
        if isinstance(window, str) and window != "global":
            raise ConfigError(f'{self.kind} window is "{window}"; give numbers, or "global"')
        self._window, self._stride = window, stride
        self.padding = expand_to_pair(padding)
        self.window: Pair = (1, 1) if isinstance(window, str) else expand_to_pair(window)
        self.stride: Pair = self.window if stride is None else expand_to_pair(stride)
        if min(self.window + self.stride) < 1 or min(self.padding) < 0:
            raise ConfigError(
                f"{self.kind} with window={window}, stride={stride}, padding={padding}: window "
                f"and stride must be 1 or more, padding not negative"
            )
        for name, pair in (
            ("window", self.window),
            ("stride", self.stride),
            ("padding", self.padding),
        ):
            check_range(f"{self.kind} {name}", max(pair), 0, LARGEST_WINDOW)

    def _declare(self, input_shape: Shape) -> Shape:
        """(H, W, C) to (P, Q, C)."""
        H, W, C = self.take_image(input_shape)
        if self._window == "global":
            self.window = (H, W)
            self.stride = self.window if self._stride is None else expand_to_pair(self._stride)
        try:
            problem = pool2d_geometry((1, H, W, C), self.window, self.stride, self.padding)
        except ShapeError as error:
            raise self.refuse(input_shape, str(error)) from None
        return problem.y_shape[1:]


@layers.register("max_pool2d")
class MaxPool2d(_Pool2d):
    """The maximum of each window; the gradient goes to where it was."""

    kind = "max_pool2d"

    def forward(self, x: Array) -> Array:
        """x (N, H, W, C) to y (N, P, Q, C)."""
        self._x_shape = x.shape
        y, self._argmax = self.backend.max_pool2d_forward(
            x, window=self.window, stride=self.stride, padding=self.padding
        )
        return y

    def backward(self, dy: Array) -> Array:
        """Routes each element of dy to the winner of its window."""
        return self.backend.max_pool2d_input_grad(
            dy,
            self._argmax,
            self._x_shape,
            window=self.window,
            stride=self.stride,
            padding=self.padding,
        )


@layers.register("avg_pool2d")
class AvgPool2d(_Pool2d):
    """The mean of each window; padding counts, as zeros."""

    kind = "avg_pool2d"

    def forward(self, x: Array) -> Array:
        """x (N, H, W, C) to y (N, P, Q, C)."""
        self._x_shape = x.shape
        return self.backend.avg_pool2d_forward(
            x, window=self.window, stride=self.stride, padding=self.padding
        )

    def backward(self, dy: Array) -> Array:
        """Spreads each element of dy evenly over its window."""
        return self.backend.avg_pool2d_input_grad(
            dy, self._x_shape, window=self.window, stride=self.stride, padding=self.padding
        )


@layers.register("global_avg_pool2d")
class GlobalAvgPool2d(Layer):
    """The mean over height and width: images to vectors of channels."""

    kind = "global_avg_pool2d"

    def _declare(self, input_shape: Shape) -> Shape:
        """(H, W, C) to (C,)."""
        return (self.take_image(input_shape)[2],)

    def forward(self, x: Array) -> Array:
        """x (N, H, W, C) to y (N, C)."""
        self._x_shape = x.shape
        return self.backend.global_avg_pool2d_forward(x)

    def backward(self, dy: Array) -> Array:
        """Spreads dy (N, C) evenly over height and width."""
        return self.backend.global_avg_pool2d_input_grad(dy, self._x_shape)
