"""Problems of batch normalisation, with and without a residual and a ReLU behind it."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpucnn.backends.base import Backend
from gpucnn.kernelcheck.problem import Arguments, Bounds, Operation
from gpucnn.kernelcheck.running_error import Bounded, Floats
from gpucnn.operations.sampling import (
    CHANNELS,
    MANY_CHANNELS,
    Generator,
    chosen,
    normal,
    rows_of,
    speckled,
)

_EPSILON = 1e-5


def _draw_x_shape(rng: Generator, number: int) -> tuple[int, ...]:
    C = (*CHANNELS, MANY_CHANNELS)[number % 6]
    rows, images = rows_of(rng, number, C), chosen(rng, 1, 2, 3)
    return images, 1, max(2, rows // images), C


def _draw_statistics(rng: Generator, number: int) -> dict[str, Any]:
    """x with its own mean in every channel, and vectors of its channels."""
    shape = _draw_x_shape(rng, number)
    C = shape[-1]
    x = normal(rng, *shape) * (1 + 3 * abs(normal(rng, C))) + 5 * normal(rng, C)
    return {"x": x, "scale": normal(rng, C), "shift": normal(rng, C)}


def _draw_end(rng: Generator, number: int, shape: tuple[int, ...]) -> Arguments:
    """A residual and a ReLU, both, one or none in turn; each with all channels in a series' 24."""
    residual, relu = ((True, True), (False, False), (False, True), (True, False))[
        (number + number // 12) % 4
    ]
    return {"residual": speckled(number, normal(rng, *shape)) if residual else None, "relu": relu}


def _draw_forward(rng: Generator, number: int) -> Arguments:
    """A value that is not finite is in all of its channel; the mean with ∞ may be that or NaN."""
    drawn = _draw_statistics(rng, number)
    drawn["x"] = speckled(number, drawn["x"], (np.nan,))
    C = drawn["x"].shape[-1]
    running = {"running_mean": normal(rng, C), "running_variance": abs(normal(rng, C))}
    factors = {"momentum": chosen(rng, 0.1, 0.01, 1.0), "epsilon": _EPSILON}
    return {**drawn, **running, **factors, **_draw_end(rng, number, drawn["x"].shape)}


def _draw_inference(rng: Generator, number: int) -> Arguments:
    drawn = _draw_statistics(rng, number)
    drawn["x"] = speckled(number, drawn["x"], (np.nan,))
    C = drawn["x"].shape[-1]
    statistics = {"mean": normal(rng, C), "variance": abs(normal(rng, C))}
    epsilon = chosen(rng, _EPSILON, 1e-3)
    end = _draw_end(rng, number, drawn["x"].shape)
    return {**drawn, **statistics, "epsilon": epsilon, **end}


def _draw_gradients(rng: Generator, number: int) -> Arguments:
    """Every other problem writes dx over dy."""
    drawn = _draw_statistics(rng, number)
    x = drawn["x"]
    rows = x.reshape(-1, x.shape[-1]).astype(np.float64)
    dy = normal(rng, *x.shape)
    drawn = {
        "dy": dy,
        "x": x,
        "scale": drawn["scale"],
        "mean": rows.mean(axis=0).astype(np.float32),
        "inverse_std": (1 / np.sqrt(rows.var(axis=0) + _EPSILON)).astype(np.float32),
    }
    return {**drawn, "dx": dy} if number % 2 else drawn


def _draw_relu_gradients(rng: Generator, number: int) -> Arguments:
    drawn = _draw_gradients(rng, number)
    return {**drawn, "shift": normal(rng, drawn["x"].shape[-1])}


def _draw_add_relu_gradients(rng: Generator, number: int) -> Arguments:
    """Of those that do not write dx over dy, every other writes dresidual there."""
    drawn = _draw_gradients(rng, number)
    drawn = {**drawn, "y": np.maximum(normal(rng, *drawn["x"].shape), 0)}
    return {**drawn, "dresidual": drawn["dy"]} if number % 4 == 0 else drawn


def _rows(x: Floats) -> Bounded:
    return Bounded(x.reshape(-1, x.shape[-1]))


def _normalised(a: Arguments, mean: Bounded, variance: Bounded) -> Bounded:
    epsilon: float = a["epsilon"]
    root = (variance + epsilon).sqrt()
    y = Bounded(a["scale"]) * ((_rows(a["x"]) - mean) / root) + Bounded(a["shift"])
    # max(y, 0) is never further off than y.
    return y if a["residual"] is None else y + _rows(a["residual"])


def _forward_bounds(a: Arguments, _exact: Backend) -> Bounds:
    x = _rows(a["x"])
    count, momentum = len(x.value), a["momentum"]
    mean = x.mean(0)
    deviations = x - mean
    variance = (deviations * deviations).mean(0)
    unbiased = variance * float(count) / float(count - 1)
    kept = 1.0 - momentum
    running_mean = Bounded(a["running_mean"]) * kept + mean * momentum
    running_variance = Bounded(a["running_variance"]) * kept + unbiased * momentum
    return {
        "y": _normalised(a, mean, variance).bound.reshape(a["x"].shape),
        "mean": mean.bound,
        "inverse_std": (1.0 / (variance + a["epsilon"]).sqrt()).bound,
        "running_mean": running_mean.bound,
        "running_variance": running_variance.bound,
    }


def _inference_bounds(a: Arguments, _exact: Backend) -> Bounds:
    y = _normalised(a, Bounded(a["mean"]), Bounded(a["variance"]))
    return {"y": y.bound.reshape(a["x"].shape)}


def _gradient_bounds(a: Arguments, _exact: Backend) -> Bounds:
    return _bounds_of_gradients(a, _rows(a["dy"]))


def _relu_gradient_bounds(a: Arguments, _exact: Backend) -> Bounds:
    """What came through the ReLU, where it is too near to 0 to tell, may have or may not."""
    inverse_std = Bounded(a["inverse_std"])
    normal = (_rows(a["x"]) - Bounded(a["mean"])) * inverse_std
    y = normal * Bounded(a["scale"]) + Bounded(a["shift"])
    return _bounds_of_gradients(a, _rows(a["dy"]).where(y))


def _add_relu_gradient_bounds(a: Arguments, _exact: Backend) -> Bounds:
    """What comes through the ReLU is certain, for y is given; so dresidual is exact."""
    return _bounds_of_gradients(a, _rows(np.where(a["y"] > 0, a["dy"], 0.0)))


def _bounds_of_gradients(a: Arguments, dy: Bounded) -> Bounds:
    count, inverse_std = float(len(dy.value)), Bounded(a["inverse_std"])
    normal = (_rows(a["x"]) - Bounded(a["mean"])) * inverse_std
    dshift, dscale = dy.sum(0), (dy * normal).sum(0)
    inner = dy - dshift / count - normal * (dscale / count)
    dx = Bounded(a["scale"]) * inverse_std * inner
    bound = dx.bound.reshape(a["x"].shape)
    in_place = {"dy": bound} if a.get("dx") is a["dy"] else {}
    return {"dx": bound, "dscale": dscale.bound, "dshift": dshift.bound, **in_place}


_GRADIENTS = ("dx", "dscale", "dshift")

OPERATIONS = (
    Operation("batch_norm_forward", ("y", "mean", "inverse_std"), _draw_forward, _forward_bounds),
    Operation("batch_norm_inference", ("y",), _draw_inference, _inference_bounds),
    Operation("batch_norm_gradients", _GRADIENTS, _draw_gradients, _gradient_bounds),
    Operation("batch_norm_relu_gradients", _GRADIENTS, _draw_relu_gradients, _relu_gradient_bounds),
    Operation(
        "batch_norm_add_relu_gradients",
        (*_GRADIENTS, "dresidual"),
        _draw_add_relu_gradients,
        _add_relu_gradient_bounds,
    ),
)
