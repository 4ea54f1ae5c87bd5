"""Losses of a regression over a batch's predictions: small arrays, in one piece."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.numpy_backend.implementations import implements
from gpucnn.backends.numpy_backend.pieces import NumpyArrays
from gpucnn.backends.numpy_backend.shards import combined, shard_slices
from gpucnn.operations import regression
from gpucnn.operations.guard import is_refused
from gpucnn.operations.metrics import AccumulateErrors
from gpucnn.operations.problem import Problem


@implements(regression.SquaredErrorForward)
def _squared_error_forward(
    _: NumpyArrays,
    _problem: Problem,
    predictions: NDArray[Any],
    targets: NDArray[Any],
    losses: NDArray[Any],
) -> None:
    np.mean(np.square(predictions - targets), axis=1, out=losses)


@implements(regression.SquaredErrorInputGrad)
def _squared_error_input_grad(
    _: NumpyArrays,
    _problem: Problem,
    predictions: NDArray[Any],
    targets: NDArray[Any],
    gradient: NDArray[Any],
    scale: float,
) -> None:
    np.subtract(predictions, targets, out=gradient)
    gradient *= 2.0 * scale / predictions.shape[1]


@implements(regression.HuberForward)
def _huber_forward(
    _: NumpyArrays,
    _problem: Problem,
    predictions: NDArray[Any],
    targets: NDArray[Any],
    losses: NDArray[Any],
    delta: float,
) -> None:
    # With c = min(|d|, δ), both formulas are c · (|d| − c/2).
    size = abs(predictions - targets)
    clipped = np.minimum(size, delta)
    np.mean(clipped * (size - 0.5 * clipped), axis=1, out=losses)


@implements(regression.HuberInputGrad)
def _huber_input_grad(
    _: NumpyArrays,
    _problem: Problem,
    predictions: NDArray[Any],
    targets: NDArray[Any],
    gradient: NDArray[Any],
    delta: float,
    scale: float,
) -> None:
    np.subtract(predictions, targets, out=gradient)
    np.clip(gradient, -delta, delta, out=gradient)
    gradient *= scale / predictions.shape[1]


@implements(AccumulateErrors)
def _accumulate_errors(
    _: NumpyArrays,
    problem: AccumulateErrors,
    totals: NDArray[Any],
    losses: NDArray[Any],
    predictions: NDArray[Any],
    targets: NDArray[Any],
    guard: NDArray[Any] | None,
) -> None:
    if is_refused(guard):
        return
    squares = np.square(np.subtract(predictions, targets, dtype=np.float64))
    slices = shard_slices(losses.size, problem.shards)
    totals[0] += combined([losses[rows].sum(dtype=np.float64) for rows in slices], np.add)
    totals[1] += combined([squares[rows].sum() for rows in slices], np.add) / squares.shape[1]
