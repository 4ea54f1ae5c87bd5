"""How good a network is on a data set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.base import Backend
from gpucnn.backends.interface.arrays import Array
from gpucnn.data import Batch
from gpucnn.layers import Network
from gpucnn.losses import Loss
from gpucnn.training.input_pipeline import InputPipeline

_UNREAD = 16
"""Batches whose scores stay on the device until they are read together: that is one wait."""


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation.

    Attributes:
        confusion: counts (classes, classes), rows the true class, columns the predicted one.
        loss: the mean loss.
    """

    confusion: NDArray[np.int64]
    loss: float

    @property
    def n(self) -> int:
        """The number of samples."""
        return int(self.confusion.sum())

    @property
    def correct(self) -> int:
        """How many were right."""
        return int(np.trace(self.confusion))

    @property
    def accuracy(self) -> float:
        """The share that was right."""
        return self.correct / self.n

    def class_accuracy(self) -> list[float | None]:
        """The share of each class that was right; None for a class without samples."""
        totals = self.confusion.sum(axis=1)
        right = np.diagonal(self.confusion)
        return [float(r / t) if t else None for r, t in zip(right, totals, strict=True)]

    def as_json(self, classes: Iterable[str]) -> dict[str, Any]:
        """Accuracy, loss and n, accuracy by class, and the confusion matrix."""
        return {
            "accuracy": self.accuracy,
            "loss": self.loss,
            "n": self.n,
            "class_accuracy": dict(zip(classes, self.class_accuracy(), strict=True)),
            "confusion": self.confusion.tolist(),
        }


def evaluate(
    network: Network, loss: Loss, pipeline: InputPipeline, batches: Iterable[Batch]
) -> Evaluation:
    """Runs the network over batches, in inference mode; it is put back into training mode.

    A row of scores with a NaN counts as predicted wrong (as the class after the true one).
    """
    backend = network.backend
    classes = network.output_shape[0]
    confusion = np.zeros((classes, classes), np.int64)
    totals = backend.zeros((2,), np.float64)
    unread: list[tuple[NDArray[np.int32], Array]] = []
    network.infer()
    for batch in batches:
        labels = pipeline.labels(batch)
        scores = network.forward(pipeline.inputs(batch))
        backend.accumulate_metrics(totals, loss.forward(backend, scores, labels), scores, labels)
        unread.append((batch.labels, scores))
        if len(unread) == _UNREAD:
            _count(confusion, backend, unread)
    _count(confusion, backend, unread)
    network.train()
    return Evaluation(confusion, float(backend.to_numpy(totals)[0]) / int(confusion.sum()))


def _count(
    confusion: NDArray[np.int64], backend: Backend, unread: list[tuple[NDArray[np.int32], Array]]
) -> None:
    """Reads scores and adds what they predict to the confusion matrix; none is unread then."""
    classes = len(confusion)
    for labels, scores in unread:
        host = backend.to_numpy(scores)
        predicted = np.where(
            np.isnan(host).any(axis=1), (labels + 1) % classes, host.argmax(axis=1)
        )
        np.add.at(confusion, (labels, predicted), 1)
    unread.clear()
