"""Losses: a value a sample, and the gradient of their mean over the global batch."""

from __future__ import annotations

from abc import ABC, abstractmethod

from gpucnn.backends.base import Backend
from gpucnn.backends.interface.arrays import Array
from gpucnn.errors import ConfigError
from gpucnn.registry import Registry


class Loss(ABC):
    """A function of scores (N, classes), in the backend's dtype, and labels int32 (N,)."""

    @abstractmethod
    def forward(self, backend: Backend, scores: Array, labels: Array) -> Array:
        """The loss of each sample, (N,) in the backend's dtype; keeps what ``backward`` needs.

        Raises:
            ShapeError: shapes or dtypes that do not fit.
        """

    @abstractmethod
    def backward(self, backend: Backend, global_batch: int) -> Array:
        """The gradient of Σ losses / global_batch with regard to the scores, like these."""


losses: Registry[Loss] = Registry("loss")


@losses.register("softmax_cross_entropy")
class SoftmaxCrossEntropy(Loss):
    """−Σ t·log softmax(scores), from logits.

    Args:
        label_smoothing: the share of the target that is spread over all classes.
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        if not 0.0 <= label_smoothing < 1.0:
            raise ConfigError(
                f"label_smoothing is {label_smoothing}; it must be at least 0 and below 1"
            )
        self.label_smoothing = label_smoothing

    def forward(self, backend: Backend, scores: Array, labels: Array) -> Array:
        """Keeps the probabilities."""
        self._labels = labels
        losses, self._probabilities = backend.softmax_cross_entropy_forward(
            scores, labels, self.label_smoothing
        )
        return losses

    def backward(self, backend: Backend, global_batch: int) -> Array:
        """(p − t) / global_batch."""
        return backend.softmax_cross_entropy_input_grad(
            self._probabilities, self._labels, self.label_smoothing, 1.0 / global_batch
        )


@losses.register("mean_squared_error")
class MeanSquaredError(Loss):
    """The mean over the classes of (score − onehot)²."""

    def forward(self, backend: Backend, scores: Array, labels: Array) -> Array:
        """Keeps the scores."""
        self._scores, self._labels = scores, labels
        return backend.mean_squared_error_forward(scores, labels)

    def backward(self, backend: Backend, global_batch: int) -> Array:
        """2 · (score − onehot) / classes / global_batch."""
        return backend.mean_squared_error_input_grad(self._scores, self._labels, 1.0 / global_batch)
