"""Batch normalisation."""

from __future__ import annotations

from gpucnn.backends.interface.arrays import Array
from gpucnn.errors import ConfigError
from gpucnn.layers.base import Buffer, Layer, Parameter, Shape, layers

_SMALLEST_EPSILON = 1e-30
"""Its root still has an inverse in FP32."""


@layers.register("batch_norm2d")
class BatchNorm2d(Layer):
    """Normalises each channel over the batch, then scales and shifts it.

    In inference it normalises by running averages of what it saw in training. So does a frozen
    layer in training too, and its running averages stay as they are.

    Args:
        momentum: the weight of the present batch in the running averages.
        epsilon: added to the variance.
    """

    kind = "batch_norm2d"

    def __init__(self, momentum: float = 0.1, epsilon: float = 1e-5) -> None:
        super().__init__()
        if not 0.0 < momentum <= 1.0 or not _SMALLEST_EPSILON <= epsilon <= 1.0:
            raise ConfigError(
                f"batch_norm2d with momentum={momentum}, epsilon={epsilon}: momentum must be "
                f"above 0 and at most 1, epsilon from {_SMALLEST_EPSILON} to 1"
            )
        self.momentum, self.epsilon = momentum, epsilon

    def _declare(self, input_shape: Shape) -> Shape:
        """The shape stays."""
        channels = (self.take_image(input_shape)[2],)
        self.parameters["scale"] = Parameter(channels, 1.0, decay=False)
        self.parameters["shift"] = Parameter(channels, 0.0, decay=False)
        self.buffers["running_mean"] = Buffer(channels, 0.0)
        self.buffers["running_variance"] = Buffer(channels, 1.0)
        return input_shape

    def forward(self, x: Array) -> Array:
        """By the batch's statistics in training, by the running ones otherwise, or if frozen."""
        return self.normalise(x)

    def normalise(self, x: Array, residual: Array | None = None, relu: bool = False) -> Array:
        """``forward`` with a residual like x and a ReLU in the same operation, if wanted.

        ``backward`` knows of neither. In training, unless the layer is frozen, ``kept`` is what the
        gradients need: x, and the mean and the inverse standard deviation of the batch.
        """
        scale, shift = self.parameters["scale"].value, self.parameters["shift"].value
        mean, variance = self.buffers["running_mean"].value, self.buffers["running_variance"].value
        if not self.context.training or self.is_frozen:
            return self.backend.batch_norm_inference(
                x, scale, shift, mean, variance, self.epsilon, residual=residual, relu=relu
            )
        y, *statistics = self.backend.batch_norm_forward(
            x,
            scale,
            shift,
            mean,
            variance,
            self.momentum,
            self.epsilon,
            residual=residual,
            relu=relu,
        )
        self.kept = x, *statistics
        return y

    def backward(self, dy: Array) -> Array:
        """The gradient through the batch's own mean and variance too, unless they were not used."""
        if self.is_frozen:
            return self._scaled(dy)
        scale, shift = self.parameters["scale"], self.parameters["shift"]
        x, mean, inverse_std = self.kept
        dx, _, _ = self.backend.batch_norm_gradients(
            dy,
            x,
            scale.value,
            mean,
            inverse_std,
            dscale=scale.gradient,
            dshift=shift.gradient,
            dx=dy if self.owns_gradient else None,
        )
        return dx

    def _scaled(self, dy: Array) -> Array:
        """dx = dy · scale / √(running_variance + ε): by given statistics, y is linear in x."""
        scale, variance = self.parameters["scale"].value, self.buffers["running_variance"].value
        zero = self.backend.zeros(scale.shape)
        return self.backend.batch_norm_inference(dy, scale, zero, zero, variance, self.epsilon)
