"""The fully connected layer, and the layer that flattens images for it."""

from __future__ import annotations

import math
from typing import Literal

from gpucnn import init
from gpucnn.backends.interface.arrays import Array
from gpucnn.errors import ConfigError, check_range
from gpucnn.layers.base import Layer, Parameter, Shape, layers

_MOST_FEATURES = 2**31 - 1


@layers.register("linear")
class Linear(Layer):
    """y = x · weightᵀ + bias, weight (features, inputs).

    Args:
        features: the number of outputs; "classes" for the number of classes of the data or, in a
            regression, of the numbers to predict.
        bias: whether to add a learned number to each output.
        initialiser: how the weight is drawn at first.
    """

    kind = "linear"

    def __init__(
        self,
        features: int | Literal["classes"],
        bias: bool = True,
        initialiser: init.Initialiser = "he",
    ) -> None:
        super().__init__()
        self.features, self.bias, self.initialiser = features, bias, initialiser
        if features != "classes" and (isinstance(features, str) or features < 1):
            raise ConfigError(f'linear features is {features!r}; give 1 or more, or "classes"')
        if not isinstance(features, str):
            check_range("linear features", features, 1, _MOST_FEATURES)
        init.check(initialiser)

    def _declare(self, input_shape: Shape) -> Shape:
        """(inputs,) to (features,)."""
        if len(input_shape) != 1:
            raise self.refuse(input_shape, 'it needs vectors; put a "flatten" layer before it')
        features = self.context.classes if self.features == "classes" else int(self.features)
        self.parameters["weight"] = Parameter(
            (features, input_shape[0]), self.initialiser, decay=True
        )
        if self.bias:
            self.parameters["bias"] = Parameter((features,), 0.0, decay=False)
        return (features,)

    def forward(self, x: Array) -> Array:
        """x (N, inputs) to y (N, features)."""
        return self.multiply(x)

    def multiply(self, x: Array, relu: bool = False) -> Array:
        """``forward``, with or without a ReLU in the same operation; ``backward`` is without it."""
        self._x = x
        return self.backend.matmul(
            x,
            self.parameters["weight"].value,
            transpose_b=True,
            bias=self.parameters["bias"].value if self.bias else None,
            relu=relu,
        )

    def backward(self, dy: Array) -> Array | None:
        """dweight = dyᵀ · x, dbias = Σ_n dy, dx = dy · weight."""
        weight = self.parameters["weight"]
        if weight.learns:
            self.backend.matmul(dy, self._x, transpose_a=True, out=weight.gradient)
        if self.bias and self.parameters["bias"].learns:
            self.backend.channel_sum(dy, out=self.parameters["bias"].gradient)
        if not self.needs_input_grad:
            return None
        return self.backend.matmul(dy, weight.value)

    def multiply_adds(self) -> int:
        """inputs · features."""
        return self.parameters["weight"].size


@layers.register("flatten")
class Flatten(Layer):
    """(N, …) to (N, features), without a copy."""

    kind = "flatten"
    keeps_output = passes_gradient = True  # both are views

    def _declare(self, input_shape: Shape) -> Shape:
        """Any shape to its number of elements."""
        return (math.prod(input_shape),)

    def forward(self, x: Array) -> Array:
        """Reshapes."""
        self._shape = x.shape
        return x.reshape((x.shape[0], -1))

    def backward(self, dy: Array) -> Array:
        """Reshapes back."""
        return dy.reshape(self._shape)
