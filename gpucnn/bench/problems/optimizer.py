"""Optimizer steps to time, over one vector of parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.base import Backend
from gpucnn.backends.geometry import Shape
from gpucnn.backends.interface.arrays import Array
from gpucnn.bench.problems.base import Problem, total_bytes
from gpucnn.bench.timing import Run

_RATE, _MOMENTUM, _BETAS, _EPSILON, _DECAY = 1e-4, 0.9, (0.9, 0.999), 1e-8, 1e-4


@dataclass(frozen=True)
class OptimizerStep(Problem):
    """A step of so many parameters; gradients and state stay the same from run to run."""

    name: str
    parameters: int
    vectors = 3
    operations_each = 6

    @property
    def shape_text(self) -> str:
        """Such as "11,689,512 parameters"."""
        return f"{self.parameters:,} parameters"

    @property
    def flops(self) -> int:
        """Additions, multiplications, divisions and roots."""
        return self.operations_each * self.parameters

    @property
    def traffic(self) -> int:
        """All vectors are read, and all but the gradient written."""
        return (2 * self.vectors - 1) * total_bytes((self.parameters,))

    def input_shapes(self) -> Sequence[Shape]:
        """Parameters, gradients and the optimizer's state."""
        return ((self.parameters,),) * self.vectors

    def inputs(self) -> list[NDArray[np.float32]]:
        """As everywhere; the state is not negative, as a mean of squares is."""
        drawn = super().inputs()
        return [*drawn[:-1], np.abs(drawn[-1])]

    def _torch_step(self, optimizer: Any, gradients: Any) -> Run:
        (parameter,) = optimizer.param_groups[0]["params"]
        parameter.grad = gradients
        return lambda: optimizer.step()


class SgdStep(OptimizerStep):
    """With Nesterov's momentum and weight decay."""

    operation = "sgd_step"

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """In place."""
        w, g, velocity = arrays
        return lambda: backend.sgd_step(w, g, velocity, _RATE, _MOMENTUM, True, _DECAY)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """In place, as one kernel."""
        parameter = torch.nn.Parameter(tensors[0])
        optimizer = torch.optim.SGD(
            [parameter], _RATE, _MOMENTUM, weight_decay=_DECAY, nesterov=True, fused=True
        )
        optimizer.state[parameter]["momentum_buffer"] = tensors[2]
        return self._torch_step(optimizer, tensors[1])


class AdamStep(OptimizerStep):
    """With weight decay as a part of the gradient."""

    operation = "adam_step"
    vectors = 4
    operations_each = 16

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """In place; always the first step."""
        w, g, mean, square = arrays
        return lambda: backend.adam_step(w, g, mean, square, 1, _RATE, *_BETAS, _EPSILON, _DECAY)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """In place, as one kernel."""
        parameter = torch.nn.Parameter(tensors[0])
        optimizer = torch.optim.Adam(
            [parameter], _RATE, _BETAS, _EPSILON, weight_decay=_DECAY, fused=True
        )
        optimizer.state[parameter] |= {
            "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
            "exp_avg": tensors[2],
            "exp_avg_sq": tensors[3],
        }
        return self._torch_step(optimizer, tensors[1])


PASSES = (SgdStep, AdamStep)
