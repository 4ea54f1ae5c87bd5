"""Losses, a value a sample, and their gradients; over scores (N, K) and labels (N,)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gpucnn.errors import ShapeError
from gpucnn.operations.problem import (
    Arguments,
    Expectation,
    Operand,
    Problem,
    Shape,
    Timed,
    as_text,
)
from gpucnn.operations.sampling import Generator, chosen, integer, normal, speckled
from gpucnn.operations.tracked import Tracked, stack

_SMOOTHING = 0.1
SPOILING = (np.nan, np.inf)
"""A row with one of these has no probabilities."""
_SMALLEST = -1e4
"""Its exponential is 0, as that of −∞ is."""
_CLASSES = (10, 129, 1, 33, 300, 2, 3, 1030, 32, 31)
_BATCHES = (
    ("quick-loss", "quick", 32, 100),
    ("resnet-loss", "telling", 64, 1000),
    ("resnet9-loss", "cifar", 512, 10),
    ("lenet-loss", "lenet", 128, 10),
)
"""Names, groups, samples and classes worth timing."""


def check_smoothing(label_smoothing: float) -> None:
    """Raises ShapeError for a label smoothing that is not in [0, 1)."""
    if not 0.0 <= label_smoothing < 1.0:
        raise ShapeError(f"label_smoothing is {label_smoothing}; use 0 or more and below 1")


@dataclass(frozen=True)
class Scored(Problem):
    """Something computed from scores (N, K), such as logits, and mostly from labels, int32 (N,).

    Attributes:
        shape: of the scores.
    """

    flops_each: ClassVar[int]
    """Floating-point operations a score."""

    shape: Shape

    def __post_init__(self) -> None:
        if len(self.shape) != 2 or self.shape[1] < 1:
            raise ShapeError(f"scores have shape {self.shape}; a loss takes (N, K), K at least 1")

    def _operands(self) -> Iterable[Operand | None]:
        for name in (*self.takes, *self.gives):
            dtype = self.dtypes.storage if name in self.takes else self.dtypes.result
            if name == "labels":
                yield Operand(self.shape[:1], np.dtype(np.int32))
            else:
                yield Operand(self.shape[:1] if name == "losses" else self.shape, dtype)

    @property
    def flops(self) -> int:
        """So many a score; what is done once a row is no operation here."""
        return self.flops_each * self.shape[0] * self.shape[1]

    @property
    def text(self) -> str:
        """The shape of the scores."""
        return as_text(self.shape)

    @classmethod
    def timed(cls) -> Iterable[Timed]:
        """The last layers of well-known networks."""
        for name, group, N, K in _BATCHES:
            numbers = {"label_smoothing": _SMOOTHING, "delta": 1.0, "scale": 1 / N}
            values: Mapping[str, Callable[[NDArray[np.float32]], NDArray[Any]]] = {
                "labels": partial(_labels, K),
                "probabilities": probabilities_of,
                "targets": probabilities_of,
                "totals": np.zeros_like,
            }
            yield Timed(
                name, group, cls((N, K)), {each: numbers[each] for each in cls.numbers}, values
            )


def _labels(K: int, drawn: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.random.default_rng(0).integers(K, size=drawn.shape).astype(np.float32)


def probabilities_of(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Softmax of rows of scores whose exponentials do not overflow."""
    powers = np.exp(scores)
    probabilities: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def draw_scores(rng: Generator, number: int) -> Arguments:
    """Scores and labels, of so few classes as one and of more than a block has threads."""
    K = _CLASSES[number % len(_CLASSES)]
    N = integer(rng, 1, max(1, min(300, 3000 // K)))
    labels = rng.integers(0, K, N, np.int32)
    return {"scores": 3 * normal(rng, N, K), "labels": labels}


def draw_logits(rng: Generator, number: int) -> Arguments:
    """Some rows have a score, of the first class, the last or any, that is so large that e to its
    power is infinite.
    """
    drawn = draw_scores(rng, number)
    N, K = drawn["scores"].shape
    place = rng.choice([0, K - 1, integer(rng, 0, K - 1)], N)
    drawn["scores"][np.arange(N), place] += rng.choice([0, 200], N)
    return drawn


def shifted(logits: Tracked) -> Tracked:
    """One row of logits (K,), less the largest, which leaves the probabilities as they are."""
    finite = logits.where(~np.isneginf(logits.value), _SMALLEST)
    return finite - Tracked(finite.value.max(), dtype=logits.dtype)


def _target(label: int, K: int, label_smoothing: float) -> NDArray[np.float64]:
    target = np.full(K, label_smoothing / K)
    target[label] += 1.0 - label_smoothing
    return target


def _unit(label: int, K: int) -> NDArray[np.float64]:
    unit: NDArray[np.float64] = (np.arange(K) == label).astype(np.float64)
    return unit


class SoftmaxCrossEntropyForward(Scored):
    """−Σ_k t_k · log p_k with p = softmax(logits), t = (1 − ε)·onehot + ε/K."""

    operation = "softmax_cross_entropy_forward"
    takes, gives, numbers = ("logits", "labels"), ("losses", "probabilities"), ("label_smoothing",)
    flops_each = 6  # A comparison, a difference, an exponential, two sums, a ratio.

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """Without smoothing, −∞ rules classes out."""
        drawn = draw_logits(rng, number)
        logits, labels = drawn["scores"], drawn["labels"]
        smoothing = chosen(rng, 0.0, 0.0, 0.1, 0.5)
        if smoothing == 0.0:
            ruled_out = rng.random(logits.shape) < 0.1
            ruled_out[np.arange(len(labels)), labels] = False
            logits[ruled_out] = -np.inf
        logits = speckled(number, logits, SPOILING)
        return {"logits": logits, "labels": labels, "label_smoothing": smoothing}

    @staticmethod
    def reference(
        logits: Tracked, labels: NDArray[np.int32], label_smoothing: float = 0.0
    ) -> Expectation:
        """Row by row, with log p_k = z_k − log Σ exp(z) for logits z that are 0 at most."""
        losses, probabilities = [], []
        for row, label in enumerate(labels):
            below = shifted(logits[row])
            powers = below.exp()
            total = powers.sum(0)
            probabilities.append(powers / total)
            target = _target(label, len(powers), label_smoothing)
            losses.append(((total.log() - below) * target).sum(0))
        return {"losses": stack(losses), "probabilities": stack(probabilities)}

    @staticmethod
    def in_torch(torch: Any, logits: Any, labels: Any, label_smoothing: float) -> Any:
        """The losses; PyTorch keeps the logarithms of the probabilities."""
        return torch.nn.functional.cross_entropy(
            logits, labels, reduction="none", label_smoothing=label_smoothing
        )


class SoftmaxCrossEntropyInputGrad(Scored):
    """dlogits = scale · (p − t)."""

    operation = "softmax_cross_entropy_input_grad"
    takes, gives = ("probabilities", "labels"), ("dlogits",)
    numbers = ("label_smoothing", "scale")
    flops_each = 2

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """With label smoothing and without."""
        drawn = draw_scores(rng, number)
        return {
            "probabilities": probabilities_of(drawn["scores"]),
            "labels": drawn["labels"],
            "label_smoothing": chosen(rng, 0.0, 0.1, 0.5),
            "scale": 1 / integer(rng, 1, 300),
        }

    @staticmethod
    def reference(
        probabilities: Tracked, labels: NDArray[np.int32], label_smoothing: float, scale: float
    ) -> Expectation:
        """Row by row."""
        rows = []
        for row, label in enumerate(labels):
            target = _target(label, probabilities.shape[1], label_smoothing)
            rows.append(scale * (probabilities[row] - target))
        return {"dlogits": stack(rows)}

    def prepare_torch(self, torch: Any, *tensors: Any) -> Sequence[Any]:
        """The mean loss, and logits of these probabilities, for automatic differentiation."""
        probabilities, labels = tensors
        logits = probabilities.log().detach().requires_grad_()
        loss = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=_SMOOTHING)
        return loss, logits

    @staticmethod
    def in_torch(torch: Any, loss: Any, logits: Any, **_: float) -> Any:
        """The gradient, without that of anything else."""
        return torch.autograd.grad(loss, logits, retain_graph=True)


class Softmax(Scored):
    """Probabilities of each row of logits."""

    operation = "softmax"
    takes, gives = ("logits",), ("probabilities",)
    flops_each = 5

    def __post_init__(self) -> None:
        if len(self.shape) != 2 or self.shape[1] < 1:
            raise ShapeError(f"logits have shape {self.shape}; expected (N, K), K at least 1")

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """Of large logits too."""
        return {"logits": speckled(number, draw_logits(rng, number)["scores"], SPOILING)}

    @staticmethod
    def reference(logits: Tracked) -> Expectation:
        """Row by row."""
        rows = []
        for row in range(len(logits)):
            powers = shifted(logits[row]).exp()
            rows.append(powers / powers.sum(0))
        return {"probabilities": stack(rows)}

    @staticmethod
    def in_torch(torch: Any, logits: Any) -> Any:
        """The same in PyTorch."""
        return torch.softmax(logits, 1)


class MeanSquaredErrorForward(Scored):
    """losses = Σ_k (prediction_k − onehot_k)² / K."""

    operation = "mean_squared_error_forward"
    takes, gives = ("predictions", "labels"), ("losses",)
    flops_each = 3

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """Predictions and labels."""
        drawn = draw_scores(rng, number)
        return {"predictions": speckled(number, drawn["scores"]), "labels": drawn["labels"]}

    @staticmethod
    def reference(predictions: Tracked, labels: NDArray[np.int32]) -> Expectation:
        """Row by row."""
        losses, K = [], predictions.shape[1]
        for row, label in enumerate(labels):
            difference = predictions[row] - _unit(label, K)
            losses.append((difference * difference).sum(0) / float(K))
        return {"losses": stack(losses)}

    def prepare_torch(self, torch: Any, *tensors: Any) -> Sequence[Any]:
        """The predictions, and unit vectors for labels."""
        return _with_unit_vectors(torch, *tensors)

    @staticmethod
    def in_torch(torch: Any, predictions: Any, targets: Any) -> Any:
        """The squares and their mean."""
        squares = torch.nn.functional.mse_loss(predictions, targets, reduction="none")
        return squares.mean(1)


class MeanSquaredErrorInputGrad(Scored):
    """dpredictions = scale · 2 · (prediction − onehot) / K."""

    operation = "mean_squared_error_input_grad"
    takes, gives, numbers = ("predictions", "labels"), ("gradient",), ("scale",)
    flops_each = 2

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """Predictions and labels."""
        drawn = MeanSquaredErrorForward.draw(rng, number)
        return {**drawn, "scale": 1 / integer(rng, 1, 300)}

    @staticmethod
    def reference(predictions: Tracked, labels: NDArray[np.int32], scale: float) -> Expectation:
        """Row by row."""
        rows, K = [], predictions.shape[1]
        for row, label in enumerate(labels):
            rows.append(scale * (2.0 * (predictions[row] - _unit(label, K)) / float(K)))
        return {"gradient": stack(rows)}

    def prepare_torch(self, torch: Any, *tensors: Any) -> Sequence[Any]:
        """What PyTorch's gradient of a mean takes."""
        the_mean = 1
        predictions, targets = _with_unit_vectors(torch, *tensors)
        return predictions.new_ones(()), predictions, targets, the_mean

    @staticmethod
    def in_torch(torch: Any, *inputs: Any, scale: float) -> Any:
        """The gradient of the mean, whose scale is 1 / N."""
        return torch.ops.aten.mse_loss_backward(*inputs)


def _with_unit_vectors(torch: Any, predictions: Any, labels: Any) -> tuple[Any, Any]:
    one_hot = torch.nn.functional.one_hot(labels, predictions.shape[1])
    return predictions, one_hot.to(predictions.dtype)
