"""Regression: the outputs are numbers to predict, normalised as the targets of the training are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn import random
from gpucnn.backends.base import Backend
from gpucnn.backends.interface.arrays import Array
from gpucnn.data import Normalisation, no_normalisation
from gpucnn.errors import ConfigError
from gpucnn.losses import Loss
from gpucnn.training.display import number_text
from gpucnn.training.task import Evaluation, Judge, Measure, Task

_MOST_SAMPLES = 2000
"""Of a report, of which true and predicted numbers are listed."""


def _r2_text(value: float | None) -> str:
    return number_text(value, 8, 4).strip()


@dataclass(frozen=True)
class RegressionResult(Evaluation):
    """The result of an evaluation, in the units of the targets.

    Attributes:
        targets: what the numbers are, float64 (N, T).
        predictions: what the network says, float64 (N, T).
        loss: the mean loss, of normalised numbers.
    """

    targets: NDArray[np.float64]
    predictions: NDArray[np.float64]
    loss: float

    @property
    def n(self) -> int:
        """The number of samples."""
        return len(self.targets)

    def target_rmse(self) -> list[float]:
        """The root of the mean squared error of each target."""
        rmse: list[float] = np.sqrt(
            np.square(self.predictions - self.targets).mean(axis=0)
        ).tolist()
        return rmse

    def target_r2(self) -> list[float | None]:
        """1 − Σ(prediction − target)² / Σ(target − mean target)² of each target.

        It is 1 for a perfect prediction, and 0 for one that is as good as the mean. None for a
        target that is the same in all samples.
        """
        errors = np.square(self.predictions - self.targets).sum(axis=0)
        spread = np.square(self.targets - self.targets.mean(axis=0)).sum(axis=0)
        varies = self.targets.min(axis=0) < self.targets.max(axis=0)
        return [
            float(1.0 - error / total) if each else None
            for error, total, each in zip(errors, spread, varies, strict=True)
        ]

    @property
    def rmse(self) -> float:
        """Over all targets; it means something if they have one unit."""
        return float(np.sqrt(np.square(self.predictions - self.targets).mean()))

    @property
    def r2(self) -> float | None:
        """The mean over the targets that vary; None if none does."""
        known = [value for value in self.target_r2() if value is not None]
        return sum(known) / len(known) if known else None

    @property
    def score(self) -> float:
        """The loss, with the other sign."""
        return -self.loss

    def figures(self) -> dict[str, float | None]:
        """Loss, R² and root mean squared error."""
        return {"loss": self.loss, "r2": self.r2, "rmse": self.rmse}

    @property
    def text(self) -> str:
        """The same for a reader."""
        return (
            f"R² {_r2_text(self.r2)}, RMSE {self.rmse:.4g}, loss {self.loss:.4f} ({self.n} images)"
        )

    def as_json(self, names: Iterable[str]) -> dict[str, object]:
        """R², RMSE, loss and n; by target; true and predicted numbers of up to 2,000 samples."""
        figures = zip(names, self.target_r2(), self.target_rmse(), strict=True)
        places = np.unique(np.linspace(0, self.n - 1, _MOST_SAMPLES).astype(int))
        return {
            "r2": self.r2,
            "rmse": self.rmse,
            "loss": self.loss,
            "n": self.n,
            "targets": {name: {"r2": r2, "rmse": rmse} for name, r2, rmse in figures},
            "true": self.targets[places].tolist(),
            "predicted": self.predictions[places].tolist(),
        }


class _Numbers(Judge):
    """Keeps targets and predictions.

    Args:
        normalisation: of the targets.
    """

    def __init__(self, normalisation: Normalisation) -> None:
        self._normalisation = normalisation
        self._targets: list[NDArray[np.float64]] = []
        self._predictions: list[NDArray[np.float64]] = []

    def add(
        self,
        labels: NDArray[np.int32],
        targets: NDArray[np.float32] | None,
        outputs: NDArray[Any],
    ) -> None:
        """Takes targets and outputs as numbers in their units."""
        assert targets is not None, "a regression has targets"
        self._targets.append(targets.astype(np.float64))
        self._predictions.append(in_units(outputs, self._normalisation))

    def result(self, loss_sum: float) -> RegressionResult:
        """All of them, and the mean loss."""
        targets, predictions = np.concatenate(self._targets), np.concatenate(self._predictions)
        return RegressionResult(targets, predictions, loss_sum / len(targets))


def in_units(outputs: NDArray[Any], normalisation: Normalisation) -> NDArray[np.float64]:
    """Normalised numbers (N, T) in the units that they were measured in."""
    numbers: NDArray[np.float64] = outputs * np.array(normalisation.std)
    numbers += np.array(normalisation.mean)
    return numbers


class Regression(Task):
    """What numbers belong to an image?

    Args:
        names: of the numbers.
        normalisation: their mean and deviation, as the loss sees them normalised.
        variance: the mean over the numbers of the variance of normalised targets that are trained
            on, to which R² refers while the network learns.
    """

    measure, judged_by = Measure("r2", "R²", _r2_text), "loss"

    def __init__(
        self, names: Sequence[str], normalisation: Normalisation, variance: float = 1.0
    ) -> None:
        self.names, self._variance = tuple(names), variance
        self.target_normalisation = self._normalisation = normalisation

    @classmethod
    def of_count(cls, numbers: int) -> Regression:
        """Of so many numbers, which have no names and are normalised already."""
        return cls(tuple(map(str, range(numbers))), no_normalisation(numbers))

    def check_loss(self, loss: Loss, name: str) -> None:
        """Refuses a loss that is for classes only."""
        if not loss.takes_numbers:
            raise ConfigError(
                f'loss.name = "{name}" is for classes, and the data has numbers to predict; use '
                f'"mean_squared_error" or "huber"'
            )

    def blank(self, size: int) -> tuple[NDArray[np.int32], NDArray[np.float32] | None]:
        """Targets; all labels of a regression are 0."""
        return np.zeros(size, np.int32), np.zeros((size, len(self.names)), np.float32)

    def draw(self, seed: int, size: int) -> NDArray[Any]:
        """Normalised numbers."""
        numbers = random.normal(seed, random.Stream.SYNTHETIC_DATA, 1, size * self.outputs)
        return numbers.reshape(size, self.outputs)

    def accumulate(
        self,
        backend: Backend,
        totals: Array,
        losses: Array,
        outputs: Array,
        judged: Array,
        guard: Array | None = None,
    ) -> None:
        """Losses, and mean squared errors."""
        backend.accumulate_errors(totals, losses, outputs, judged, guard)

    def means(self, totals: tuple[float, float], n: int) -> dict[str, float | None]:
        """The loss and R², with the variance of all targets."""
        r2 = 1.0 - totals[1] / n / self._variance if self._variance else None
        return {"loss": totals[0] / n, "r2": r2}

    def score_text(self, score: float) -> str:
        """The loss."""
        return f"{-score:.4g}"

    def judge(self) -> Judge:
        """Compares numbers in their units."""
        return _Numbers(self._normalisation)

    def join(self, backend: Backend, outputs: Iterable[Array]) -> Array:
        """The mean numbers."""
        numbers = [backend.to_numpy(each) for each in outputs]
        return backend.asarray(np.mean(numbers, axis=0, dtype=np.float64))

    def answers(self, backend: Backend, outputs: Array) -> NDArray[Any]:
        """The numbers in their units, in the backend's dtype."""
        return in_units(backend.to_numpy(outputs), self._normalisation).astype(backend.dtype)

    def chance(self, labels: NDArray[np.int32]) -> float:
        """No share of numbers is right by chance."""
        return 0.0
