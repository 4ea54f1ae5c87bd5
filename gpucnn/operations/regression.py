"""Losses of a regression, a value a sample, and their gradients; over predictions and targets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gpucnn.errors import ShapeError
from gpucnn.operations.loss import Scored, draw_scores
from gpucnn.operations.problem import Arguments, Expectation
from gpucnn.operations.sampling import Generator, chosen, integer, normal, speckled
from gpucnn.operations.tracked import Tracked, stack, unit_roundoff

_THE_MEAN = 1
"""PyTorch's name for a reduction."""


def check_delta(delta: float) -> None:
    """Raises ShapeError for a Huber loss whose delta is not positive and finite."""
    if not 0.0 < delta < math.inf:
        raise ShapeError(f"delta is {delta}; use a finite number above 0")


def draw_predictions(rng: Generator, number: int) -> Arguments:
    """Predictions around targets, (N, T)."""
    predictions = draw_scores(rng, number)["scores"]
    targets = predictions + 2 * normal(rng, *predictions.shape)
    return {"predictions": speckled(number, predictions), "targets": targets}


def _draw_for_huber(rng: Generator, number: int) -> Arguments:
    """Differences below delta and above, and some of ±delta to the last bit."""
    drawn, delta = draw_predictions(rng, number), chosen(rng, 0.25, 1.0, 1.5, 4.0)
    predictions, targets = drawn["predictions"], drawn["targets"]
    at_delta = rng.random(targets.shape) < 0.05
    at_delta &= np.isfinite(predictions)
    targets[at_delta] = np.rint(targets[at_delta])
    predictions[at_delta] = targets[at_delta] + rng.choice([-delta, delta], at_delta.sum())
    return {**drawn, "delta": delta}


class SquaredErrorForward(Scored):
    """losses = Σ_t (prediction_t − target_t)² / T."""

    operation = "squared_error_forward"
    takes, gives = ("predictions", "targets"), ("losses",)
    flops_each = 3

    draw = staticmethod(draw_predictions)

    @staticmethod
    def reference(predictions: Tracked, targets: Tracked) -> Expectation:
        """Row by row."""
        losses, T = [], float(predictions.shape[1])
        for row in range(len(predictions)):
            difference = predictions[row] - targets[row]
            losses.append((difference * difference).sum(0) / T)
        return {"losses": stack(losses)}

    @staticmethod
    def in_torch(torch: Any, predictions: Any, targets: Any) -> Any:
        """The squares and their mean."""
        return torch.nn.functional.mse_loss(predictions, targets, reduction="none").mean(1)


class SquaredErrorInputGrad(Scored):
    """dpredictions = scale · 2 · (prediction − target) / T."""

    operation = "squared_error_input_grad"
    takes, gives, numbers = ("predictions", "targets"), ("gradient",), ("scale",)
    flops_each = 2

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """Predictions and targets."""
        return {**draw_predictions(rng, number), "scale": 1 / integer(rng, 1, 300)}

    @staticmethod
    def reference(predictions: Tracked, targets: Tracked, scale: float) -> Expectation:
        """Row by row."""
        slope = 2.0 / float(predictions.shape[1])
        rows = [slope * (predictions[row] - targets[row]) for row in range(len(predictions))]
        return {"gradient": scale * stack(rows)}

    def prepare_torch(self, torch: Any, *tensors: Any) -> Sequence[Any]:
        """What PyTorch's gradient of a mean takes."""
        predictions, targets = tensors
        return predictions.new_ones(()), predictions, targets, _THE_MEAN

    @staticmethod
    def in_torch(torch: Any, *inputs: Any, scale: float) -> Any:
        """The gradient of the mean, whose scale is 1 / N."""
        return torch.ops.aten.mse_loss_backward(*inputs)


class HuberForward(Scored):
    """losses = Σ_t h(prediction_t − target_t) / T.

    h(d) = d²/2 if |d| ≤ delta, else delta · (|d| − delta/2). Source: Huber, "Robust estimation of a
    location parameter", Ann. Math. Statist. 35 (1964).
    """

    operation = "huber_forward"
    takes, gives, numbers = ("predictions", "targets"), ("losses",), ("delta",)
    flops_each = 5  # A difference, a comparison, two products, a sum.

    draw = staticmethod(_draw_for_huber)

    @staticmethod
    def reference(predictions: Tracked, targets: Tracked, delta: float) -> Expectation:
        """Row by row. Where roundings decide between the two formulas, both are as good."""
        losses, T = [], float(predictions.shape[1])
        for row in range(len(predictions)):
            difference = predictions[row] - targets[row]
            size = difference.where(difference.value > 0, -difference)
            linear = delta * (size - delta / 2)
            losses.append(
                linear.where(size.value > delta, difference * difference / 2.0).sum(0) / T
            )
        return {"losses": stack(losses)}

    @staticmethod
    def in_torch(torch: Any, predictions: Any, targets: Any, delta: float) -> Any:
        """The losses of all numbers and their mean."""
        function = torch.nn.functional.huber_loss
        return function(predictions, targets, reduction="none", delta=delta).mean(1)


class HuberInputGrad(Scored):
    """dpredictions = scale · min(max(prediction − target, −delta), delta) / T."""

    operation = "huber_input_grad"
    takes, gives, numbers = ("predictions", "targets"), ("gradient",), ("delta", "scale")
    flops_each = 4

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """Predictions and targets."""
        return {**_draw_for_huber(rng, number), "scale": 1 / integer(rng, 1, 300)}

    @staticmethod
    def reference(
        predictions: Tracked, targets: Tracked, delta: float, scale: float
    ) -> Expectation:
        """Row by row. Delta is rounded; a difference near it may be clipped or not."""
        rows, T, margin = [], float(predictions.shape[1]), unit_roundoff(predictions.dtype) * delta
        for row in range(len(predictions)):
            difference = predictions[row] - targets[row]
            value, error = difference.value, difference.error
            error = np.where(abs(value) < delta + error + margin, error + margin, margin)
            clipped = Tracked(np.clip(value, -delta, delta), error, dtype=predictions.dtype)
            rows.append(scale * (clipped / T))
        return {"gradient": stack(rows)}

    def prepare_torch(self, torch: Any, *tensors: Any) -> Sequence[Any]:
        """What PyTorch's gradient of a mean takes."""
        predictions, targets = tensors
        return predictions.new_ones(()), predictions, targets, _THE_MEAN

    @staticmethod
    def in_torch(torch: Any, *inputs: Any, delta: float, scale: float) -> Any:
        """The gradient of the mean, whose scale is 1 / N."""
        return torch.ops.aten.huber_loss_backward(*inputs, delta)
