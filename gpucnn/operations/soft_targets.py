"""Cross-entropy with targets of any weights (N, K) in the place of labels, and its gradient.

What mixes samples, smooths labels or weights classes does so in the targets; so a row of them need
not sum to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.operations.loss import (
    SPOILING,
    Scored,
    draw_logits,
    draw_scores,
    probabilities_of,
    shifted,
)
from gpucnn.operations.problem import Arguments, Expectation
from gpucnn.operations.sampling import Generator, chosen, integer, speckled
from gpucnn.operations.tracked import Tracked, stack


def _draw_targets(rng: Generator, number: int, N: int, K: int) -> NDArray[np.float32]:
    """Distributions, weighted by rows, of two classes or of all; now and then a row of zeros."""
    targets = rng.random((N, K), np.float32) + np.float32(0.01)
    if number % 2:
        few = np.zeros((N, K), np.float32)
        for _ in range(2):
            place = rng.integers(0, K, N)
            few[np.arange(N), place] += targets[np.arange(N), place]
        targets = few
    targets *= rng.choice(np.array([0.25, 1.0, 3.0], np.float32), (N, 1)) / targets.sum(
        axis=1, keepdims=True
    )
    targets[rng.random(N) < 0.05] = 0.0
    return targets


class SoftCrossEntropyForward(Scored):
    """−Σ_k t_k · log p_k over the k with t_k ≠ 0, with p = softmax(logits)."""

    operation = "soft_cross_entropy_forward"
    takes, gives = ("logits", "targets"), ("losses", "probabilities")
    flops_each = 7  # A softmax, a difference, and a multiply-add.

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """Some classes without a target are ruled out by −∞."""
        logits = draw_logits(rng, number)["scores"]
        targets = _draw_targets(rng, number, *logits.shape)
        ruled_out = (targets == 0.0) & (rng.random(logits.shape) < 0.1)
        ruled_out[np.arange(len(logits)), logits.argmax(axis=1)] = False
        logits[ruled_out] = -np.inf
        return {"logits": speckled(number, logits, SPOILING), "targets": targets}

    @staticmethod
    def reference(logits: Tracked, targets: Tracked) -> Expectation:
        """Row by row, with −log p_k = log Σ exp(z) − z_k for logits z that are 0 at most."""
        losses, probabilities = [], []
        for row in range(len(logits)):
            below = shifted(logits[row])
            powers = below.exp()
            total = powers.sum(0)
            probabilities.append(powers / total)
            terms = targets[row] * (total.log() - below)
            losses.append(terms.where(targets.value[row] != 0.0, 0.0).sum(0))
        return {"losses": stack(losses), "probabilities": stack(probabilities)}

    @staticmethod
    def in_torch(torch: Any, logits: Any, targets: Any) -> Any:
        """The losses; PyTorch keeps the logarithms of the probabilities."""
        return torch.nn.functional.cross_entropy(logits, targets, reduction="none")


class SoftCrossEntropyInputGrad(Scored):
    """dlogits = scale · (p_k · Σ_j t_j − t_k)."""

    operation = "soft_cross_entropy_input_grad"
    takes, gives, numbers = ("probabilities", "targets"), ("dlogits",), ("scale",)
    flops_each = 4

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """Probabilities and targets."""
        probabilities = probabilities_of(draw_scores(rng, number)["scores"])
        targets = _draw_targets(rng, number, *probabilities.shape)
        scale = chosen(rng, 1.0, 1 / integer(rng, 1, 300))
        return {"probabilities": probabilities, "targets": targets, "scale": scale}

    @staticmethod
    def reference(probabilities: Tracked, targets: Tracked, scale: float) -> Expectation:
        """Row by row."""
        rows = []
        for row in range(len(probabilities)):
            weight = targets[row].sum(0)
            rows.append(scale * (probabilities[row] * weight - targets[row]))
        return {"dlogits": stack(rows)}

    def prepare_torch(self, torch: Any, *tensors: Any) -> Sequence[Any]:
        """The mean loss, and logits of these probabilities, for automatic differentiation."""
        probabilities, targets = tensors
        logits = probabilities.log().detach().requires_grad_()
        return torch.nn.functional.cross_entropy(logits, targets), logits

    @staticmethod
    def in_torch(torch: Any, loss: Any, logits: Any, **_: float) -> Any:
        """The gradient, without that of anything else."""
        return torch.autograd.grad(loss, logits, retain_graph=True)
