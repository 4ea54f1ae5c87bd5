"""Losses of a regression, a value a sample, their gradients, and the running totals."""

from __future__ import annotations

from gpucnn.backends.interface.arrays import Array, ArrayOperations
from gpucnn.operations import regression
from gpucnn.operations.geometry import as_integer
from gpucnn.operations.metrics import AccumulateErrors


class RegressionOperations(ArrayOperations):
    """Losses over predictions and targets (N, T), in one dtype.

    All raise ShapeError if the arrays do not fit.
    """

    def squared_error_forward(self, predictions: Array, targets: Array) -> Array:
        """losses (N,) = Σ_t (prediction_t − target_t)² / T."""
        shape = self._shape("predictions", predictions)
        problem = regression.SquaredErrorForward.of(self.dtypes, shape)
        return self.run(problem, predictions, targets, None)[0]

    def squared_error_input_grad(self, predictions: Array, targets: Array, scale: float) -> Array:
        """dpredictions = scale · 2 · (prediction − target) / T, (N, T)."""
        shape = self._shape("predictions", predictions)
        problem = regression.SquaredErrorInputGrad.of(self.dtypes, shape)
        return self.run(problem, predictions, targets, None, scale=scale)[0]

    def huber_forward(self, predictions: Array, targets: Array, delta: float) -> Array:
        """losses (N,) = Σ_t h(prediction_t − target_t) / T.

        h(d) = d²/2 if |d| ≤ delta, else delta · (|d| − delta/2).

        Raises:
            ShapeError: also for a ``delta`` that is not positive and finite.
        """
        regression.check_delta(delta)
        shape = self._shape("predictions", predictions)
        problem = regression.HuberForward.of(self.dtypes, shape)
        return self.run(problem, predictions, targets, None, delta=delta)[0]

    def huber_input_grad(
        self, predictions: Array, targets: Array, delta: float, scale: float
    ) -> Array:
        """dpredictions = scale · min(max(prediction − target, −delta), delta) / T, (N, T).

        Raises:
            ShapeError: also for a ``delta`` that is not positive and finite.
        """
        regression.check_delta(delta)
        shape = self._shape("predictions", predictions)
        problem = regression.HuberInputGrad.of(self.dtypes, shape)
        return self.run(problem, predictions, targets, None, delta=delta, scale=scale)[0]

    def accumulate_errors(
        self,
        totals: Array,
        losses: Array,
        predictions: Array,
        targets: Array,
        guard: Array | None = None,
        *,
        shards: int = 1,
    ) -> None:
        """Adds Σ losses and Σ_n Σ_t (prediction_t − target_t)² / T to totals.

        ``totals`` is float64 (2,) and stays on the device. Nothing is added if there is a
        ``guard``, int32 (1,), and it is not 0. Both are summed in ``shards`` of the batch
        (``operations.shards``).
        """
        shape, shards = self._shape("predictions", predictions), as_integer(shards, "shards")
        problem = AccumulateErrors.of(self.dtypes, shape, guard is not None, shards)
        self.run(problem, totals, losses, predictions, targets, guard)
