"""Losses, a value a sample, their gradients, and the running totals a trainer shows."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from gpucnn.backends.interface.arrays import Array
from gpucnn.backends.interface.guard import GuardOperations
from gpucnn.errors import ShapeError


class LossOperations(GuardOperations):
    """Losses over logits or predictions (N, K); labels are int32 (N,) in [0, K).

    Labels are not looked at before a launch; the data sets have checked them.
    """

    def softmax_cross_entropy_forward(
        self, logits: Array, labels: Array, label_smoothing: float = 0.0
    ) -> tuple[Array, Array]:
        """−Σ_k t_k · log p_k with p = softmax(logits), t = (1 − ε)·onehot + ε/K.

        The largest logit is subtracted first, so no exponential overflows.

        Returns:
            losses (N,) and probabilities (N, K), which the gradient needs.
        """
        self._check_scores(logits, labels)
        self._check_smoothing(label_smoothing)
        losses, probabilities = self.empty(labels.shape), self.empty(logits.shape)
        self._softmax_cross_entropy_forward(logits, labels, label_smoothing, losses, probabilities)
        return losses, probabilities

    def softmax_cross_entropy_input_grad(
        self, probabilities: Array, labels: Array, label_smoothing: float, scale: float
    ) -> Array:
        """dlogits = scale · (p − t), (N, K); ``scale`` is 1 / the global batch for a mean."""
        self._check_scores(probabilities, labels)
        self._check_smoothing(label_smoothing)
        dlogits = self.empty(probabilities.shape)
        self._softmax_cross_entropy_input_grad(
            probabilities, labels, label_smoothing, scale, dlogits
        )
        return dlogits

    def softmax(self, logits: Array) -> Array:
        """Probabilities of each row of logits (N, K)."""
        self._check("logits", logits)
        if logits.ndim != 2 or logits.shape[1] < 1:
            raise ShapeError(f"logits have shape {logits.shape}; expected (N, K), K at least 1")
        probabilities = self.empty(logits.shape)
        self._softmax(logits, probabilities)
        return probabilities

    def mean_squared_error_forward(self, predictions: Array, labels: Array) -> Array:
        """losses (N,) = Σ_k (prediction_k − onehot_k)² / K."""
        self._check_scores(predictions, labels)
        losses = self.empty(labels.shape)
        self._mean_squared_error_forward(predictions, labels, losses)
        return losses

    def mean_squared_error_input_grad(
        self, predictions: Array, labels: Array, scale: float
    ) -> Array:
        """dpredictions = scale · 2 · (prediction − onehot) / K, (N, K)."""
        self._check_scores(predictions, labels)
        gradient = self.empty(predictions.shape)
        self._mean_squared_error_input_grad(predictions, labels, scale, gradient)
        return gradient

    def accumulate_metrics(
        self,
        totals: Array,
        losses: Array,
        scores: Array,
        labels: Array,
        guard: Array | None = None,
    ) -> None:
        """Adds Σ losses and the count of rows whose first largest score is the label's.

        ``totals`` is float64 (2,) and stays on the device; a row with NaN counts as wrong.
        Nothing is added where there is a ``guard`` and it is not 0.
        """
        self._check_scores(scores, labels)
        self._check("losses", losses, labels.shape)
        self._check("totals", totals, (2,), np.float64)
        self._check_guard(guard)
        self._accumulate_metrics(totals, losses, scores, labels, guard)

    def _check_scores(self, scores: Array, labels: Array) -> None:
        self._check("scores", scores)
        if scores.ndim != 2 or scores.shape[1] < 1:
            raise ShapeError(f"scores have shape {scores.shape}; a loss takes (N, K), K at least 1")
        self._check("labels", labels, (scores.shape[0],), np.int32)

    def _check_smoothing(self, label_smoothing: float) -> None:
        if not 0.0 <= label_smoothing < 1.0:
            raise ShapeError(f"label_smoothing is {label_smoothing}; use 0 or more and below 1")

    @abstractmethod
    def _softmax_cross_entropy_forward(
        self,
        logits: Array,
        labels: Array,
        label_smoothing: float,
        losses: Array,
        probabilities: Array,
    ) -> None: ...

    @abstractmethod
    def _softmax_cross_entropy_input_grad(
        self,
        probabilities: Array,
        labels: Array,
        label_smoothing: float,
        scale: float,
        dlogits: Array,
    ) -> None: ...

    @abstractmethod
    def _softmax(self, logits: Array, probabilities: Array) -> None: ...

    @abstractmethod
    def _mean_squared_error_forward(
        self, predictions: Array, labels: Array, losses: Array
    ) -> None: ...

    @abstractmethod
    def _mean_squared_error_input_grad(
        self, predictions: Array, labels: Array, scale: float, gradient: Array
    ) -> None: ...

    @abstractmethod
    def _accumulate_metrics(
        self, totals: Array, losses: Array, scores: Array, labels: Array, guard: Array | None
    ) -> None: ...
