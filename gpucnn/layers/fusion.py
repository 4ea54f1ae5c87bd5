"""Fused layers: one operation in place of several, put there by one pass over the network.

A fused layer is a step of a ``Sequential``, not one of its layers: names, parameters, buffers and
shapes stay those of the parts, and so do checkpoints and initial weights. A convolution, a linear
layer and batch normalisation include the ReLU after them in their operation. A residual block that
ends with batch normalisation includes the sum and the ReLU in it; one that ends with a convolution,
or with a frozen batch normalisation, includes the sum in it, and the ReLU if there is one.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

from gpucnn.backends.interface.arrays import Array
from gpucnn.layers.activation import ReLU
from gpucnn.layers.base import Layer, Shape
from gpucnn.layers.containers import Observer, Residual, Sequential
from gpucnn.layers.convolution import Conv2d
from gpucnn.layers.linear import Linear
from gpucnn.layers.normalisation import BatchNorm2d


class _Fused(Layer):
    """A step in place of a layer and others; it has that layer's name, parameters and buffers."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self._layer = layer
        self.parameters, self.buffers = layer.parameters, layer.buffers
        self.needs_input_grad, self.needs_backward = layer.needs_input_grad, layer.needs_backward
        self.attach(layer.context, layer.name)

    def _declare(self, input_shape: Shape) -> Shape:
        """The layer's output shape, which the rest of the operation keeps."""
        return self._layer.declare(input_shape)


class _ProductReLU(_Fused):
    """A layer with a ReLU in its operation; the layer itself computes the gradients."""

    keeps_output = True

    @abstractmethod
    def _rectified(self, x: Array) -> Array:
        """The layer's output with the ReLU after it."""

    def forward(self, x: Array) -> Array:
        """Keeps y, which is positive where the layer's own output is."""
        self._y = self._rectified(x)
        return self._y

    def backward(self, dy: Array) -> Array | None:
        """dy where y > 0, through the layer."""
        out = dy if self.owns_gradient else None
        return self._layer.backward(self.backend.relu_input_grad(dy, self._y, out=out))


class Conv2dReLU(_ProductReLU):
    """A ``Conv2d`` with a ``ReLU`` after it.

    Args:
        convolution: attached already.
    """

    kind = "conv2d_relu"

    def __init__(self, convolution: Conv2d) -> None:
        super().__init__(convolution)
        self.convolution = convolution

    def _rectified(self, x: Array) -> Array:
        return self.convolution.convolve(x, relu=True)


class LinearReLU(_ProductReLU):
    """A ``Linear`` with a ``ReLU`` after it.

    Args:
        linear: attached already.
    """

    kind = "linear_relu"

    def __init__(self, linear: Linear) -> None:
        super().__init__(linear)
        self.linear = linear

    def _rectified(self, x: Array) -> Array:
        return self.linear.multiply(x, relu=True)


class FrozenBatchNormReLU2d(_ProductReLU):
    """A ``BatchNorm2d`` that is frozen, with a ``ReLU`` after it.

    Args:
        norm: attached already.
    """

    kind = "frozen_batch_norm_relu2d"

    def __init__(self, norm: BatchNorm2d) -> None:
        super().__init__(norm)
        self.norm = norm

    def _rectified(self, x: Array) -> Array:
        return self.norm.normalise(x, relu=True)


class BatchNormReLU2d(_Fused):
    """A ``BatchNorm2d`` with a ``ReLU`` after it. It keeps x, not y.

    Args:
        norm: attached already; its parameters and buffers are used.
    """

    kind = "batch_norm_relu2d"

    def __init__(self, norm: BatchNorm2d) -> None:
        super().__init__(norm)
        self.norm = norm

    def forward(self, x: Array) -> Array:
        """By the batch's statistics in training, by the running ones otherwise."""
        return self.norm.normalise(x, relu=True)

    def backward(self, dy: Array) -> Array:
        """Both chain rules in one operation."""
        scale, shift = self.parameters["scale"], self.parameters["shift"]
        x, mean, inverse_std = self.norm.kept
        dx, _, _ = self.backend.batch_norm_gradients(
            dy,
            x,
            scale.value,
            mean,
            inverse_std,
            shift=shift.value,
            dscale=scale.gradient,
            dshift=shift.gradient,
            dx=dy if self.owns_gradient else None,
        )
        return dx


