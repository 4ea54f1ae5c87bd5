"""What is done with a gradient before a step, to time: its norm, clipping, and the guard."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpucnn.backends.base import Backend
from gpucnn.backends.geometry import Shape
from gpucnn.backends.interface.arrays import Array
from gpucnn.bench.problems.base import Problem, VectorProblem, total_bytes
from gpucnn.bench.timing import Run

_SHARE_OF_NORM = 0.99
"""Clipping works in place: after some thousand runs, the gradient must not be denormal yet."""
_LARGEST = 1.0
_STEP = 1
_SCALAR_BYTES = 8 + 2 * 4
"""A norm in double, and a guard that is read and written."""


class GlobalNorm(VectorProblem):
    """√Σ g²."""

    operation = "global_norm"
    vectors_written = 0
    operations_each = 2

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """The norm, summed in double."""
        (gradients,) = arrays
        return lambda: backend.global_norm(gradients)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """The norm, summed in the gradient's own precision."""
        (gradients,) = tensors
        return lambda: torch.linalg.vector_norm(gradients).reshape(1)


class ClipByGlobalNorm(VectorProblem):
    """gradients · min(1, limit / norm), where the norm is known and a little above the limit."""

    operation = "clip_by_global_norm"
    operations_each = 1

    @property
    def _limit(self) -> float:
        """The norm of n numbers of variance 1 is about √n."""
        return _SHARE_OF_NORM * math.sqrt(self.parameters)

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """In place."""
        (gradients,) = arrays
        norm = backend.global_norm(gradients)
        return lambda: backend.clip_by_global_norm(gradients, norm, self._limit)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """In place, in three calls, as PyTorch's own function does it; two are of one number."""
        (gradients,) = tensors
        norm = torch.linalg.vector_norm(gradients)

        def run() -> None:
            gradients.mul_(torch.clamp(self._limit / norm, max=1.0))

        return run


class ClipByValue(VectorProblem):
    """min(max(gradients, −limit), limit)."""

    operation = "clip_by_value"
    operations_each = 2

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """In place."""
        (gradients,) = arrays
        return lambda: backend.clip_by_value(gradients, _LARGEST)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """In place."""
        (gradients,) = tensors

        def run() -> None:
            gradients.clamp_(-_LARGEST, _LARGEST)

        return run


@dataclass(frozen=True)
class GuardStep(Problem):
    """Looks at the gradient's norm and at N losses, all of them finite."""

    operation = "guard_step"
    name: str
    N: int

    @property
    def shape_text(self) -> str:
        """Such as "64 losses"."""
        return f"{self.N} losses"

    @property
    def flops(self) -> int:
        """A comparison for each loss."""
        return self.N

    @property
    def traffic(self) -> int:
        """The losses, the norm and the guard."""
        return total_bytes((self.N,)) + _SCALAR_BYTES

    def input_shapes(self) -> Sequence[Shape]:
        """Losses."""
        return ((self.N,),)

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """The guard; the norm is that of the losses, which is as good as any."""
        (losses,) = arrays
        norm, guard = backend.global_norm(losses), backend.zeros((1,), np.int32)

        def run() -> Array:
            backend.guard_step(guard, norm, losses, _STEP)
            return guard

        return run

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """The guard, in several calls: PyTorch has none for it."""
        (losses,) = tensors
        norm = torch.linalg.vector_norm(losses).double()
        guard = losses.new_zeros((1,), dtype=torch.int32)

        def run() -> Any:
            is_finite = losses.isfinite().all() & norm.isfinite()
            return guard.copy_(torch.where(is_finite | (guard != 0), guard, _STEP))

        return run


PASSES = (GlobalNorm, ClipByGlobalNorm, ClipByValue)
