"""A whole training run in PyTorch: the same network, batches, augmentation and schedule as ours."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.base import Backend
from gpucnn.bench.torch_device import TorchDevice
from gpucnn.bench.torch_peer import to_torch, torch_loss, torch_optimizer
from gpucnn.config import Config
from gpucnn.config_tables import Finetune
from gpucnn.data import Batch, BatchLoader, Dataset, DatasetPair, Normalisation, channel_statistics
from gpucnn.errors import ConfigError
from gpucnn.layers import Network


class TorchImages(Dataset):
    """A data set whose images are on PyTorch's device, where batches of them are gathered.

    Args:
        dataset: where the images come from; it is not needed any more.
        torch: PyTorch's device.
    """

    on_device = True

    def __init__(self, dataset: Dataset, torch: TorchDevice) -> None:
        self.image_shape, self.classes = dataset.image_shape, dataset.classes
        self.labels = dataset.labels
        self.targets, self.target_names = dataset.targets, dataset.target_names
        self._torch = torch
        self._images = torch.upload(dataset.images(np.arange(len(dataset))))

    def images(self, indices: NDArray[np.integer]) -> Any:
        """A tensor, uint8 (n, H, W, C), with the images at these indices."""
        return self._images[self._torch.enqueue(indices)]


class TorchTraining:
    """PyTorch with all images on its device, as bytes.

    Args:
        config: what to train, on what, and how; without a validation split and clipping.
        data: the data set.
        backend: ours, which draws the initial weights.
        torch: PyTorch's device.

    Raises:
        ConfigError: there is no counterpart of something in the config.
    """

    def __init__(
        self, config: Config, data: DatasetPair, backend: Backend, torch: TorchDevice
    ) -> None:
        training = config.training
        if config.data.validation or training.clip_norm or training.clip_value:
            raise ConfigError(
                "the comparison has neither a validation split nor clipping; leave "
                "data.validation, training.clip_norm and training.clip_value out of the config"
            )
        if training.accumulate > 1 or training.ema_decay is not None:
            raise ConfigError(
                "in the comparison a step has one batch, and no average of weights is kept; leave "
                "training.accumulate and training.ema_decay out of the config"
            )
        augmentation = config.build_augmentation()
        if not augmentation.moves_only:
            raise ConfigError(
                "the comparison mirrors and shifts images and changes nothing else; leave the "
                "other keys of [augment] out of the config"
            )
        self.config, self.device, self._torch = config, torch, torch.torch
        if config.finetune != Finetune():
            raise ConfigError("the comparison starts from nothing; leave [finetune] out")
        classes = len(data.train.classes)
        network = Network(
            config.build_model(), data.train.image_shape, classes, backend, config.seed
        )
        self.module = to_torch(network).train().to(torch.name)
        ours = config.build_optimizer()
        self.learning_rate = ours.learning_rate
        self.optimizer = torch_optimizer(self.module, ours)
        self.loss = torch_loss(config.build_loss())
        self.schedule = config.build_schedule()
        self.loader = BatchLoader(
            TorchImages(data.train, torch),
            training.batch_size,
            config.seed,
            augmentation,
        )
        self._test = BatchLoader(
            TorchImages(data.test, torch),
            training.evaluation_batch_size,
            config.seed,
            shuffle=False,
        )
        self._totals = self._zeros()
        self._scale, self._offset = self._normalisation(
            channel_statistics(data.train) if config.data.normalise else None
        )

    def fit(self) -> float:
        """Trains, with an evaluation after each epoch and one at the end, as ours has them.

        Returns:
            The accuracy on the test split.
        """
        step = 0
        for epoch in range(self.config.epochs):
            for batch in self.loader.batches(epoch):
                self.train_step(batch, step)
                step += 1
            self._totals.tolist()  # the epoch's line
            self._totals = self._zeros()
            self.evaluate()
        return self.evaluate()

    def train_step(self, batch: Batch, step: int) -> None:
        """Forward, loss, backward, optimizer; and the epoch's loss and accuracy so far."""
        total = self.config.epochs * len(self.loader)
        factor = self.schedule.factor(step, total, len(self.loader))
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * factor
        labels = self._labels(batch)
        self.optimizer.zero_grad()
        scores = self.module(self._augmented(batch))
        loss = self.loss(scores, labels)
        loss.backward()
        self.optimizer.step()
        self._count(self._totals, loss, scores, labels)

    def evaluate(self) -> float:
        """Loss and accuracy on the test split, of which the accuracy is returned."""
        totals = self._zeros()
        self.module.eval()
        with self._torch.no_grad():
            for batch in self._test.batches(0):
                labels = self._labels(batch)
                scores = self.module(self._normalised(batch.images))
                self._count(totals, self.loss(scores, labels), scores, labels)
        self.module.train()
        _, right = totals.tolist()
        return float(right) / len(self._test.dataset)

    def _zeros(self) -> Any:
        return self._torch.zeros(2, dtype=self._torch.float64, device=self.device.name)

    def _count(self, totals: Any, loss: Any, scores: Any, labels: Any) -> None:
        """Adds the sum of a batch's losses and how many are right to the totals."""
        totals[0] += loss.detach() * len(labels)
        totals[1] += (scores.argmax(1) == labels).sum()

    def _labels(self, batch: Batch) -> Any:
        return self.device.enqueue(batch.labels.astype(np.int64))

    def _normalisation(self, normalisation: Normalisation | None) -> tuple[Any, Any]:
        """1/(255·std) and −mean/std, as the input pipeline has them."""
        channels = self.loader.dataset.image_shape[2]
        mean = np.array(normalisation.mean if normalisation else (0.0,) * channels)
        std = np.array(normalisation.std if normalisation else (1.0,) * channels)
        scale, offset = 1.0 / (255.0 * std), -mean / std
        upload = self.device.upload
        return upload(scale.astype(np.float32)), upload(offset.astype(np.float32))

    def _normalised(self, images: Any) -> Any:
        """Bytes (N, H, W, C) to an input (N, C, H, W)."""
        x = images.float() * self._scale + self._offset
        return x.permute(0, 3, 1, 2).contiguous()

    def _augmented(self, batch: Batch) -> Any:
        """Flips and crops with a reflected border, then normalises."""
        images: Any = batch.images
        draw, torch = batch.draw, self._torch
        if draw is None:
            return self._normalised(images)
        N, H, W, _ = images.shape
        rows = torch.arange(H, device=self.device.name).expand(N, H)
        columns = torch.arange(W, device=self.device.name).expand(N, W)
        if draw.shift is not None:
            shift = self.device.enqueue(draw.shift.astype(np.int64))
            rows, columns = _reflect(rows + shift[:, :1], H), _reflect(columns + shift[:, 1:], W)
        if draw.flip is not None:
            flip = self.device.enqueue(draw.flip.astype(np.int64))[:, None]
            columns = torch.where(flip == 1, W - 1 - columns, columns)
        samples = torch.arange(N, device=self.device.name)[:, None, None]
        return self._normalised(images[samples, rows[:, :, None], columns[:, None, :]])


def _reflect(index: Any, size: int) -> Any:
    """Folds indices back into [0, size) at the borders, the edge not repeated."""
    index = index.abs()
    return index.where(index < size, 2 * (size - 1) - index)
