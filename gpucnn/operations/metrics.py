"""The running totals that a trainer shows: of losses, and of right answers or squared errors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.operations.guard import GUARD, draw_guard, is_refused
from gpucnn.operations.loss import Scored, draw_scores
from gpucnn.operations.problem import Arguments, Expectation, Operand
from gpucnn.operations.regression import draw_predictions
from gpucnn.operations.sampling import Generator, integer, normal
from gpucnn.operations.shard_sums import sum_shards
from gpucnn.operations.shards import Shards, check_shards, cut_batch, drawn_shards, shards_text
from gpucnn.operations.tracked import DOUBLE, Tracked, stack


@dataclass(frozen=True)
class _Accumulate(Scored):
    """Adds to totals, float64 (2,).

    Attributes:
        has_guard: whether a guard may forbid it.
        shards: of the losses (``operations.shards``).
    """

    changes = ("totals",)

    has_guard: bool = False
    shards: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_shards(self.shards)

    @property
    def batch_shards(self) -> Shards:
        """The losses in shards."""
        return cut_batch(self.shape[0], self.shards)

    @property
    def text(self) -> str:
        """With the shards, if there are several."""
        return super().text + shards_text(self.shards)

    def _operands(self) -> Iterable[Operand | None]:
        _, *of_samples, _ = self.takes
        rows, storage = self.shape[:1], self.dtypes.storage
        yield Operand((2,), np.dtype(np.float64))
        for name in of_samples:
            dtype = np.dtype(np.int32) if name == "labels" else storage
            yield Operand(rows if name in ("losses", "labels") else self.shape, dtype)
        yield GUARD if self.has_guard else None

    @property
    def traffic(self) -> int:
        """Of what each sample has: the totals and a guard are nothing in comparison."""
        _, *of_samples, _ = self.takes
        return sum(self.by_name[name].bytes for name in of_samples)


class AccumulateMetrics(_Accumulate):
    """Adds Σ losses, and the count of rows whose first largest score is the label's, to totals."""

    operation = "accumulate_metrics"
    takes = ("totals", "losses", "scores", "labels", "guard")
    flops_each = 1

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """Scores of few different values, with NaN among them: ties everywhere.

        In every other row one score is above the label's, or it is the label's, and all others are
        below.
        """
        drawn = draw_scores(rng, number)
        scores = rng.choice([-1.0, 0.0, 1.0, 1.5], drawn["scores"].shape).astype(np.float32)
        scores[rng.random(scores.shape) < 0.01] = np.nan
        alone = np.arange(0, len(scores), 2)
        scores[alone] = 0.0
        scores[alone, drawn["labels"][alone]] = 1.0
        scores[alone, rng.integers(0, scores.shape[1], len(alone))] = 2.0
        # As many rows are right as wrong.
        labels = np.where(rng.random(len(scores)) < 0.5, scores.argmax(axis=1), drawn["labels"])
        return {
            "totals": np.array([rng.random(), integer(rng, 0, 100)]),
            "losses": abs(normal(rng, len(scores))),
            "scores": scores,
            "labels": labels.astype(np.int32),
            "guard": draw_guard(rng),
            "shards": drawn_shards(number),
        }

    @staticmethod
    def reference(
        totals: Tracked,
        losses: Tracked,
        scores: Tracked,
        labels: NDArray[np.int32],
        guard: NDArray[np.int32] | None = None,
        shards: int = 1,
    ) -> Expectation:
        """The sum of losses is in double, and the count is exact."""
        if is_refused(guard):
            return {}
        right = 0
        for row, label in zip(scores.value, labels, strict=True):
            first_largest = 0
            for k, score in enumerate(row):
                if score > row[first_largest]:
                    first_largest = k
            right += not np.isnan(row).any() and first_largest == label
        exact = Tracked(losses.value, dtype=DOUBLE)
        loss = sum_shards(len(losses), shards, lambda rows: exact[rows].sum(0))
        count = Tracked(totals.value[1] + right, dtype=DOUBLE)
        return {"totals": stack([totals[0] + loss, count])}

    @staticmethod
    def in_torch(torch: Any, totals: Any, losses: Any, scores: Any, labels: Any) -> Any:
        """The totals, in several calls."""
        right = (scores.argmax(1) == labels).sum()
        return totals.add_(torch.stack([losses.sum(), right]))


class AccumulateErrors(_Accumulate):
    """Adds Σ losses, and Σ_n Σ_t (prediction − target)² / T, to totals."""

    operation = "accumulate_errors"
    takes = ("totals", "losses", "predictions", "targets", "guard")
    flops_each = 3

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """Predictions and targets; the losses are any."""
        drawn = draw_predictions(rng, number)
        return {
            "totals": np.array([rng.random(), 100 * rng.random()]),
            "losses": abs(normal(rng, len(drawn["targets"]))),
            **drawn,
            "guard": draw_guard(rng),
            "shards": drawn_shards(number),
        }

    @staticmethod
    def reference(
        totals: Tracked,
        losses: Tracked,
        predictions: Tracked,
        targets: Tracked,
        guard: NDArray[np.int32] | None = None,
        shards: int = 1,
    ) -> Expectation:
        """Both sums are in double."""
        if is_refused(guard):
            return {}
        exact = Tracked(losses.value, dtype=DOUBLE)
        loss = sum_shards(len(losses), shards, lambda rows: exact[rows].sum(0))
        difference = Tracked(predictions.value, dtype=DOUBLE) - Tracked(targets.value, dtype=DOUBLE)
        squares = (difference * difference).sum(1)
        error = sum_shards(len(losses), shards, lambda rows: squares[rows].sum(0))
        error = error / float(predictions.shape[1])
        return {"totals": stack([totals[0] + loss, totals[1] + error])}

    @staticmethod
    def in_torch(torch: Any, totals: Any, losses: Any, predictions: Any, targets: Any) -> Any:
        """The totals, in several calls; the squares are not in double."""
        error = torch.nn.functional.mse_loss(predictions, targets) * len(losses)
        return totals.add_(torch.stack([losses.sum(), error]))
