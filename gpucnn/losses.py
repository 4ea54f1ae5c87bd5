"""Losses: a value a sample, and the gradient of their mean over the global batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from gpucnn.backends.base import Backend
from gpucnn.backends.interface.arrays import Array
from gpucnn.errors import ConfigError
from gpucnn.registry import Registry

_LARGEST_DELTA = 1e9


class Loss(ABC):
    """A function of a network's outputs (N, K) and what they should be.

    That is the target: labels int32 (N,), or numbers (N, K), which are those of a regression or,
    with classes, the share of each class. Outputs and numbers are in the backend's dtype.

    Attributes:
        takes_classes: whether the outputs may be scores of classes.
        takes_numbers: whether they may be the numbers of a regression.
    """

    takes_classes: ClassVar[bool] = True
    takes_numbers: ClassVar[bool] = False

    @abstractmethod
    def forward(self, backend: Backend, outputs: Array, target: Array) -> Array:
        """The loss of each sample, (N,) in the backend's dtype; keeps what ``backward`` needs.

        Raises:
            ShapeError: shapes or dtypes that do not fit.
        """

    @abstractmethod
    def backward(self, backend: Backend, global_batch: int) -> Array:
        """The gradient of Σ losses / global_batch with regard to the outputs, like these."""


def _are_labels(target: Array) -> bool:
    return len(target.shape) == 1


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
    """The mean over the outputs of (output − target)²; a class as a target is onehot."""

    takes_numbers = True

    def forward(self, backend: Backend, outputs: Array, target: Array) -> Array:
        """Keeps both."""
        self._outputs, self._target = outputs, target
        if _are_labels(target):
            return backend.mean_squared_error_forward(outputs, target)
        return backend.squared_error_forward(outputs, target)

    def backward(self, backend: Backend, global_batch: int) -> Array:
        """2 · (output − target) / outputs / global_batch."""
        scale = 1.0 / global_batch
        if _are_labels(self._target):
            return backend.mean_squared_error_input_grad(self._outputs, self._target, scale)
        return backend.squared_error_input_grad(self._outputs, self._target, scale)


@losses.register("huber")
class Huber(Loss):
    """Squared error up to delta, and linear beyond, so that outliers count less; for numbers.

    The mean over the outputs of d²/2 if |d| ≤ delta, else delta · (|d| − delta/2), with
    d = output − target.

    Args:
        delta: of normalised targets (data.normalise_targets), so in units of their deviation.
    """

    takes_classes, takes_numbers = False, True

    def __init__(self, delta: float = 1.0) -> None:
        if not 0.0 < delta <= _LARGEST_DELTA:
            raise ConfigError(
                f"delta is {delta}; it must be above 0, and {_LARGEST_DELTA:,.0f} or less"
            )
        self.delta = delta

    def forward(self, backend: Backend, outputs: Array, target: Array) -> Array:
        """Keeps both."""
        self._outputs, self._target = outputs, target
        return backend.huber_forward(outputs, target, self.delta)

    def backward(self, backend: Backend, global_batch: int) -> Array:
        """min(max(d, −delta), delta) / outputs / global_batch."""
        return backend.huber_input_grad(self._outputs, self._target, self.delta, 1.0 / global_batch)
