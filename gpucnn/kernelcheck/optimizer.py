"""Problems of the optimizer steps, the gradient's norm and clipping: vectors, changed in place."""

from __future__ import annotations

import numpy as np

from gpucnn.backends.base import Backend
from gpucnn.kernelcheck.guard import draw_guard
from gpucnn.kernelcheck.problem import Arguments, Bounds, Operation
from gpucnn.kernelcheck.running_error import (
    DOUBLE,
    Bounded,
    gamma,
    sum_bound,
    unit_roundoff,
)
from gpucnn.operations.sampling import Generator, chosen, integer, length, normal, speckled


def _draw_sgd(rng: Generator, number: int) -> Arguments:
    """Without momentum, with it, and Nesterov's, in turns."""
    n = length(rng, number)
    has_momentum = number % 3 > 0
    return {
        "parameters": normal(rng, n),
        "gradients": normal(rng, n),
        "velocity": normal(rng, n) if has_momentum else None,
        "learning_rate": float(rng.random()),
        "momentum": 0.9 if has_momentum else 0.0,
        "nesterov": number % 3 == 2,
        "weight_decay": chosen(rng, 0.0, 1e-4, 0.1),
        "guard": draw_guard(rng),
    }


def _draw_adam(rng: Generator, number: int) -> Arguments:
    n = length(rng, number)
    return {
        "parameters": normal(rng, n),
        "gradients": normal(rng, n),
        "mean": normal(rng, n),
        "square": abs(normal(rng, n)),
        "step": chosen(rng, 1, 2, 10, 1000),
        "learning_rate": float(rng.random()),
        "beta1": 0.9,
        "beta2": 0.999,
        "epsilon": chosen(rng, 1e-8, 1e-3, 0.1),
        "weight_decay": chosen(rng, 0.0, 1e-4, 0.1),
        "guard": draw_guard(rng),
    }


def _draw_gradients(rng: Generator, number: int) -> Arguments:
    """Every fifth has more than one piece of the norm."""
    n = integer(rng, 16380, 40000) if number % 5 == 2 else length(rng, number)
    return {"gradients": speckled(number, normal(rng, n))}


def _draw_clip_by_norm(rng: Generator, number: int) -> Arguments:
    """Norms below the limit and above."""
    gradients = normal(rng, length(rng, number))
    norm = np.sqrt((gradients.astype(np.float64) ** 2).sum(keepdims=True))
    return {"gradients": gradients, "norm": norm, "limit": float(norm[0] * chosen(rng, 0.3, 2.0))}


def _draw_clip_by_value(rng: Generator, number: int) -> Arguments:
    gradients = normal(rng, length(rng, number))
    gradients[rng.random(gradients.shape) < 0.01] = np.nan
    return {"gradients": gradients, "limit": float(rng.random())}


def _is_refused(a: Arguments) -> bool:
    """Nothing may change then, so all must be exact."""
    return a["guard"] is not None and a["guard"][0] != 0


def _sgd_bounds(a: Arguments, _exact: Backend) -> Bounds:
    if _is_refused(a):
        return {}
    w, decay, momentum = Bounded(a["parameters"]), a["weight_decay"], a["momentum"]
    gradient = Bounded(a["gradients"]) + w * decay
    velocity = gradient
    if a["velocity"] is not None:
        velocity = Bounded(a["velocity"]) * momentum + gradient
    direction = gradient + velocity * momentum if a["nesterov"] else velocity
    after = w - direction * a["learning_rate"]
    return {"parameters": after.bound, "velocity": velocity.bound}


def _adam_bounds(a: Arguments, _exact: Backend) -> Bounds:
    return _bounds_after(a, Bounded(a["parameters"]), a["weight_decay"])


def _adamw_bounds(a: Arguments, _exact: Backend) -> Bounds:
    shrink = 1.0 - a["learning_rate"] * a["weight_decay"]
    return _bounds_after(a, Bounded(a["parameters"]) * shrink, 0.0)


def _bounds_after(a: Arguments, w: Bounded, decay: float) -> Bounds:
    if _is_refused(a):
        return {}
    beta1, beta2, step = a["beta1"], a["beta2"], a["step"]
    gradient = Bounded(a["gradients"]) + w * decay
    mean = Bounded(a["mean"]) * beta1 + gradient * (1.0 - beta1)
    square = Bounded(a["square"]) * beta2 + gradient * gradient * (1.0 - beta2)
    root = (square / (1.0 - beta2**step)).sqrt() + a["epsilon"]
    after = w - mean / (1.0 - beta1**step) * a["learning_rate"] / root
    return {"parameters": after.bound, "mean": mean.bound, "square": square.bound}


def _norm_bounds(a: Arguments, exact: Backend) -> Bounds:
    """All of it is in double; the root halves a sum's relative error, and is rounded."""
    roundings = a["gradients"].size / 2 + 1
    relative = 2 * gamma(int(np.ceil(roundings)), DOUBLE)
    return {"norm": relative * exact.global_norm(a["gradients"])}


def _clip_by_norm_bounds(a: Arguments, _exact: Backend) -> Bounds:
    """The factor is rounded to float32, and then the product."""
    if a["norm"][0] <= a["limit"]:
        return {}
    return {"gradients": sum_bound(2, abs(a["gradients"]) * a["limit"] / a["norm"][0])}


def _clip_by_value_bounds(a: Arguments, _exact: Backend) -> Bounds:
    """The limit is rounded to float32; a gradient that is near it may go either way."""
    margin = 2 * unit_roundoff() * a["limit"]
    is_within = abs(a["gradients"]) < a["limit"] - margin
    return {"gradients": np.where(is_within, 0.0, margin)}


OPERATIONS = (
    Operation("sgd_step", (), _draw_sgd, _sgd_bounds),
    Operation("adam_step", (), _draw_adam, _adam_bounds),
    Operation("adamw_step", (), _draw_adam, _adamw_bounds),
    Operation("global_norm", ("norm",), _draw_gradients, _norm_bounds),
    Operation("clip_by_global_norm", (), _draw_clip_by_norm, _clip_by_norm_bounds),
    Operation("clip_by_value", (), _draw_clip_by_value, _clip_by_value_bounds),
)
