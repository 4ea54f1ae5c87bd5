"""Activation layers: elementwise, of any shape."""

from __future__ import annotations

import math

from gpucnn.backends.interface.arrays import Array
from gpucnn.errors import ConfigError, check_range
from gpucnn.layers.base import Layer, Shape, layers

_LARGEST_SLOPE = 1000


class Activation(Layer):
    """An elementwise layer, which calls the operations ``KIND_forward`` and ``KIND_input_grad``.

    The numbers of these operations are attributes of the layer, under the same names.
    """

    def _declare(self, input_shape: Shape) -> Shape:
        """The shape stays."""
        return input_shape


@layers.register("relu")
class ReLU(Activation):
    """y = max(x, 0).

    Attributes:
        in_place: whether x may be overwritten; set by the container of the layer.
    """

    kind = "relu"
    keeps_output = True

    def __init__(self) -> None:
        super().__init__()
        self.in_place = False

    def forward(self, x: Array) -> Array:
        """Keeps y, which is positive where x is."""
        self._y = self.backend.relu_forward(x, out=x if self.in_place else None)
        return self._y

    def backward(self, dy: Array) -> Array:
        """dx = dy where y > 0, else 0."""
        return self.backend.relu_input_grad(dy, self._y, out=dy if self.owns_gradient else None)


@layers.register("leaky_relu")
class LeakyReLU(Activation):
    """y = x where x > 0, else slope · x.

    Args:
        slope: what negative inputs are multiplied by.

    Raises:
        ConfigError: a slope that is not finite, or larger than 1000 in magnitude.
    """

    kind = "leaky_relu"

    def __init__(self, slope: float = 0.01) -> None:
        super().__init__()
        if not math.isfinite(slope):
            raise ConfigError(f"leaky_relu slope is {slope}; it must be finite")
        check_range("leaky_relu slope", slope, -_LARGEST_SLOPE, _LARGEST_SLOPE)
        self.slope = slope

    def forward(self, x: Array) -> Array:
        """Keeps x."""
        self._x = x
        return self.backend.leaky_relu_forward(x, self.slope)

    def backward(self, dy: Array) -> Array:
        """dx = dy where x > 0, else slope · dy."""
        return self.backend.leaky_relu_input_grad(dy, self._x, self.slope)


@layers.register("sigmoid")
class Sigmoid(Activation):
    """y = 1 / (1 + exp(−x))."""

    kind = "sigmoid"
    keeps_output = True

    def forward(self, x: Array) -> Array:
        """Keeps y, because the derivative is y · (1 − y)."""
        self._y = self.backend.sigmoid_forward(x)
        return self._y

    def backward(self, dy: Array) -> Array:
        """dx = dy · y · (1 − y)."""
        return self.backend.sigmoid_input_grad(dy, self._y)


@layers.register("tanh")
class Tanh(Activation):
    """y = tanh(x)."""

    kind = "tanh"
    keeps_output = True

    def forward(self, x: Array) -> Array:
        """Keeps y, because the derivative is 1 − y²."""
        self._y = self.backend.tanh_forward(x)
        return self._y

    def backward(self, dy: Array) -> Array:
        """dx = dy · (1 − y²)."""
        return self.backend.tanh_input_grad(dy, self._y)


@layers.register("gelu")
class GELU(Activation):
    """y = x · (1 + tanh(√(2/π) · (x + 0.044715 · x³))) / 2, close to x · Φ(x)."""

    kind = "gelu"

    def forward(self, x: Array) -> Array:
        """Keeps x."""
        self._x = x
        return self.backend.gelu_forward(x)

    def backward(self, dy: Array) -> Array:
        """dx = dy · ((1 + t) + x · (1 − t²) · v′) / 2, with t = tanh(v) as in the forward pass."""
        return self.backend.gelu_input_grad(dy, self._x)
