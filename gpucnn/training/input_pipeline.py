"""From batches of bytes on the host to normalised inputs on the backend."""

from __future__ import annotations

import numpy as np

from gpucnn.backends.base import Backend
from gpucnn.backends.interface.arrays import Array
from gpucnn.data import Batch, Normalisation


class InputPipeline:
    """Moves a batch to the backend and prepares it there.

    Args:
        backend: where inputs go.
        normalisation: mean and deviation of each channel, of pixels in [0, 1].
    """

    def __init__(self, backend: Backend, normalisation: Normalisation) -> None:
        std = np.asarray(normalisation.std, np.float64)
        mean = np.asarray(normalisation.mean, np.float64)
        self.backend = backend
        self._scale = backend.asarray(1.0 / (255.0 * std))
        self._offset = backend.asarray(-mean / std)

    def inputs(self, batch: Batch) -> Array:
        """The inputs (N, H, W, C) of a batch, augmented as its draw says."""
        draw = batch.draw
        flip = None if draw is None or draw.flip is None else self.backend.asarray(draw.flip)
        shift = None if draw is None or draw.shift is None else self.backend.asarray(draw.shift)
        images = batch.images if batch.on_device else self.backend.upload(np.asarray(batch.images))
        return self.backend.augment_images(images, self._scale, self._offset, flip, shift)

    def labels(self, batch: Batch) -> Array:
        """The labels int32 (N,)."""
        return self.backend.asarray(batch.labels, np.int32)
