"""Losses to time, their gradients, and the running totals of a trainer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.base import Backend
from gpucnn.backends.geometry import Shape
from gpucnn.backends.interface.arrays import Array
from gpucnn.bench.problems.base import Problem, as_integers, total_bytes
from gpucnn.bench.timing import Run

_SMOOTHING = 0.1


@dataclass(frozen=True)
class Loss(Problem):
    """Over scores (N, K) and labels (N,).

    Attributes:
        operations_each: floating-point operations for each score.
    """

    name: str
    N: int
    K: int
    operations_each: ClassVar[int]

    @property
    def shape_text(self) -> str:
        """Such as "64×1000"."""
        return f"{self.N}×{self.K}"

    @property
    def flops(self) -> int:
        """As many for each score; what is done once a row does not count."""
        return self.operations_each * self.N * self.K

    @property
    def traffic(self) -> int:
        """Scores, labels, and a gradient like the scores."""
        return total_bytes((self.N, self.K), (self.N,), (self.N, self.K))

    def input_shapes(self) -> Sequence[Shape]:
        """Scores and labels."""
        return (self.N, self.K), (self.N,)

    def inputs(self) -> list[NDArray[np.float32]]:
        """Labels are last."""
        *others, _ = super().inputs()
        labels = np.random.default_rng(0).integers(self.K, size=self.N)
        return [*others, labels.astype(np.float32)]


class CrossEntropyForward(Loss):
    """Softmax cross-entropy with smoothed labels: losses and probabilities."""

    operation = "softmax_cross_entropy_forward"
    operations_each = 6
    """A comparison, a difference, an exponential, two sums (one of them of scores) and a ratio."""

    @property
    def traffic(self) -> int:
        """Scores, labels, losses and probabilities."""
        return super().traffic + total_bytes((self.N,))

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """Losses and probabilities."""
        scores, labels = arrays[0], as_integers(backend, arrays[1], np.int32)
        return lambda: backend.softmax_cross_entropy_forward(scores, labels, _SMOOTHING)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """Losses; PyTorch keeps the logarithms of the probabilities."""
        scores, labels = tensors[0], tensors[1].long()
        return lambda: torch.nn.functional.cross_entropy(
            scores, labels, reduction="none", label_smoothing=_SMOOTHING
        )


class CrossEntropyInputGrad(Loss):
    """The gradient of the mean of the losses, from the probabilities."""

    operation = "softmax_cross_entropy_input_grad"
    operations_each = 2

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """dlogits."""
        scores, labels = arrays[0], as_integers(backend, arrays[1], np.int32)
        probabilities = backend.softmax(scores)
        return lambda: backend.softmax_cross_entropy_input_grad(
            probabilities, labels, _SMOOTHING, 1 / self.N
        )

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """dlogits, by PyTorch's automatic differentiation."""
        scores, labels = tensors[0].detach().requires_grad_(), tensors[1].long()
        loss = torch.nn.functional.cross_entropy(scores, labels, label_smoothing=_SMOOTHING)
        return lambda: torch.autograd.grad(loss, scores, retain_graph=True)


class Softmax(Loss):
    """Probabilities of each row."""

    operation = "softmax"
    operations_each = 5

    @property
    def traffic(self) -> int:
        """Scores and probabilities."""
        return total_bytes((self.N, self.K), (self.N, self.K))

    def input_shapes(self) -> Sequence[Shape]:
        """Scores."""
        return ((self.N, self.K),)

    def inputs(self) -> list[NDArray[np.float32]]:
        """Without labels."""
        return Problem.inputs(self)

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """Probabilities."""
        (scores,) = arrays
        return lambda: backend.softmax(scores)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """Probabilities."""
        (scores,) = tensors
        return lambda: torch.softmax(scores, 1)


class SquaredErrorForward(Loss):
    """The mean of squares of differences from the label's unit vector."""

    operation = "mean_squared_error_forward"
    operations_each = 3

    @property
    def traffic(self) -> int:
        """Scores, labels and losses."""
        return total_bytes((self.N, self.K), (self.N,), (self.N,))

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """Losses."""
        scores, labels = arrays[0], as_integers(backend, arrays[1], np.int32)
        return lambda: backend.mean_squared_error_forward(scores, labels)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """Losses, in two calls; it is given the unit vectors."""
        scores, targets = tensors[0], _unit_vectors(torch, *tensors)
        mse_loss = torch.nn.functional.mse_loss
        return lambda: mse_loss(scores, targets, reduction="none").mean(1)


class SquaredErrorInputGrad(Loss):
    """The gradient of the mean of the losses."""

    operation = "mean_squared_error_input_grad"
    operations_each = 2

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """The gradient."""
        scores, labels = arrays[0], as_integers(backend, arrays[1], np.int32)
        return lambda: backend.mean_squared_error_input_grad(scores, labels, 1 / self.N)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """The gradient; it is given the unit vectors."""
        scores, targets = tensors[0], _unit_vectors(torch, *tensors)
        one, of_mean = scores.new_ones(()), 1
        return lambda: torch.ops.aten.mse_loss_backward(one, scores, targets, of_mean)


class AccumulateMetrics(Loss):
    """The sum of losses, and the count of rows that are right, added to totals."""

    operation = "accumulate_metrics"
    operations_each = 1

    @property
    def traffic(self) -> int:
        """Losses, scores and labels."""
        return total_bytes((self.N,), (self.N, self.K), (self.N,))

    def input_shapes(self) -> Sequence[Shape]:
        """Losses, scores and labels."""
        return (self.N,), (self.N, self.K), (self.N,)

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """The totals."""
        losses, scores, labels = *arrays[:2], as_integers(backend, arrays[2], np.int32)
        totals = backend.zeros((2,), np.float64)

        def run() -> Array:
            backend.accumulate_metrics(totals, losses, scores, labels)
            return totals

        return run

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """The totals, in several calls."""
        losses, scores, labels = *tensors[:2], tensors[2].long()
        totals = scores.new_zeros((2,), dtype=torch.float64)

        def run() -> Any:
            right = (scores.argmax(1) == labels).sum()
            return totals.add_(torch.stack([losses.sum(), right]))

        return run


def _unit_vectors(torch: Any, scores: Any, labels: Any) -> Any:
    return torch.nn.functional.one_hot(labels.long(), scores.shape[1]).to(scores.dtype)


PASSES = (
    CrossEntropyForward,
    CrossEntropyInputGrad,
    Softmax,
    SquaredErrorForward,
    SquaredErrorInputGrad,
    AccumulateMetrics,
)
