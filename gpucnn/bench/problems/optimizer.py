"""Optimizer steps to time, over one vector of parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.base import Backend
from gpucnn.backends.interface.arrays import Array
from gpucnn.bench.problems.base import VectorProblem
from gpucnn.bench.timing import Run

_RATE, _MOMENTUM, _BETAS, _EPSILON, _DECAY = 1e-2, 0.9, (0.9, 0.999), 1e-8, 5e-2


class OptimizerStep(VectorProblem):
    """A step of so many parameters; gradients stay the same from run to run.

    Read are the parameters, the gradients and the optimizer's state; all but the gradients are
    written. What does not depend on the parameter, such as 1 − β, is no operation of it.
    """

    def _torch_step(self, optimizer: Any, gradients: Any) -> Run:
        (parameter,) = optimizer.param_groups[0]["params"]
        parameter.grad = gradients
        return lambda: optimizer.step()


class SgdStep(OptimizerStep):
    """With Nesterov's momentum and weight decay."""

    operation = "sgd_step"
    vectors_read, vectors_written = 3, 2
    operations_each = 8
    momentum: ClassVar[float] = _MOMENTUM
    nesterov: ClassVar[bool] = True

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """In place."""
        w, g, *state = arrays
        velocity = state[0] if state else None
        return lambda: backend.sgd_step(w, g, velocity, _RATE, self.momentum, self.nesterov, _DECAY)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """In place, as one kernel."""
        parameter = torch.nn.Parameter(tensors[0])
        optimizer = torch.optim.SGD(
            [parameter],
            _RATE,
            self.momentum,
            weight_decay=_DECAY,
            nesterov=self.nesterov,
            fused=True,
        )
        if self.momentum:
            optimizer.state[parameter]["momentum_buffer"] = tensors[2]
        return self._torch_step(optimizer, tensors[1])


class MomentumStep(SgdStep):
    """With plain momentum and weight decay."""

    operations_each = 6
    nesterov = False


class PlainStep(SgdStep):
    """With weight decay alone."""

    vectors_read, vectors_written = 2, 1
    operations_each = 4
    momentum, nesterov = 0.0, False


class AdamStep(OptimizerStep):
    """With weight decay as a part of the gradient."""

    operation = "adam_step"
    vectors_read, vectors_written = 4, 3
    operations_each = 15
    torch_name: ClassVar[str] = "Adam"

    def inputs(self) -> list[NDArray[np.float32]]:
        """As everywhere; the mean of squares is not negative."""
        *others, square = super().inputs()
        return [*others, np.abs(square)]

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """In place; always the first step."""
        w, g, mean, square = arrays
        step = getattr(backend, self.operation)
        return lambda: step(w, g, mean, square, 1, _RATE, *_BETAS, _EPSILON, _DECAY)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """In place, as one kernel."""
        parameter = torch.nn.Parameter(tensors[0])
        optimizer = getattr(torch.optim, self.torch_name)(
            [parameter], _RATE, _BETAS, _EPSILON, weight_decay=_DECAY, fused=True
        )
        optimizer.state[parameter] |= {
            "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
            "exp_avg": tensors[2],
            "exp_avg_sq": tensors[3],
        }
        return self._torch_step(optimizer, tensors[1])


class AdamWStep(AdamStep):
    """With decoupled weight decay."""

    operation = "adamw_step"
    operations_each = 14
    torch_name = "AdamW"


def steps(name: str, parameters: int) -> tuple[OptimizerStep, ...]:
    """A step of each optimizer, and of each form of SGD."""
    return (
        SgdStep(name, parameters),
        MomentumStep(f"{name}-momentum", parameters),
        PlainStep(f"{name}-plain", parameters),
        AdamStep(name, parameters),
        AdamWStep(name, parameters),
    )
