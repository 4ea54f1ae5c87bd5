"""Fused layers: one operation for neighbours that could be two, put in their place by one pass.

A fused layer is a step of a ``Sequential``, not one of its layers: names, parameters, buffers and
shapes stay those of the parts, and so do checkpoints and initial weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gpucnn.backends.interface.arrays import Array
from gpucnn.layers.activation import ReLU
from gpucnn.layers.base import Layer, Shape
from gpucnn.layers.containers import Sequential
from gpucnn.layers.normalisation import BatchNorm2d


class BatchNormReLU2d(Layer):
    """A ``BatchNorm2d`` with a ``ReLU`` behind it. It keeps x, not y.

    Args:
        norm: attached already; its parameters and buffers are used.
    """

    kind = "batch_norm_relu2d"

    def __init__(self, norm: BatchNorm2d) -> None:
        super().__init__()
        self.parameters, self.buffers = norm.parameters, norm.buffers
        self.momentum, self.epsilon = norm.momentum, norm.epsilon
        self.attach(norm.context, norm.name)

    def _declare(self, input_shape: Shape) -> Shape:
        """The shape stays."""
        return input_shape

    def forward(self, x: Array) -> Array:
        """By the batch's statistics in training, by the running ones otherwise."""
        scale, shift = self.parameters["scale"].value, self.parameters["shift"].value
        mean, variance = self.buffers["running_mean"].value, self.buffers["running_variance"].value
        if not self.context.training:
            return self.backend.batch_norm_relu_inference(
                x, scale, shift, mean, variance, self.epsilon
            )
        self._x = x
        y, self._mean, self._inverse_std = self.backend.batch_norm_relu_forward(
            x, scale, shift, mean, variance, self.momentum, self.epsilon
        )
        return y

    def backward(self, dy: Array) -> Array:
        """Both chain rules in one operation."""
        scale, shift = self.parameters["scale"], self.parameters["shift"]
        dx, _, _ = self.backend.batch_norm_relu_gradients(
            dy,
            self._x,
            scale.value,
            shift.value,
            self._mean,
            self._inverse_std,
            dscale=scale.gradient,
            dshift=shift.gradient,
            dx=dy if self.owns_gradient else None,
        )
        return dx


def fuse_layers(network: Layer) -> None:
    """Puts fused layers in the place of their parts, in all ``Sequential`` within."""
    for part in _sequentials(network):
        part.run(_fused(part.layers))


@contextmanager
def unfused(network: Layer) -> Iterator[None]:
    """Within the block, every layer runs by itself."""
    parts = list(_sequentials(network))
    before = [part.steps for part in parts]
    for part in parts:
        part.run(part.layers)
    try:
        yield
    finally:
        for part, steps in zip(parts, before, strict=True):
            part.run(steps)


def _fused(layers: list[Layer]) -> list[Layer]:
    steps: list[Layer] = []
    for layer in layers:
        if isinstance(layer, ReLU) and steps and isinstance(steps[-1], BatchNorm2d):
            steps[-1] = BatchNormReLU2d(steps[-1])
        else:
            steps.append(layer)
    return steps


def _sequentials(network: Layer) -> Iterator[Sequential]:
    return (part for part in network.walk() if isinstance(part, Sequential))
