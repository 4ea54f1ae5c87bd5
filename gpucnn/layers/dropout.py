"""Dropout."""

from __future__ import annotations

import math

from gpucnn.backends.interface.arrays import Array
from gpucnn.errors import ConfigError
from gpucnn.layers.base import Layer, Shape, layers
from gpucnn.random import Stream

_HIGHEST_RATE = 0.999999
"""What is kept is divided by 1 − rate, which must not be 0 in FP32."""


@layers.register("dropout")
class Dropout(Layer):
    """Zeroes each element with probability ``rate`` in training and scales up the rest.

    The mask depends on the seed, this layer's place among the dropouts, the step and the
    element's place in the global batch.

    Args:
        rate: the probability, at least 0 and below 1.

    Raises:
        ConfigError: a rate out of range.

    Attributes:
        index: the layer's number among the network's dropout layers.
    """

    kind = "dropout"
    keeps_output = passes_gradient = True  # in inference both are the input itself

    def __init__(self, rate: float = 0.5) -> None:
        super().__init__()
        if not 0.0 <= rate <= _HIGHEST_RATE:
            raise ConfigError(
                f"dropout rate is {rate}; it must be at least 0 and below 1 (at most "
                f"{_HIGHEST_RATE})"
            )
        self.rate = rate
        self.index = 0

    def _declare(self, input_shape: Shape) -> Shape:
        """The shape stays."""
        return input_shape

    def forward(self, x: Array) -> Array:
        """x itself in inference."""
        self._mask = None
        if not self.context.training:
            return x
        y, self._mask = self.backend.dropout_forward(
            x,
            self.rate,
            seed=self.context.seed,
            stream=Stream.DROPOUT.of_layer(self.index),
            step=self.context.step,
            offset=self.context.first_sample * math.prod(x.shape[1:]),
        )
        return y

    def backward(self, dy: Array) -> Array:
        """The same mask and scale."""
        if self._mask is None:
            return dy
        return self.backend.dropout_input_grad(dy, self._mask, self.rate)
