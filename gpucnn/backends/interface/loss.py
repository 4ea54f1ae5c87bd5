"""Losses, a value a sample, their gradients, and the running totals a trainer shows."""

from __future__ import annotations

from gpucnn.backends.interface.arrays import Array, ArrayOperations
from gpucnn.operations import loss, soft_targets
from gpucnn.operations.geometry import as_integer
from gpucnn.operations.metrics import AccumulateMetrics


class LossOperations(ArrayOperations):
    """Losses over logits or predictions (N, K); labels are int32 (N,) in [0, K).

    Labels are not looked at before a launch; the data sets have checked them. All raise ShapeError
    if the arrays do not fit.
    """

    def softmax_cross_entropy_forward(
        self, logits: Array, labels: Array, label_smoothing: float = 0.0
    ) -> tuple[Array, Array]:
        """−Σ_k t_k · log p_k with p = softmax(logits), t = (1 − ε)·onehot + ε/K.

        The largest logit is subtracted first, so no exponential overflows.

        Returns:
            losses (N,) and probabilities (N, K), which the gradient needs.

        Raises:
            ShapeError: also for a ``label_smoothing`` ε outside [0, 1).
        """
        loss.check_smoothing(label_smoothing)
        shape = self._shape("logits", logits)
        problem = loss.SoftmaxCrossEntropyForward.of(self.dtypes, shape)
        arrays = (logits, labels, None, None)
        losses, probabilities = self.run(problem, *arrays, label_smoothing=label_smoothing)
        return losses, probabilities

    def softmax_cross_entropy_input_grad(
        self, probabilities: Array, labels: Array, label_smoothing: float, scale: float
    ) -> Array:
        """dlogits = scale · (p − t), (N, K); ``scale`` is 1 / the global batch for a mean.

        Raises:
            ShapeError: also for a ``label_smoothing`` outside [0, 1).
        """
        loss.check_smoothing(label_smoothing)
        shape = self._shape("probabilities", probabilities)
        problem = loss.SoftmaxCrossEntropyInputGrad.of(self.dtypes, shape)
        numbers = {"label_smoothing": label_smoothing, "scale": scale}
        return self.run(problem, probabilities, labels, None, **numbers)[0]

    def soft_cross_entropy_forward(self, logits: Array, targets: Array) -> tuple[Array, Array]:
        """−Σ_k t_k · log p_k over the k with t_k ≠ 0, with p = softmax(logits).

        Args:
            logits: (N, K).
            targets: (N, K) in the same dtype, 0 or more; a row may have any sum.

        Returns:
            losses (N,) and probabilities (N, K), which the gradient needs.
        """
        shape = self._shape("logits", logits)
        problem = soft_targets.SoftCrossEntropyForward.of(self.dtypes, shape)
        losses, probabilities = self.run(problem, logits, targets, None, None)
        return losses, probabilities

    def soft_cross_entropy_input_grad(
        self, probabilities: Array, targets: Array, scale: float
    ) -> Array:
        """dlogits = scale · (p_k · Σ_j t_j − t_k), (N, K)."""
        shape = self._shape("probabilities", probabilities)
        problem = soft_targets.SoftCrossEntropyInputGrad.of(self.dtypes, shape)
        return self.run(problem, probabilities, targets, None, scale=scale)[0]

    def softmax(self, logits: Array) -> Array:
        """Probabilities of each row of logits (N, K)."""
        problem = loss.Softmax.of(self.dtypes, self._shape("logits", logits))
        return self.run(problem, logits, None)[0]

    def mean_squared_error_forward(self, predictions: Array, labels: Array) -> Array:
        """losses (N,) = Σ_k (prediction_k − onehot_k)² / K."""
        shape = self._shape("predictions", predictions)
        problem = loss.MeanSquaredErrorForward.of(self.dtypes, shape)
        return self.run(problem, predictions, labels, None)[0]

    def mean_squared_error_input_grad(
        self, predictions: Array, labels: Array, scale: float
    ) -> Array:
        """dpredictions = scale · 2 · (prediction − onehot) / K, (N, K)."""
        shape = self._shape("predictions", predictions)
        problem = loss.MeanSquaredErrorInputGrad.of(self.dtypes, shape)
        return self.run(problem, predictions, labels, None, scale=scale)[0]

    def accumulate_metrics(
        self,
        totals: Array,
        losses: Array,
        scores: Array,
        labels: Array,
        guard: Array | None = None,
        *,
        shards: int = 1,
    ) -> None:
        """Adds Σ losses and the count of rows whose first largest score is the label's.

        ``totals`` is float64 (2,) and stays on the device; a row with NaN counts as wrong.
        Nothing is added if there is a ``guard``, int32 (1,), and it is not 0. The losses are
        summed in ``shards`` of the batch (``operations.shards``).
        """
        shape, shards = self._shape("scores", scores), as_integer(shards, "shards")
        problem = AccumulateMetrics.of(self.dtypes, shape, guard is not None, shards)
        self.run(problem, totals, losses, scores, labels, guard)
