"""The norm of the gradient, and clipping by it or by value, in place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from gpucnn.operations.optimizer import NETWORKS, Vectors
from gpucnn.operations.problem import Arguments, Expectation, Timed
from gpucnn.operations.sampling import Generator, chosen, integer, length, normal, speckled
from gpucnn.operations.tracked import DOUBLE, Tracked, unit_roundoff

_SHARE_OF_NORM = 0.99
"""Clipping works in place: after some thousand runs, the gradient must not be denormal yet."""
_LARGEST = 1.0


class GlobalNorm(Vectors):
    """√Σ g² in double; not finite if any element is not."""

    operation = "global_norm"
    takes, gives = ("gradients",), ("norm",)
    flops_each = 2

    @classmethod
    def timed(cls) -> Iterable[Timed]:
        """The gradients of well-known networks."""
        for name, group, n in NETWORKS:
            yield Timed(name, group, cls((n,)))

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """Every fifth has more elements than one block adds up."""
        n = integer(rng, 16380, 40000) if number % 5 == 2 else length(rng, number)
        return {"gradients": speckled(number, normal(rng, n))}

    @staticmethod
    def reference(gradients: Tracked) -> Expectation:
        """All of it in double."""
        exact = Tracked(gradients.value, dtype=DOUBLE)
        return {"norm": exact.dot(exact).sqrt().reshape(1)}

    @staticmethod
    def in_torch(torch: Any, gradients: Any) -> Any:
        """The norm; PyTorch sums in the gradient's own precision."""
        return torch.linalg.vector_norm(gradients).reshape(1)


class ClipByGlobalNorm(Vectors):
    """gradients ← gradients · min(1, limit / norm)."""

    operation = "clip_by_global_norm"
    takes, changes, numbers = ("gradients", "norm"), ("gradients",), ("limit",)
    flops_each = 1

    @classmethod
    def timed(cls) -> Iterable[Timed]:
        """The gradients of well-known networks, as if their norm were 1."""
        for name, group, n in NETWORKS:
            values = {"norm": np.ones_like}
            yield Timed(name, group, cls((n,)), {"limit": _SHARE_OF_NORM}, values)

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """Norms below the limit and above."""
        gradients = normal(rng, length(rng, number))
        norm = np.sqrt((gradients.astype(np.float64) ** 2).sum(keepdims=True))
        limit = float(norm[0] * chosen(rng, 0.3, 2.0))
        return {"gradients": gradients, "norm": norm, "limit": limit}

    @staticmethod
    def reference(gradients: Tracked, norm: Tracked, limit: float) -> Expectation:
        """A factor that is rounded, or nothing."""
        (value,) = norm.value
        return {"gradients": gradients * (limit / float(value))} if value > limit else {}

    @staticmethod
    def in_torch(torch: Any, gradients: Any, norm: Any, limit: float) -> Any:
        """Three calls, as in PyTorch's own function; two are of one number."""
        return gradients.mul_(torch.clamp(limit / norm, max=1.0))


class ClipByValue(Vectors):
    """gradients ← min(max(gradients, −limit), limit)."""

    operation = "clip_by_value"
    takes, changes, numbers = ("gradients",), ("gradients",), ("limit",)
    flops_each = 2

    @classmethod
    def timed(cls) -> Iterable[Timed]:
        """The gradients of well-known networks, a third of which are clipped."""
        for name, group, n in NETWORKS:
            yield Timed(name, group, cls((n,)), {"limit": _LARGEST})

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """With NaN here and there."""
        gradients = normal(rng, length(rng, number))
        gradients[rng.random(gradients.shape) < 0.01] = np.nan
        return {"gradients": gradients, "limit": float(rng.random())}

    @staticmethod
    def reference(gradients: Tracked, limit: float) -> Expectation:
        """The limit is rounded; a gradient near it may then be clipped or not."""
        value = gradients.value
        margin = 2 * unit_roundoff(gradients.dtype) * limit
        clipped = np.where(value > limit, limit, np.where(value < -limit, -limit, value))
        error = np.where(abs(value) < limit - margin, 0.0, margin)
        return {"gradients": Tracked(clipped, error, dtype=gradients.dtype)}

    @staticmethod
    def in_torch(_torch: Any, gradients: Any, limit: float) -> Any:
        """The same in PyTorch."""
        return gradients.clamp_(-limit, limit)
