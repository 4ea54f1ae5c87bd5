"""Losses over a batch's scores: small arrays, in one piece.

Softmax subtracts the row's maximum first; the loss never takes the log of a rounded 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.numpy_backend.implementations import implements
from gpucnn.backends.numpy_backend.pieces import NumpyArrays
from gpucnn.backends.numpy_backend.shards import combined, shard_slices
from gpucnn.operations import loss, soft_targets
from gpucnn.operations.guard import is_refused
from gpucnn.operations.metrics import AccumulateMetrics
from gpucnn.operations.problem import Problem


@implements(loss.SoftmaxCrossEntropyForward)
def _softmax_cross_entropy_forward(
    _: NumpyArrays,
    _problem: Problem,
    logits: NDArray[Any],
    labels: NDArray[Any],
    losses: NDArray[Any],
    probabilities: NDArray[Any],
    label_smoothing: float,
) -> None:
    # −Σ t_k·log p_k = log Σ exp(z_k) − Σ t_k·z_k, with z shifted so that its maximum is 0.
    # The mean of z is taken before multiplying by ε: with ε = 0, 0·(−∞) would be NaN.
    shifted = logits - logits.max(axis=1, keepdims=True)
    np.exp(shifted, out=probabilities)
    total = probabilities.sum(axis=1, keepdims=True)
    probabilities /= total
    losses[...] = np.log(total[:, 0])
    losses -= (1.0 - label_smoothing) * shifted[np.arange(labels.size), labels]
    if label_smoothing > 0.0:
        losses -= label_smoothing * shifted.mean(axis=1)


@implements(loss.SoftmaxCrossEntropyInputGrad)
def _softmax_cross_entropy_input_grad(
    _: NumpyArrays,
    _problem: Problem,
    probabilities: NDArray[Any],
    labels: NDArray[Any],
    dlogits: NDArray[Any],
    label_smoothing: float,
    scale: float,
) -> None:
    np.subtract(probabilities, label_smoothing / probabilities.shape[1], out=dlogits)
    dlogits[np.arange(labels.size), labels] -= 1.0 - label_smoothing
    dlogits *= scale


@implements(soft_targets.SoftCrossEntropyForward)
def _soft_cross_entropy_forward(
    _: NumpyArrays,
    _problem: Problem,
    logits: NDArray[Any],
    targets: NDArray[Any],
    losses: NDArray[Any],
    probabilities: NDArray[Any],
) -> None:
    # No term is negative, so that none cancels another: −log p_k = log Σ exp(z) − z_k.
    shifted = logits - logits.max(axis=1, keepdims=True)
    np.exp(shifted, out=probabilities)
    total = probabilities.sum(axis=1, keepdims=True)
    probabilities /= total
    terms = np.zeros_like(shifted)
    np.multiply(targets, np.log(total) - shifted, out=terms, where=targets != 0.0)
    np.sum(terms, axis=1, out=losses)


@implements(soft_targets.SoftCrossEntropyInputGrad)
def _soft_cross_entropy_input_grad(
    _: NumpyArrays,
    _problem: Problem,
    probabilities: NDArray[Any],
    targets: NDArray[Any],
    dlogits: NDArray[Any],
    scale: float,
) -> None:
    np.multiply(probabilities, targets.sum(axis=1, keepdims=True), out=dlogits)
    dlogits -= targets
    dlogits *= scale


@implements(loss.Softmax)
def _softmax(
    _: NumpyArrays, _problem: Problem, logits: NDArray[Any], probabilities: NDArray[Any]
) -> None:
    np.subtract(logits, logits.max(axis=1, keepdims=True), out=probabilities)
    np.exp(probabilities, out=probabilities)
    probabilities /= probabilities.sum(axis=1, keepdims=True)


@implements(loss.MeanSquaredErrorForward)
def _mean_squared_error_forward(
    _: NumpyArrays,
    _problem: Problem,
    predictions: NDArray[Any],
    labels: NDArray[Any],
    losses: NDArray[Any],
) -> None:
    difference = predictions.copy()
    difference[np.arange(labels.size), labels] -= 1.0
    np.mean(difference * difference, axis=1, out=losses)


@implements(loss.MeanSquaredErrorInputGrad)
def _mean_squared_error_input_grad(
    _: NumpyArrays,
    _problem: Problem,
    predictions: NDArray[Any],
    labels: NDArray[Any],
    gradient: NDArray[Any],
    scale: float,
) -> None:
    np.copyto(gradient, predictions)
    gradient[np.arange(labels.size), labels] -= 1.0
    gradient *= 2.0 * scale / predictions.shape[1]


@implements(AccumulateMetrics)
def _accumulate_metrics(
    _: NumpyArrays,
    problem: AccumulateMetrics,
    totals: NDArray[Any],
    losses: NDArray[Any],
    scores: NDArray[Any],
    labels: NDArray[Any],
    guard: NDArray[Any] | None,
) -> None:
    if is_refused(guard):
        return
    best = scores.argmax(axis=1)  # a NaN counts as the largest
    correct = (best == labels) & ~np.isnan(scores[np.arange(labels.size), best])
    slices = shard_slices(losses.size, problem.shards)
    totals[0] += combined([losses[rows].sum(dtype=np.float64) for rows in slices], np.add)
    totals[1] += np.count_nonzero(correct)
