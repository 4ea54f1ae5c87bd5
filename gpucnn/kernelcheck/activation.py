"""Problems of the activations, element by element."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.base import Backend
from gpucnn.kernelcheck.draws import SPECIAL, Generator, normal, shape, speckled
from gpucnn.kernelcheck.problem import Arguments, Bounds, Operation, exactly
from gpucnn.kernelcheck.running_error import Bounded, Floats, sum_bound

_ZEROS = (0.0, -0.0)
_FAR = (200.0, -200.0)
"""Whose exponentials are 0 and infinite."""


def _with_special(rng: Generator, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """A tenth of the values are zeros, infinities and NaN."""
    special = rng.choice((*_ZEROS, *SPECIAL), x.shape)
    return np.where(rng.random(x.shape) < 0.1, special, x).astype(np.float32)


def _draw_relu(rng: Generator, number: int) -> Arguments:
    """Every third problem works in place."""
    x = _with_special(rng, normal(rng, *shape(rng, number)))
    return {"x": x, "out": x} if number % 3 == 0 else {"x": x}


def _draw_relu_input_grad(rng: Generator, number: int) -> Arguments:
    y = _with_special(rng, normal(rng, *shape(rng, number)))
    dy = normal(rng, *y.shape)
    return {"dy": dy, "y": y, "out": dy} if number % 3 == 0 else {"dy": dy, "y": y}


def _draw_leaky(rng: Generator, number: int) -> Arguments:
    x = _with_special(rng, normal(rng, *shape(rng, number)))
    return {"x": x, "slope": float(rng.random())}


def _draw_leaky_input_grad(rng: Generator, number: int) -> Arguments:
    """With zeros, where the slope is that of what is below."""
    x = _with_special(rng, normal(rng, *shape(rng, number)))
    dy = speckled(number, normal(rng, *x.shape))
    return {"dy": dy, "x": x, "slope": float(rng.random())}


def _draw_smooth(rng: Generator, number: int) -> Arguments:
    x = 5 * normal(rng, *shape(rng, number))
    return {"x": speckled(number, x, (*_FAR, *SPECIAL))}


def _draw_smooth_input_grad(rng: Generator, number: int) -> Arguments:
    y = speckled(number, rng.random(shape(rng, number), np.float32), (0.0, 1.0))
    return {"dy": speckled(number, normal(rng, *y.shape)), "y": y}


def _draw_add(rng: Generator, number: int) -> Arguments:
    a = _with_special(rng, normal(rng, *shape(rng, number)))
    b = _with_special(rng, normal(rng, *a.shape))
    return {"a": a, "b": b, "out": a} if number % 3 == 0 else {"a": a, "b": b}


def _where_sloped(a: Arguments, values: Floats) -> Floats:
    """Slope and product are rounded; what x > 0 lets through is as it was."""
    return np.where(a["x"] > 0, 0.0, sum_bound(2, abs(a["slope"] * values)))


def _leaky_bounds(a: Arguments, _exact: Backend) -> Bounds:
    return {"y": _where_sloped(a, a["x"])}


def _leaky_input_grad_bounds(a: Arguments, _exact: Backend) -> Bounds:
    return {"dx": _where_sloped(a, a["dy"])}


def _sigmoid_bounds(a: Arguments, _exact: Backend) -> Bounds:
    """Of those that are far from 0, all are 0 or 1 but for less than a rounding."""
    x = np.clip(a["x"], -80.0, 80.0)
    return {"y": (1.0 / (1.0 + (-Bounded(x)).exp())).bound}


def _sigmoid_input_grad_bounds(a: Arguments, _exact: Backend) -> Bounds:
    dy, y = Bounded(a["dy"]), Bounded(a["y"])
    return {"dx": (dy * (y * (1.0 - y))).bound}


def _tanh_bounds(a: Arguments, _exact: Backend) -> Bounds:
    return {"y": Bounded(a["x"]).tanh().bound}


def _tanh_input_grad_bounds(a: Arguments, _exact: Backend) -> Bounds:
    dy, y = Bounded(a["dy"]), Bounded(a["y"])
    return {"dx": (dy * (1.0 - y * y)).bound}


def _add_bounds(a: Arguments, _exact: Backend) -> Bounds:
    bound = sum_bound(1, abs(a["a"]) + abs(a["b"]))
    return {"total": bound, "out": bound, "a": bound} if "out" in a else {"total": bound}


OPERATIONS = (
    Operation("relu_forward", ("y",), _draw_relu, exactly),
    Operation("relu_input_grad", ("dx",), _draw_relu_input_grad, exactly),
    Operation("leaky_relu_forward", ("y",), _draw_leaky, _leaky_bounds),
    Operation("leaky_relu_input_grad", ("dx",), _draw_leaky_input_grad, _leaky_input_grad_bounds),
    Operation("sigmoid_forward", ("y",), _draw_smooth, _sigmoid_bounds),
    Operation("sigmoid_input_grad", ("dx",), _draw_smooth_input_grad, _sigmoid_input_grad_bounds),
    Operation("tanh_forward", ("y",), _draw_smooth, _tanh_bounds),
    Operation("tanh_input_grad", ("dx",), _draw_smooth_input_grad, _tanh_input_grad_bounds),
    Operation("add", ("total",), _draw_add, _add_bounds),
)
