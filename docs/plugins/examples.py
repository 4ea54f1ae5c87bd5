"""One of each that a plugin can add without an operation of its own."""

from __future__ import annotations

import math

import numpy as np
from squared_relu import SquaredReLU

from gpucnn.data import ArrayDataset, DatasetPair, datasets
from gpucnn.errors import ConfigError
from gpucnn.layers import Conv2d, Layer, Linear, layers
from gpucnn.losses import Loss, losses
from gpucnn.models import models
from gpucnn.optim import schedules
from gpucnn.optim.schedules import Rule


@layers.register("global_max_pool2d")
class GlobalMaxPool2d(Layer):
    """The maximum of each channel, (H, W, C) to (C,)."""

    kind = "global_max_pool2d"

    def _declare(self, input_shape):
        H, W, C = self.take_image(input_shape)
        self._window = {"window": (H, W), "stride": (H, W), "padding": (0, 0)}
        return (C,)

    def forward(self, x):
        """Keeps where the maxima are."""
        self._x_shape = x.shape
        y, self._argmax = self.backend.max_pool2d_forward(x, **self._window)
        return y.reshape((x.shape[0], x.shape[3]))

    def backward(self, dy):
        """Routes each element of dy to its channel's maximum."""
        dy = dy.reshape((dy.shape[0], 1, 1, dy.shape[1]))
        return self.backend.max_pool2d_input_grad(dy, self._argmax, self._x_shape, **self._window)


@losses.register("mixed")
class Mixed(Loss):
    """(1 − share) · cross entropy + share · squared error.

    Args:
        share: of the squared error, from 0 to 1.
    """

    def __init__(self, share: float = 0.5) -> None:
        if not 0.0 <= share <= 1.0:
            raise ConfigError(f"share is {share}; it must be from 0 to 1")
        self.share = share

    def forward(self, backend, scores, labels):
        """Keeps what the gradients of both need."""
        self._scores, self._labels = scores, labels
        values, self._probabilities = backend.softmax_cross_entropy_forward(scores, labels, 0.0)
        squared = backend.mean_squared_error_forward(scores, labels)
        backend.update_average(values, squared, self.share)
        return values

    def backward(self, backend, global_batch):
        """The gradients of both, added up."""
        entropy = backend.softmax_cross_entropy_input_grad(
            self._probabilities, self._labels, 0.0, (1.0 - self.share) / global_batch
        )
        squared = backend.mean_squared_error_input_grad(
            self._scores, self._labels, self.share / global_batch
        )
        return backend.add(entropy, squared, out=entropy)


@schedules.register("warm_restarts")
class WarmRestarts(Rule):
    """Half a cosine from 1 to 0, again and again (Loshchilov, Hutter 2017).

    Args:
        every_epochs: the length of each.
        warmup_epochs: the length of a linear warm-up before the first.
    """

    continues = True

    def __init__(self, every_epochs: float = 10.0, warmup_epochs: float = 0.0) -> None:
        super().__init__(warmup_epochs)
        if every_epochs <= 0.0:
            raise ConfigError(f"every_epochs is {every_epochs}; it must be above 0")
        self.every_epochs = every_epochs

    def _factor(self, step, total_steps, steps_per_epoch):
        every = self.every_epochs * steps_per_epoch
        return (1.0 + math.cos(math.pi * (step % every) / every)) / 2.0


@datasets.register("stripes")
def stripes(side: int = 12, images: int = 600) -> DatasetPair:
    """Grey images with stripes that lie or stand, under noise.

    Args:
        side: pixels of a side, 4 or more.
        images: to train on; there are a third as many to test on.
    """
    if side < 4 or images < 6:
        raise ConfigError(f"side={side}, images={images}: use 4 or more, and 6 or more")
    return DatasetPair(_drawn(1, side, images), _drawn(2, side, images // 3))


def _drawn(seed, side, count):
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int32) % 2
    wave = 100 * np.sin(np.arange(side) + rng.uniform(0, 6, (count, 1)))
    lying = wave[:, :, None] + np.zeros(side)
    pixels = np.where(labels[:, None, None] == 0, lying, lying.transpose(0, 2, 1))
    noisy = 128 + pixels + rng.normal(0, 20, pixels.shape)
    return ArrayDataset(
        noisy.clip(0, 255).astype(np.uint8)[..., None], labels, ("lying", "standing")
    )


@models.register("small")
def small(width: int = 8) -> list[Layer]:
    """A convolution, squared ReLU, the maximum of each channel, a linear layer.

    Args:
        width: filters.
    """
    return [
        Conv2d(width, 3, padding="same"),
        SquaredReLU(),
        GlobalMaxPool2d(),
        Linear("classes"),
    ]
