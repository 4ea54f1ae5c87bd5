"""Gradients against finite differences, in float64, layer by layer and for the whole model.

The derivative of f along a direction d is estimated from central differences
D(h) = (f(x + h·d) − f(x − h·d)) / 2h with one step of Richardson's extrapolation,
(4·D(h/2) − D(h)) / 3. How far that is from D(h/2) estimates its error. Where the estimate is too
coarse at every h, x lies at a kink (of a ReLU or a maximum) and another direction is drawn: the
choice depends only on the differences, never on the gradient under test.

Source: Richardson, "The deferred approach to the limit", Phil. Trans. R. Soc. A 226 (1927).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn import random
from gpucnn.backends.numpy_backend import NumpyBackend
from gpucnn.errors import GpucnnError
from gpucnn.layers import Layer, Network
from gpucnn.losses import Loss
from gpucnn.random import Stream

_STEPS = (1e-3, 1e-4, 1e-5, 1e-6)
_FLOOR = 1e-3
_ATTEMPTS = 20


@dataclass
class Check:
    """The result for one layer, the loss, or the model.

    Attributes:
        name: the layer's path, "loss", or "model".
        kind: the layer's kind.
        error: the worst relative error.
        where: the array it was found in.
        derivatives: how many were compared.
        redrawn: how many directions met a kink and were drawn again.
    """

    name: str
    kind: str
    error: float = 0.0
    where: str = ""
    derivatives: int = 0
    redrawn: int = 0


class _Directions:
    """Random directions and inputs, each draw from a stream of its own."""

    def __init__(self, seed: int) -> None:
        self._seed, self._draws = seed, 0

    def normal(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        draws = random.normal(self._seed, self._next_stream(), 0, math.prod(shape))
        return draws.reshape(shape)

    def integer(self, bound: int) -> int:
        word = random.words(self._seed, self._next_stream(), 0, 1)
        return int(random.to_integers(word, 0, bound)[0])

    def _next_stream(self) -> int:
        self._draws += 1
        return Stream.SYNTHETIC_DATA.of_layer(self._draws)

    def along(self, size: int, single: bool) -> NDArray[np.float64]:
        """One element, or a random direction of length 1."""
        if single:
            direction = np.zeros(size)
            direction[self.integer(size)] = 1.0
            return direction
        direction = self.normal((size,))
        return direction / np.linalg.norm(direction)


def check_network(
    network: Network,
    loss: Loss,
    bound: float,
    batch: int = 3,
    per_layer: int = 12,
    per_parameter: int = 1,
    seed: int = 0,
    has_classes: bool = True,
) -> Iterator[Check]:
    """Checks each layer with random inputs, then the loss, then the whole model.

    Args:
        network: on the NumPy backend in fp64.
        loss: the model's.
        bound: the relative error aimed at; differences are made finer than that.
        batch: samples of the random inputs.
        per_layer: derivatives an array of a layer: half of them of single elements, half along
            random directions.
        per_parameter: random directions a parameter of the whole model.
        seed: of inputs and directions.
        has_classes: whether the loss gets labels; otherwise it gets numbers to predict.

    Raises:
        GpucnnError: the network is on another backend or precision.
    """
    backend = network.backend
    if not isinstance(backend, NumpyBackend) or backend.precision != "fp64":
        raise GpucnnError("gradients are checked on the numpy backend at fp64")
    network.train()
    network.begin_step(1)
    draw, outputs = _Directions(seed), network.output_shape[0]
    for layer in network.plain_layers():
        yield _check_layer(layer, draw, bound, batch, per_layer)
    target: NDArray[Any] = (
        np.array([draw.integer(outputs) for _ in range(batch)], np.int32)
        if has_classes
        else draw.normal((batch, outputs))
    )
    yield _check_loss(network, loss, target, draw, bound, per_layer)
    yield _check_model(network, loss, target, draw, bound, per_parameter)


def _check_layer(
    layer: Layer, draw: _Directions, bound: float, batch: int, derivatives: int
) -> Check:
    x = draw.normal((batch, *layer.input_shape))
    weights = draw.normal((batch, *layer.output_shape))
    layer.needs_input_grad, needed = True, layer.needs_input_grad

    def objective() -> float:
        return float(np.vdot(np.asarray(layer.forward(x.copy())), weights))

    objective()
    gradients = {"x": (x, np.array(layer.input_grad(weights.copy())))}
    layer.needs_input_grad = needed
    for name, parameter in layer.parameters.items():
        gradients[name] = (np.asarray(parameter.value), np.array(parameter.gradient))
    check = Check(layer.name, layer.kind)
    for name, (array, gradient) in gradients.items():
        for number in range(derivatives):
            _compare(check, name, objective, array, gradient, draw, number % 2 == 0, bound)
    return check


def _check_loss(
    network: Network,
    loss: Loss,
    target: NDArray[Any],
    draw: _Directions,
    bound: float,
    derivatives: int,
) -> Check:
    backend, batch = network.backend, len(target)
    outputs = draw.normal((batch, *network.output_shape))

    def objective() -> float:
        return float(np.sum(np.asarray(loss.forward(backend, outputs, target)))) / batch

    objective()
    gradient = np.array(loss.backward(backend, batch))
    check = Check("loss", type(loss).__name__)
    for number in range(derivatives):
        _compare(check, "outputs", objective, outputs, gradient, draw, number % 2 == 0, bound)
    return check


def _check_model(
    network: Network,
    loss: Loss,
    target: NDArray[Any],
    draw: _Directions,
    bound: float,
    directions: int,
) -> Check:
    backend, batch = network.backend, len(target)
    x = draw.normal((batch, *network.input_shape))

    def objective() -> float:
        outputs = network.forward(x.copy())
        return float(np.sum(np.asarray(loss.forward(backend, outputs, target)))) / batch

    objective()
    network.backward(loss.backward(backend, batch))
    check = Check("model", "all layers")
    for name, parameter in network.parameters().items():
        value, gradient = np.asarray(parameter.value), np.array(parameter.gradient)
        for _ in range(directions):
            _compare(check, name, objective, value, gradient, draw, False, bound)
    return check


def _compare(
    check: Check,
    name: str,
    objective: Callable[[], float],
    array: NDArray[Any],
    gradient: NDArray[Any],
    draw: _Directions,
    single: bool,
    bound: float,
) -> None:
    """Compares one derivative and keeps the worst relative error in ``check``.

    The error is relative to the larger of both derivatives, or to a thousandth of the objective
    if they are smaller, because a derivative of zero has no relative error.
    """
    floor = _FLOOR * max(1.0, abs(objective()))
    for _ in range(_ATTEMPTS):
        direction = draw.along(array.size, single)
        estimate = _derivative(objective, array, direction, bound, floor)
        if estimate is not None:
            break
        check.redrawn += 1
    else:
        raise GpucnnError(
            f'"{check.name}", {name}: {_ATTEMPTS} directions in a row met a kink; use smooth '
            f"activations, or a smaller model"
        )
    analytic = float(gradient.reshape(-1) @ direction)
    error = abs(estimate - analytic) / max(abs(estimate), abs(analytic), floor)
    check.derivatives += 1
    if not error <= check.error:
        check.error, check.where = (error if error >= 0.0 else math.inf), name  # NaN is worst


def _derivative(
    objective: Callable[[], float],
    array: NDArray[Any],
    direction: NDArray[np.float64],
    bound: float,
    floor: float,
) -> float | None:
    """The derivative along a direction; None where no step gives it to a tenth of the bound."""
    flat = array.reshape(-1)
    original = flat.copy()

    def central(h: float) -> float:
        values = []
        for sign in (1.0, -1.0):
            flat[...] = original + sign * h * direction
            values.append(objective())
        flat[...] = original
        return (values[0] - values[1]) / (2.0 * h)

    for h in _STEPS:
        coarse, fine = central(h), central(h / 2)
        extrapolated = (4.0 * fine - coarse) / 3.0
        if abs(extrapolated - fine) <= 0.1 * bound * max(abs(extrapolated), floor):
            return extrapolated
    return None
