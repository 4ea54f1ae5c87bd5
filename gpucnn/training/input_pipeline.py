"""From batches of bytes on the host to normalised inputs on the backend."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gpucnn.backends.base import Backend
from gpucnn.backends.interface.arrays import Array
from gpucnn.data import CHANGES, Batch, Draw, Normalisation
from gpucnn.losses import Loss


class Truth(NamedTuple):
    """What the outputs for a batch should be.

    Attributes:
        target: what a loss compares them with: labels int32 (n,), or targets (n, T).
        judged: what the metrics compare them with: labels or, in a regression, targets.
    """

    target: Array
    judged: Array


class InputPipeline:
    """Moves a batch to the backend and prepares it there.

    Args:
        backend: where inputs go.
        normalisation: mean and deviation of each channel, of pixels in [0, 1].
        target_normalisation: of the numbers of a regression; None in a classification.
    """

    def __init__(
        self,
        backend: Backend,
        normalisation: Normalisation,
        target_normalisation: Normalisation | None = None,
    ) -> None:
        std = np.asarray(normalisation.std, np.float64)
        mean = np.asarray(normalisation.mean, np.float64)
        self.backend = backend
        self._scale = backend.asarray(1.0 / (255.0 * std))
        self._offset = backend.asarray(-mean / std)
        self._fill = backend.asarray(np.rint(255.0 * mean).clip(0, 255), np.uint8)
        self._target_normalisation = target_normalisation

    def inputs(self, batch: Batch) -> Array:
        """The inputs (N, H, W, C) of a batch, augmented as its draw says."""
        images = batch.images if batch.on_device else self.backend.upload(np.asarray(batch.images))
        return self.backend.augment_images(
            images, self._scale, self._offset, **self._changes(batch.draw)
        )

    def _changes(self, draw: Draw | None) -> dict[str, Array]:
        """What is drawn, by the names that ``augment_images`` has for it."""
        if draw is None:
            return {}
        drawn = {name: getattr(draw, name) for name in CHANGES}
        changes = {
            name: self.backend.asarray(array, array.dtype)
            for name, array in drawn.items()
            if array is not None
        }
        return changes | ({"fill": self._fill} if "hole" in changes else {})

    def labels(self, batch: Batch) -> Array:
        """The labels int32 (N,)."""
        return self.backend.asarray(batch.labels, np.int32)

    def truth(self, batch: Batch, loss: Loss, is_training: bool = False) -> Truth:
        """What the outputs for a batch should be; the numbers of a regression are normalised.

        Args:
            batch: with labels, and targets if there are any.
            loss: that compares outputs with it.
            is_training: whether to learn from it, rather than to evaluate.
        """
        targets, normalisation = batch.targets, self._target_normalisation
        if targets is not None and normalisation is not None:
            targets = (targets - np.array(normalisation.mean)) / np.array(normalisation.std)
        target = loss.target(batch.labels, targets, is_training)
        if target is batch.labels:
            labels = self.labels(batch)
            return Truth(labels, labels)
        there = self.backend.asarray(target)
        return Truth(there, self.labels(batch) if normalisation is None else there)
