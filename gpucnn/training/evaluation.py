"""How good a network is on a data set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

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
        unclassified: samples of each class, (classes,), whose scores have a NaN, so that no class
            is predicted; they are not in ``confusion``. A single number stands for all classes.
    """

    confusion: NDArray[np.int64]
    loss: float
    unclassified: NDArray[np.int64] | int = 0

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

    def class_accuracy(self) -> list[float | None]:
        """The share of each class that was right; None for a class without samples."""
        right = np.diagonal(self.confusion)
        return [float(r / t) if t else None for r, t in zip(right, self.class_sizes(), strict=True)]

    def as_json(self, classes: Iterable[str]) -> dict[str, object]:
        """Accuracy, loss, n and how many are unclassified; by class, and the confusion matrix."""
        return {
            "accuracy": self.accuracy,
            "loss": self.loss,
            "n": self.n,
            "unclassified": self.n - int(self.confusion.sum()),
            "class_accuracy": dict(zip(classes, self.class_accuracy(), strict=True)),
            "confusion": self.confusion.tolist(),
        }


def evaluate(
    network: Network, loss: Loss, pipeline: InputPipeline, batches: Iterable[Batch]
) -> Evaluation:
    """Runs the network over batches, in inference mode; it is put back into training mode.

    Args:
        network: on the backend that evaluates.
        loss: whose mean is taken.
        pipeline: from batches to inputs, on the same backend.
        batches: one or more, in any order.
    """
    backend = network.backend
    classes = network.output_shape[0]
    counts = np.zeros((classes, classes + 1), np.int64)
    totals = backend.zeros((2,), np.float64)
    unread: list[tuple[NDArray[np.int32], Array]] = []
    network.infer()
    try:
        for batch in batches:
            labels = pipeline.labels(batch)
            scores = network.forward(pipeline.inputs(batch))
            losses = loss.forward(backend, scores, labels)
            backend.accumulate_metrics(totals, losses, scores, labels)
            unread.append((batch.labels, scores))
            if len(unread) == _UNREAD:
                _count(counts, backend, unread)
        _count(counts, backend, unread)
    finally:
        network.train()
    mean_loss = float(backend.to_numpy(totals)[0]) / int(counts.sum())
    return Evaluation(counts[:, :classes], mean_loss, counts[:, classes])


def _count(
    counts: NDArray[np.int64], backend: Backend, unread: list[tuple[NDArray[np.int32], Array]]
) -> None:
    """Reads scores and counts what they predict; none is unread afterwards.

    Args:
        counts: (classes, classes + 1), rows the true class; the last column is for rows of scores
            that have a NaN, the others for the predicted classes.
        backend: that has the scores.
        unread: labels and scores.
    """
    for labels, scores in unread:
        host = backend.to_numpy(scores)
        is_number = ~np.isnan(host).any(axis=1)
        np.add.at(counts, (labels, np.where(is_number, host.argmax(axis=1), host.shape[1])), 1)
    unread.clear()