class ResidualReLU(_Fused):
    """A ``Residual`` whose body ends with a ``BatchNorm2d``, with a ``ReLU`` after it.

    Normalisation, sum and ReLU are one operation. It keeps y and the normalisation's x.

    Args:
        residual: attached already, its body fused already.
        norm: the last step of its body.
    """

    kind = "residual_relu"
    keeps_output = True

    def __init__(self, residual: Residual, norm: BatchNorm2d) -> None:
        super().__init__(residual)
        self.residual, self.norm = residual, norm
        self.body = Sequential(residual.body.steps[:-1])

    def forward(self, x: Array) -> Array:
        """max(norm(body(x)) + shortcut(x), 0)."""
        shortcut = self.residual.shortcut.forward(x)
        self._y = self.norm.normalise(self.body.forward(x), shortcut, relu=True)
        return self._y

    def backward(self, dy: Array) -> Array | None:
        """What comes through the ReLU enters the shortcut as it is; both gradients add."""
        scale, shift = self.norm.parameters["scale"], self.norm.parameters["shift"]
        x, mean, inverse_std = self.norm.kept
        dx, _, _, dshortcut = self.backend.batch_norm_gradients(
            dy,
            x,
            scale.value,
            mean,
            inverse_std,
            y=self._y,
            dscale=scale.gradient,
            dshift=shift.gradient,
            dresidual=dy if self.owns_gradient else None,
        )
        return self.residual.add_gradients(self.body, dx, dshortcut)


class ResidualSum(_Fused):
    """A ``Residual`` whose sum is in the operation of the last step of its body.

    Args:
        residual: attached already, its body fused already.
        last: that step, a convolution, or a batch normalisation that is frozen.
    """

    kind = "residual_sum"

    def __init__(self, residual: Residual, last: Conv2d | BatchNorm2d) -> None:
        super().__init__(residual)
        self.residual = residual
        self._before = Sequential(residual.body.steps[:-1])
        self._last = last.convolve if isinstance(last, Conv2d) else last.normalise

    def forward(self, x: Array) -> Array:
        """The sum of both branches."""
        return self.add_up(x)

    def add_up(self, x: Array, relu: bool = False) -> Array:
        """``forward``, with or without a ReLU in the same operation; ``backward`` is without it."""
        shortcut = self.residual.shortcut.forward(x)
        return self._last(self._before.forward(x), shortcut, relu)

    def backward(self, dy: Array) -> Array | None:
        """The same dy enters both branches; their gradients add."""
        return self.residual.backward(dy)


class ResidualSumReLU(_ProductReLU):
    """A ``ResidualSum`` with a ``ReLU`` after it.

    Args:
        block: attached already.
    """

    kind = "residual_sum_relu"

    def __init__(self, block: ResidualSum) -> None:
        super().__init__(block)
        self.block = block

    def _rectified(self, x: Array) -> Array:
        return self.block.add_up(x, relu=True)


def fuse_layers(network: Layer) -> None:
    """Replaces layers by fused ones, in every ``Sequential`` of the network."""
    for part in reversed(list(_sequentials(network))):  # the inner ones first
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


@contextmanager
def observed(network: Layer, observer: Observer) -> Iterator[None]:
    """Within the block, every layer runs by itself, and ``observer`` is called after its forward.

    Layers within a residual block are observed before the block itself.
    """
    parts = list(_sequentials(network))
    with unfused(network):
        for part in parts:
            part.observer = observer
        try:
            yield
        finally:
            for part in parts:
                part.observer = None


def _fused(layers: list[Layer]) -> list[Layer]:
    steps: list[Layer] = []
    for layer in layers:
        fused = _with_relu(steps[-1]) if steps and isinstance(layer, ReLU) else None
        if fused is None:
            steps.append(_by_itself(layer))
        else:
            steps[-1] = fused
    return steps


def _by_itself(layer: Layer) -> Layer:
    """The layer, or one that does the same in fewer operations."""
    match layer:
        case Residual(body=Sequential(steps=[*_, Conv2d() | BatchNorm2d(is_frozen=True) as last])):
            return ResidualSum(layer, last)
    return layer


def _with_relu(step: Layer) -> Layer | None:
    """The step and the ReLU after it as one layer; None if there is no such layer."""
    match step:
        case Conv2d():
            return Conv2dReLU(step)
        case Linear():
            return LinearReLU(step)
        case BatchNorm2d(is_frozen=True):
            return FrozenBatchNormReLU2d(step)
        case BatchNorm2d():
            return BatchNormReLU2d(step)
        case Residual(body=Sequential(steps=[*_, BatchNorm2d() as norm])):
            return ResidualReLU(step, norm)
        case ResidualSum():
            return ResidualSumReLU(step)
    return None


def _sequentials(network: Layer) -> Iterator[Sequential]:
    return (part for part in network.walk() if isinstance(part, Sequential))
