"""Steps and averages over flat vectors, in place: passes over pieces that stay in the cache."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.numpy_backend.implementations import implements
from gpucnn.backends.numpy_backend.pieces import NumpyArrays, elementwise
from gpucnn.backends.numpy_backend.workers import Workers
from gpucnn.operations.average import UpdateAverage
from gpucnn.operations.guard import is_refused
from gpucnn.operations.optimizer import AdamStep, AdamwStep, SgdStep


@implements(SgdStep)
def _sgd_step(
    be: NumpyArrays,
    problem: SgdStep,
    parameters: NDArray[Any],
    gradients: NDArray[Any],
    velocity: NDArray[Any] | None,
    guard: NDArray[Any] | None,
    learning_rate: float,
    momentum: float,
    weight_decay: float,
) -> None:
    if is_refused(guard):
        return

    def plain(w: NDArray[Any], g: NDArray[Any]) -> None:
        update = _decayed(be.workers, w, g, weight_decay)
        update *= learning_rate
        w -= update

    def with_velocity(w: NDArray[Any], g: NDArray[Any], v: NDArray[Any]) -> None:
        update = _decayed(be.workers, w, g, weight_decay)
        v *= momentum
        v += update
        if problem.nesterov:
            update += np.multiply(v, momentum, out=_scratch(be.workers, "term", v))
        else:
            np.copyto(update, v)
        update *= learning_rate
        w -= update

    if velocity is None:
        elementwise(be.workers, plain, parameters, gradients)
    else:
        elementwise(be.workers, with_velocity, parameters, gradients, velocity)


@implements(AdamStep)
@implements(AdamwStep)
def _adam_step(
    be: NumpyArrays,
    problem: AdamStep,
    parameters: NDArray[Any],
    gradients: NDArray[Any],
    mean: NDArray[Any],
    square: NDArray[Any],
    guard: NDArray[Any] | None,
    step: int,
    learning_rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
) -> None:
    if is_refused(guard):
        return
    if isinstance(problem, AdamwStep):
        parameters *= 1.0 - learning_rate * weight_decay
        weight_decay = 0.0
    rate = learning_rate / (1.0 - beta1**step)
    correction = 1.0 / (1.0 - beta2**step)

    def piece(w: NDArray[Any], g: NDArray[Any], m: NDArray[Any], v: NDArray[Any]) -> None:
        gradient = _decayed(be.workers, w, g, weight_decay)
        term = _scratch(be.workers, "term", w)
        m *= beta1
        m += np.multiply(gradient, 1.0 - beta1, out=term)
        v *= beta2
        np.multiply(gradient, gradient, out=term)
        v += np.multiply(term, 1.0 - beta2, out=term)
        np.multiply(v, correction, out=term)
        np.sqrt(term, out=term)
        term += epsilon
        np.divide(m, term, out=term)
        term *= rate
        w -= term

    elementwise(be.workers, piece, parameters, gradients, mean, square)


@implements(UpdateAverage)
def _update_average(
    be: NumpyArrays,
    _: UpdateAverage,
    average: NDArray[Any],
    values: NDArray[Any],
    guard: NDArray[Any] | None,
    share: float,
) -> None:
    if is_refused(guard):
        return

    def piece(a: NDArray[Any], v: NDArray[Any]) -> None:
        change = np.subtract(v, a, out=_scratch(be.workers, "term", v))
        change *= share
        a += change

    elementwise(be.workers, piece, average, values)


def _decayed(
    workers: Workers, w: NDArray[Any], g: NDArray[Any], weight_decay: float
) -> NDArray[Any]:
    """g + weight_decay · w, in scratch memory."""
    result = _scratch(workers, "decayed", g)
    if weight_decay == 0.0:
        np.copyto(result, g)
        return result
    np.multiply(w, weight_decay, out=result)
    result += g
    return result


def _scratch(workers: Workers, name: str, like: NDArray[Any]) -> NDArray[Any]:
    return workers.scratch(name, like.shape, like.dtype)
