"""A whole training run in PyTorch: the same network, batches, augmentation and schedule as ours."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpucnn.backends.base import Backend
from gpucnn.bench.torch_device import TorchDevice
from gpucnn.bench.torch_peer import to_torch, torch_loss, torch_optimizer
from gpucnn.config import Config
from gpucnn.data import Batch, BatchLoader, Dataset, DatasetPair, Normalisation, channel_statistics
from gpucnn.errors import ConfigError
from gpucnn.layers import Network


class TorchTraining:
    """PyTorch with all images on its device, as bytes.

    Args:
        config: what to train, on what, and how; without a validation split and clipping.
        data: the data set.
        backend: ours, which draws the initial weights.
        torch: PyTorch's device.
        memory_format: of activations and filters.

    Raises:
        ConfigError: there is no counterpart of something in the config.
    """

    def __init__(
        self,
        config: Config,
        data: DatasetPair,
        backend: Backend,
        torch: TorchDevice,
        memory_format: str = "contiguous",
    ) -> None:
        training = config.training
        if config.data.validation or training.clip_norm or training.clip_value:
            raise ConfigError(
                "the comparison has neither a validation split nor clipping; set data.validation, "
                "training.clip_norm and training.clip_value to nothing"
            )
        self.config, self.device, self._torch = config, torch, torch.torch
        self._format = torch.memory_format(memory_format)
        classes = len(data.train.classes)
        network = Network(
            config.build_model(), data.train.image_shape, classes, backend, config.seed
        )
        self.module = to_torch(network).train().to(torch.name, memory_format=self._format)
        ours = config.build_optimizer()
        self.learning_rate = ours.learning_rate
        self.optimizer = torch_optimizer(self.module, ours)
        self.loss = torch_loss(config.build_loss())
        self.schedule = config.build_schedule()
        self.loader = BatchLoader(
            data.train, training.batch_size, config.seed, config.build_augmentation()
        )
        self._train, self._test = self._images(data.train), self._images(data.test)
        self._test_labels = self._tensor(data.test.labels.astype(np.int64))
        self._train_labels = self._tensor(data.train.labels.astype(np.int64))
        self._scale, self._offset = self._normalisation(
            channel_statistics(data.train) if config.data.normalise else None
        )

    def fit(self) -> float:
        """Trains, with an evaluation after each epoch; the accuracy on the test split."""
        step, accuracy = 0, 0.0
        for epoch in range(self.config.training.epochs):
            for batch in self.loader.batches(epoch):
                self.train_step(batch, step)
                step += 1
            accuracy = self.evaluate()
        return accuracy

    def train_step(self, batch: Batch, step: int) -> None:
        """Forward, loss, backward, optimizer."""
        total = self.config.training.epochs * len(self.loader)
        factor = self.schedule.factor(step, total, len(self.loader))
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * factor
        indices = self._tensor(batch.indices)
        x = self._augmented(self._train[indices], batch)
        self.optimizer.zero_grad()
        self.loss(self.module(x), self._train_labels[indices]).backward()
        self.optimizer.step()

    def evaluate(self) -> float:
        """The share of the test split that is right."""
        torch, size = self._torch, self.config.training.evaluation_batch_size
        self.module.eval()
        right = torch.zeros((), dtype=torch.int64, device=self.device.name)
        with torch.no_grad():
            for first in range(0, len(self._test), size):
                part = slice(first, first + size)
                scores = self.module(self._normalised(self._test[part]))
                right += (scores.argmax(1) == self._test_labels[part]).sum()
        self.module.train()
        return float(right) / len(self._test)

    def _images(self, dataset: Dataset) -> Any:
        return self._tensor(dataset.images(np.arange(len(dataset))))

    def _tensor(self, array: Any) -> Any:
        return self._torch.from_numpy(np.ascontiguousarray(array)).to(self.device.name)

    def _normalisation(self, normalisation: Normalisation | None) -> tuple[Any, Any]:
        """1/(255·std) and −mean/std, as the input pipeline has them."""
        channels = self._train.shape[3]
        mean = np.array(normalisation.mean if normalisation else (0.0,) * channels)
        std = np.array(normalisation.std if normalisation else (1.0,) * channels)
        scale, offset = 1.0 / (255.0 * std), -mean / std
        return self._tensor(scale.astype(np.float32)), self._tensor(offset.astype(np.float32))

    def _normalised(self, images: Any) -> Any:
        """Bytes (N, H, W, C) to an input (N, C, H, W)."""
        x = images.float() * self._scale + self._offset
        return x.permute(0, 3, 1, 2).contiguous(memory_format=self._format)

    def _augmented(self, images: Any, batch: Batch) -> Any:
        """Flips and crops with a reflected border, then normalises."""
        draw, torch = batch.draw, self._torch
        if draw is None:
            return self._normalised(images)
        N, H, W, _ = images.shape
        rows = torch.arange(H, device=self.device.name).expand(N, H)
        columns = torch.arange(W, device=self.device.name).expand(N, W)
        if draw.shift is not None:
            shift = self._tensor(draw.shift.astype(np.int64))
            rows, columns = _reflect(rows + shift[:, :1], H), _reflect(columns + shift[:, 1:], W)
        if draw.flip is not None:
            flip = self._tensor(draw.flip.astype(np.int64))[:, None]
            columns = torch.where(flip == 1, W - 1 - columns, columns)
        samples = torch.arange(N, device=self.device.name)[:, None, None]
        return self._normalised(images[samples, rows[:, :, None], columns[:, None, :]])


def _reflect(index: Any, size: int) -> Any:
    """Folds indices back into [0, size) at the borders, the edge not repeated."""
    index = index.abs()
    return index.where(index < size, 2 * (size - 1) - index)
