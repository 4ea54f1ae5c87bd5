"""The guard of a step to time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gpucnn.backends.base import Backend
from gpucnn.backends.interface.arrays import Array
from gpucnn.bench.problems.base import Input, Problem, total_bytes

_STEP = 1
_SCALAR_BYTES = 8 + 2 * 4
"""A norm in double, and a guard that is read and written."""


def step(name: str, N: int) -> Problem:
    """Looks at the gradient's norm and at N losses, all of them finite."""
    return Problem(
        operation="guard_step",
        name=name,
        shape_text=f"{N} losses",
        inputs={"losses": Input((N,))},
        options={"step": _STEP},
        flops=N,
        traffic=total_bytes((N,)) + _SCALAR_BYTES,
        prepare=_prepare,
        changes="guard",
        torch_prepare=_torch_prepare,
        torch=_torch,
    )


def _prepare(backend: Backend, losses: Array) -> Mapping[str, Array]:
    """The norm is that of the losses, which is as good as any."""
    guard = backend.zeros((1,), np.int32)
    return {"guard": guard, "norm": backend.global_norm(losses), "losses": losses}


def _torch_prepare(torch: Any, losses: Any) -> tuple[Any, ...]:
    norm = torch.linalg.vector_norm(losses).double()
    return losses.new_zeros((1,), dtype=torch.int32), norm, losses


def _torch(torch: Any, guard: Any, norm: Any, losses: Any) -> Any:
    """The guard, in several calls: PyTorch has none for it."""
    is_finite = losses.isfinite().all() & norm.isfinite()
    return guard.copy_(torch.where(is_finite | (guard != 0), guard, _STEP))
