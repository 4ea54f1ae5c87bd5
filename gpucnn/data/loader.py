"""Batches of a data set, in an order that the seed and the epoch determine."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpucnn import random
from gpucnn.backends.interface.arrays import Array
from gpucnn.data.augmentation import Augmentation, Draw
from gpucnn.data.dataset import Dataset
from gpucnn.data.prefetch import WaitingTime, fetched_ahead
from gpucnn.data.targets import mixed, one_hot
from gpucnn.errors import ConfigError

_MOST_AHEAD = 4
"""Batches that are fetched ahead of the one in use, so that slow ones are made up for."""
_MOST_BYTES_AHEAD = 1 << 28
"""Of them together, if that leaves one."""


@dataclass(frozen=True)
class Batch:
    """n samples.

    Attributes:
        images: uint8 (n, H, W, C), NumPy's, or the backend's if ``on_device``.
        labels: int32 (n,); of an image that is mixed with another, that of the larger share.
        indices: int64 (n,), the samples' places in the data set.
        draw: how the images are to be augmented, or None.
        epoch: the number of the pass over the data.
        index: the batch's number in its epoch.
        on_device: whether the images are there already.
        targets: float32 (n, T) if the data set has some, or images are mixed; otherwise None.
    """

    images: Array
    labels: NDArray[np.int32]
    indices: NDArray[np.int64]
    draw: Draw | None
    epoch: int
    index: int
    on_device: bool = False
    targets: NDArray[np.float32] | None = None


class BatchLoader:
    """Cuts a data set into batches, anew in each epoch.

    The last batch of an epoch has what is left and may be smaller.

    Args:
        dataset: where samples come from. If it decodes on demand, threads fetch the next batches
            while the caller works on the present one.
        batch_size: samples a batch.
        seed: of the run.
        augmentation: what to draw for each sample, or None.
        shuffle: whether each epoch has an order of its own; if not, it is the data set's.
        is_idle: whether the device that works on the batches has nothing to do; see ``waiting``.

    Attributes:
        waiting: counts the time that whoever asks for batches waits for them. It is none for
            images in memory.

    Raises:
        ConfigError: a batch size below 1, or an augmentation that such images cannot have.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        seed: int,
        augmentation: Augmentation | None = None,
        shuffle: bool = True,
        is_idle: Callable[[], bool] = lambda: True,
    ) -> None:
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}; it must be 1 or more")
        if augmentation is not None:
            augmentation.check_images(dataset.image_shape)
            augmentation.check_targets(dataset.target_names)
        self.dataset = dataset
        self.batch_size = batch_size
        self.seed = seed
        self.augmentation = augmentation
        self.shuffle = shuffle
        self.waiting = WaitingTime(is_idle)

    def __len__(self) -> int:
        return -(-len(self.dataset) // self.batch_size)

    def order(self, epoch: int) -> NDArray[np.int64]:
        """The indices of all samples in the order of an epoch, int64 (N,)."""
        if not self.shuffle:
            return np.arange(len(self.dataset), dtype=np.int64)
        return random.permutation(self.seed, random.Stream.SAMPLE_ORDER, epoch, len(self.dataset))

    def batches(self, epoch: int, start: int = 0) -> Generator[Batch, None, None]:
        """The batches of an epoch, from number ``start`` on, in order.

        Raises:
            ConfigError: at the call, for a start that is not in [0, number of batches].
            DataError: while iterating, for an image that cannot be read.
        """
        if not 0 <= start <= len(self):
            raise ConfigError(f"batch {start} does not exist: an epoch has {len(self)} batches")
        order = self.order(epoch)

        def load(index: int) -> Batch:
            return self._load(order, epoch, index)

        numbers = range(start, len(self))
        if not self.dataset.on_demand:
            return (load(number) for number in numbers)
        batch_bytes = self.batch_size * math.prod(self.dataset.image_shape)
        ahead = max(1, min(_MOST_AHEAD, _MOST_BYTES_AHEAD // batch_bytes))
        return fetched_ahead(load, numbers, ahead, self.dataset.threads, self.waiting)

    def batch(self, epoch: int, index: int) -> Batch:
        """One batch of an epoch, as ``batches`` gives it; its images are taken anew.

        Raises:
            DataError: an image cannot be read.
        """
        return self._load(self.order(epoch), epoch, index)

    def _load(self, order: NDArray[np.int64], epoch: int, index: int) -> Batch:
        first, augmentation = index * self.batch_size, self.augmentation
        indices = order[first : first + self.batch_size]
        dataset, draw = self.dataset, None
        if augmentation is not None:
            draw = augmentation.draw(self.seed, epoch, indices, dataset.image_shape)
        labels = dataset.labels[indices]
        targets = None if dataset.targets is None else dataset.targets[indices]
        if draw is not None and draw.mix is not None and draw.own_share is not None:
            whole = one_hot(labels, len(dataset.classes)) if targets is None else targets
            labels, targets = mixed(labels, whole, draw.mix[:, 0], draw.own_share)
        return Batch(
            images=dataset.images(indices),
            labels=labels,
            indices=indices,
            draw=draw,
            epoch=epoch,
            index=index,
            on_device=dataset.on_device,
            targets=targets,
        )
