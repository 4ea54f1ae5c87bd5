"""Losses to time, their gradients, and the running totals of a trainer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from gpucnn.backends.base import Backend
from gpucnn.backends.interface.arrays import Array
from gpucnn.bench.problems.base import Floats, Input, Problem, as_text, total_bytes

_SMOOTHING = 0.1


def passes(name: str, N: int, K: int) -> tuple[Problem, ...]:
    """Over scores (N, K) and labels (N,). What is done once a row is no operation here."""
    matrix, vector = (N, K), (N,)
    problem = partial(Problem, name=name, shape_text=as_text(matrix))
    scores, losses = Input(matrix), Input(vector)
    labels = Input(vector, partial(_labels, K), np.int32, "int64")
    return (
        problem(
            operation="softmax_cross_entropy_forward",
            inputs={"logits": scores, "labels": labels},
            options={"label_smoothing": _SMOOTHING},
            # A comparison, a difference, an exponential, two sums (one of them of scores), a ratio.
            flops=6 * N * K,
            traffic=total_bytes(matrix, vector, vector, matrix),
            torch=partial(_cross_entropy, reduction="none"),
        ),
        problem(
            operation="softmax_cross_entropy_input_grad",
            inputs={"logits": scores, "labels": labels},
            options={"label_smoothing": _SMOOTHING, "scale": 1 / N},
            flops=2 * N * K,
            traffic=total_bytes(matrix, vector, matrix),
            prepare=_with_probabilities,
            torch_prepare=_cross_entropy_graph,
            torch=lambda torch, loss, logits: torch.autograd.grad(loss, logits, retain_graph=True),
        ),
        problem(
            operation="softmax",
            inputs={"logits": scores},
            flops=5 * N * K,
            traffic=total_bytes(matrix, matrix),
            torch=lambda torch, logits: torch.softmax(logits, 1),
        ),
        problem(
            operation="mean_squared_error_forward",
            inputs={"predictions": scores, "labels": labels},
            flops=3 * N * K,
            traffic=total_bytes(matrix, vector, vector),
            torch_prepare=_with_unit_vectors,
            torch=lambda torch, predictions, targets: torch.nn.functional.mse_loss(
                predictions, targets, reduction="none"
            ).mean(1),
        ),
        problem(
            operation="mean_squared_error_input_grad",
            inputs={"predictions": scores, "labels": labels},
            options={"scale": 1 / N},
            flops=2 * N * K,
            traffic=total_bytes(matrix, vector, matrix),
            torch_prepare=lambda torch, predictions, labels: (
                predictions.new_ones(()),
                *_with_unit_vectors(torch, predictions, labels),
                1,  # the gradient is that of the mean
            ),
            torch=lambda torch, *inputs: torch.ops.aten.mse_loss_backward(*inputs),
        ),
        problem(
            operation="accumulate_metrics",
            inputs={"losses": losses, "scores": scores, "labels": labels},
            flops=N * K,
            traffic=total_bytes(vector, matrix, vector),
            prepare=lambda backend, **inputs: {**inputs, "totals": backend.zeros((2,), np.float64)},
            changes="totals",
            torch_prepare=lambda torch, losses, scores, labels: (
                scores.new_zeros((2,), dtype=torch.float64),
                losses,
                scores,
                labels,
            ),
            torch=_accumulate,
        ),
    )


def _labels(K: int, drawn: Floats) -> Floats:
    return np.random.default_rng(0).integers(K, size=drawn.shape).astype(np.float32)


def _with_probabilities(backend: Backend, logits: Array, labels: Array) -> Mapping[str, Array]:
    return {"probabilities": backend.softmax(logits), "labels": labels}


def _cross_entropy(torch: Any, logits: Any, labels: Any, reduction: str = "mean") -> Any:
    """Losses, or their mean; PyTorch keeps the logarithms of the probabilities."""
    return torch.nn.functional.cross_entropy(
        logits, labels, reduction=reduction, label_smoothing=_SMOOTHING
    )


def _cross_entropy_graph(torch: Any, logits: Any, labels: Any) -> tuple[Any, Any]:
    """The mean loss, and the scores, for PyTorch's automatic differentiation."""
    logits = logits.detach().requires_grad_()
    return _cross_entropy(torch, logits, labels), logits


def _with_unit_vectors(torch: Any, predictions: Any, labels: Any) -> tuple[Any, Any]:
    one_hot = torch.nn.functional.one_hot(labels, predictions.shape[1])
    return predictions, one_hot.to(predictions.dtype)


def _accumulate(torch: Any, totals: Any, losses: Any, scores: Any, labels: Any) -> Any:
    """The totals, in several calls."""
    right = (scores.argmax(1) == labels).sum()
    return totals.add_(torch.stack([losses.sum(), right]))
