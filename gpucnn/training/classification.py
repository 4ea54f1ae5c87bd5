"""Classification: the outputs are a score for each class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn import random
from gpucnn.backends.base import Backend
from gpucnn.backends.interface.arrays import Array
from gpucnn.errors import ConfigError
from gpucnn.losses import Loss
from gpucnn.training.task import Evaluation, Judge, Measure, Places, Task

_FIRST = 5
"""Of a sample's classes, by their scores, among which the true one counts as found."""


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.2%}"


@dataclass(frozen=True)
class ClassificationResult(Evaluation):
    """The result of an evaluation.

    Attributes:
        confusion: counts (classes, classes), rows the true class, columns the predicted one.
        loss: the mean loss.
        unclassified: samples of each class, (classes,), whose scores have a NaN, so that no class
            is predicted; they are not in ``confusion``. A single number stands for all classes.
        among_first: how many samples have fewer than five classes with a better score than the
            true one; of equal scores that of the first class is better. None if it was not counted.
    """

    confusion: NDArray[np.int64]
    loss: float
    unclassified: NDArray[np.int64] | int = 0
    among_first: int | None = None

    def class_sizes(self) -> NDArray[np.int64]:
        """The number of samples of each class, int64 (classes,)."""
        sizes: NDArray[np.int64] = self.confusion.sum(axis=1) + self.unclassified
        return sizes

    @property
    def n(self) -> int:
        """The number of samples, unclassified ones included."""
        return int(self.class_sizes().sum())

    @property
    def correct(self) -> int:
        """How many were right."""
        return int(np.trace(self.confusion))

    @property
    def accuracy(self) -> float:
        """The share that was right."""
        return self.correct / self.n

    @property
    def score(self) -> float:
        """The accuracy."""
        return self.accuracy

    @property
    def top5_accuracy(self) -> float | None:
        """The share whose class is among the five best; None if there are no more than five."""
        if self.among_first is None or len(self.confusion) <= _FIRST:
            return None
        return self.among_first / self.n

    def class_accuracy(self) -> list[float | None]:
        """The share of each class that was right; None for a class without samples."""
        right = np.diagonal(self.confusion)
        return [float(r / t) if t else None for r, t in zip(right, self.class_sizes(), strict=True)]

    def figures(self) -> dict[str, float | None]:
        """Loss and accuracy, and top-5 accuracy if there are more than five classes."""
        first: dict[str, float | None] = {"loss": self.loss, "accuracy": self.accuracy}
        top5 = self.top5_accuracy
        return first if top5 is None else {**first, "top5_accuracy": top5}

    @property
    def text(self) -> str:
        """The same for a reader."""
        top5 = self.top5_accuracy
        five = "" if top5 is None else f"top-5 accuracy {top5:.2%}, "
        return (
            f"accuracy {self.accuracy:.2%} ({self.correct} of {self.n}), {five}loss {self.loss:.4f}"
        )

    def as_json(self, names: Iterable[str]) -> dict[str, object]:
        """Accuracy, loss, n and how many are unclassified; by class, and the confusion matrix."""
        figures = self.figures()
        return {
            "accuracy": figures.pop("accuracy"),
            **figures,
            "n": self.n,
            "unclassified": self.n - int(self.confusion.sum()),
            "class_accuracy": dict(zip(names, self.class_accuracy(), strict=True)),
            "confusion": self.confusion.tolist(),
        }


class _Counts(Judge):
    """Counts of true and predicted classes.

    Args:
        classes: how many there are.
    """

    def __init__(self, classes: int) -> None:
        # Rows the true class; the last column is for rows of scores that have a NaN.
        self._counts = np.zeros((classes, classes + 1), np.int64)
        self._among_first = 0

    def add(
        self,
        labels: NDArray[np.int32],
        targets: NDArray[np.float32] | None,
        outputs: NDArray[Any],
    ) -> None:
        """Counts what the scores predict, compared with the labels."""
        classes = outputs.shape[1]
        is_number = ~np.isnan(outputs).any(axis=1)
        np.add.at(self._counts, (labels, np.where(is_number, outputs.argmax(axis=1), classes)), 1)
        own = outputs[np.arange(len(labels)), labels][:, None]
        is_before = np.arange(classes) < labels[:, None]
        better = ((outputs > own) | ((outputs == own) & is_before)).sum(axis=1)
        self._among_first += int(np.count_nonzero(is_number & (better < _FIRST)))

    def result(self, loss_sum: float) -> ClassificationResult:
        """The confusion matrix and the mean loss."""
        classes, loss = len(self._counts), loss_sum / int(self._counts.sum())
        return ClassificationResult(
            self._counts[:, :classes], loss, self._counts[:, classes], self._among_first
        )


class Classification(Task):
    """Which class is an image of?

    Args:
        classes: their names.
        is_soft: whether labels are soft, so that a loss gets the share of each class.
    """

    measure, judged_by = Measure("accuracy", "accuracy", _percent), "accuracy"

    def __init__(self, classes: Sequence[str], is_soft: bool = False) -> None:
        self.names = classes
        self._is_soft = is_soft

    @classmethod
    def of_count(cls, classes: int) -> Classification:
        """With so many classes, which have no names."""
        return cls(Places(classes))

    def check_loss(self, loss: Loss, name: str) -> None:
        """Refuses a loss that is for numbers only."""
        if not loss.takes_classes:
            raise ConfigError(
                f'loss.name = "{name}" is for numbers, and the data has classes; use '
                f'"softmax_cross_entropy" or "mean_squared_error"'
            )

    def blank(self, size: int) -> tuple[NDArray[np.int32], NDArray[np.float32] | None]:
        """Labels and, if they are soft, targets."""
        targets = np.zeros((size, len(self.names)), np.float32) if self._is_soft else None
        return np.zeros(size, np.int32), targets

    def draw(self, seed: int, size: int) -> NDArray[Any]:
        """Labels."""
        words = random.words(seed, random.Stream.SYNTHETIC_DATA, 1, size)
        return random.to_integers(words, 0, self.outputs)

    def accumulate(
        self,
        backend: Backend,
        totals: Array,
        losses: Array,
        outputs: Array,
        judged: Array,
        guard: Array | None = None,
    ) -> None:
        """Losses, and how many are right."""
        backend.accumulate_metrics(totals, losses, outputs, judged, guard)

    def means(self, totals: tuple[float, float], n: int) -> dict[str, float | None]:
        """The loss and the accuracy."""
        return {"loss": totals[0] / n, "accuracy": totals[1] / n}

    def score_text(self, score: float) -> str:
        """The accuracy."""
        return f"{score:.2%}"

    def judge(self) -> Judge:
        """Counts classes."""
        return _Counts(len(self.names))

    def join(self, backend: Backend, outputs: Iterable[Array]) -> Array:
        """Scores of the mean probabilities, which are their logarithms."""
        probabilities = [backend.to_numpy(backend.softmax(each)) for each in outputs]
        mean = np.mean(probabilities, axis=0, dtype=np.float64)
        least = np.finfo(backend.dtype).tiny  # a class that is ruled out everywhere has 0
        return backend.asarray(np.log(np.maximum(mean, least)))

    def answers(self, backend: Backend, outputs: Array) -> NDArray[Any]:
        """Probabilities, in the backend's dtype."""
        return backend.to_numpy(backend.softmax(outputs))

    def chance(self, labels: NDArray[np.int32]) -> float:
        """The share of the commonest class."""
        return float(np.bincount(labels).max() / labels.size)
