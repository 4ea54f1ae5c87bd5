"""Losses: a value a sample, and the gradient of their mean over the global batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.base import Backend
from gpucnn.backends.interface.arrays import Array
from gpucnn.data.targets import one_hot
from gpucnn.errors import ConfigError, check_range
from gpucnn.registry import Registry

_LARGEST_DELTA = 1e9
_LARGEST_WEIGHT = 1e6


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

    def prepare(self, class_sizes: NDArray[np.integer]) -> None:  # noqa: B027 # few have to
        """Takes into account how many training samples of each class there are; before training.

        Raises:
            ConfigError: an option that does not fit these classes.
        """

    def target(
        self,
        labels: NDArray[np.int32],
        targets: NDArray[np.floating] | None,
        is_training: bool,
    ) -> NDArray[Any]:
        """What ``forward`` takes as the target of a batch, as NumPy's array.

        Args:
            labels: (N,).
            targets: numbers or shares of classes (N, K), or None if there are labels alone.
            is_training: whether to learn from it, rather than to evaluate.
        """
        return labels if targets is None else targets

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
    """−Σ w·t·log softmax(scores), from logits, with w = 1 unless classes are weighted.

    Weights are for training alone; an evaluation weights all classes alike. The mean over a batch
    divides by its samples, not by the sum of their weights.

    Args:
        label_smoothing: the share of the target that is spread over all classes.
        class_weights: a weight for each class, or "balanced" for N/(K·n) with N training samples
            in K classes, n of them in the class; all are 1 if left out.
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        class_weights: list[float] | Literal["balanced"] | None = None,
    ) -> None:
        if not 0.0 <= label_smoothing < 1.0:
            raise ConfigError(
                f"label_smoothing is {label_smoothing}; it must be at least 0 and below 1"
            )
        if isinstance(class_weights, list):
            for weight in class_weights:
                check_range("a number in class_weights", weight, 0.0, _LARGEST_WEIGHT)
            if not any(class_weights):
                raise ConfigError("class_weights has no number above 0, so nothing would be learnt")
        self.label_smoothing, self.class_weights = label_smoothing, class_weights
        self._weights: NDArray[np.float64] | None = None

    def prepare(self, class_sizes: NDArray[np.integer]) -> None:
        """Makes the weights of classes, if they are to have any."""
        if self.class_weights is None:
            return
        K = len(class_sizes)
        if isinstance(self.class_weights, list):
            if len(self.class_weights) != K:
                raise ConfigError(
                    f"class_weights has {len(self.class_weights)} numbers; there are {K} classes, "
                    f"and each needs one"
                )
            self._weights = np.array(self.class_weights, np.float64)
        else:
            # A class without samples is in no target.
            self._weights = class_sizes.sum() / (K * np.maximum(class_sizes, 1))

    def target(
        self,
        labels: NDArray[np.int32],
        targets: NDArray[np.floating] | None,
        is_training: bool,
    ) -> NDArray[Any]:
        """Labels, or soft targets that smoothing and weights are folded into."""
        weights = self._weights if is_training else None
        if targets is None:
            if weights is None:
                return labels
            targets = one_hot(labels, weights.size)
        share = self.label_smoothing
        exact = np.asarray(targets, np.float64)
        soft: NDArray[np.float64] = (1.0 - share) * exact + share / targets.shape[1]
        if weights is not None:
            soft *= weights
        return soft

    def forward(self, backend: Backend, scores: Array, target: Array) -> Array:
        """Keeps the probabilities."""
        self._target = target
        if _are_labels(target):
            losses, self._probabilities = backend.softmax_cross_entropy_forward(
                scores, target, self.label_smoothing
            )
        else:
            losses, self._probabilities = backend.soft_cross_entropy_forward(scores, target)
        return losses

    def backward(self, backend: Backend, global_batch: int) -> Array:
        """(p·Σt − t) / global_batch."""
        probabilities, scale = self._probabilities, 1.0 / global_batch
        if _are_labels(self._target):
            return backend.softmax_cross_entropy_input_grad(
                probabilities, self._target, self.label_smoothing, scale
            )
        return backend.soft_cross_entropy_input_grad(probabilities, self._target, scale)


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
