"""Batch normalisation to time: in training, in inference, and the gradients."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpucnn.backends.base import Backend
from gpucnn.backends.interface.arrays import Array
from gpucnn.bench.problems.base import Input, Problem, as_text, end_in_torch, total_bytes

_MOMENTUM, _EPSILON = 0.1, 1e-5


def passes(name: str, N: int, size: int, C: int) -> tuple[Problem, ...]:
    """Of x (N, size, size, C): each alone, with a ReLU, and with a sum and a ReLU behind it."""
    ends = (
        _Normalisation(name, N, size, C),
        _Normalisation(f"{name}-relu", N, size, C, relu=True),
        _Normalisation(f"{name}-add-relu", N, size, C, adds=True, relu=True),
    )
    return (
        *(end.forward() for end in ends),
        *(end.inference() for end in ends),
        *(end.gradients() for end in ends),
    )


@dataclass(frozen=True)
class _Normalisation:
    """Batch normalisation of x (N, size, size, C), and what comes behind it.

    Attributes:
        adds: whether a residual like x is added.
        relu: whether a ReLU ends it.
    """

    name: str
    N: int
    size: int
    C: int
    adds: bool = False
    relu: bool = False

    def forward(self) -> Problem:
        """A sum, a sum of squares of differences, a multiply-add, and what comes behind."""
        return self._problem(
            "batch_norm_forward",
            self._inputs("x", "scale", "shift"),
            flops=6 + self.adds + self.relu,
            moved=3 + self.adds,  # x is read for the statistics, and again for y
            options={"momentum": _MOMENTUM, "epsilon": _EPSILON, "relu": self.relu},
            prepare=lambda backend, **inputs: {**inputs, **self._running(backend)},
            torch_prepare=_with_running,
            torch=lambda torch, *inputs: self._torch(torch, True, *inputs),
        )

    def inference(self) -> Problem:
        """A multiply-add, and what comes behind."""
        return self._problem(
            "batch_norm_inference",
            self._inputs("x", "scale", "shift", "mean", "variance"),
            flops=2 + self.adds + self.relu,
            moved=2 + self.adds,
            options={"epsilon": _EPSILON, "relu": self.relu},
            torch=lambda torch, *inputs: self._torch(torch, False, *inputs),
        )

    def gradients(self) -> Problem:
        """Two sums, one of them of products of differences, and two multiply-adds.

        x and dy are read for the sums, and again for dx. Behind a ReLU alone, y is computed again,
        a multiply-add and a comparison. Behind a residual too, y is read with them for the sums,
        and the second time dresidual in place of dy, which was written meanwhile.
        """
        behind = "add_relu_" if self.adds else "relu_" if self.relu else ""
        return self._problem(
            f"batch_norm_{behind}gradients",
            self._inputs("dy", "x", "scale", "shift"),
            flops=8 + (1 if self.adds else 3 * self.relu),
            moved=7 if self.adds else 5,
            prepare=self._after_forward,
            torch_prepare=self._torch_graph,
            torch=lambda torch, y, inputs, dy: torch.autograd.grad(
                y, inputs, dy, retain_graph=True
            ),
        )

    @property
    def _shape(self) -> tuple[int, ...]:
        return self.N, self.size, self.size, self.C

    def _problem(
        self, operation: str, inputs: Mapping[str, Input], flops: int, moved: int, **fields: Any
    ) -> Problem:
        """So many flops an element, and so many arrays like x that are read or written.

        No cache holds an image from one pass over it to the next; vectors are nothing beside it.
        """
        behind = ["residual"] * self.adds + ["ReLU"] * self.relu
        return Problem(
            operation=operation,
            name=self.name,
            shape_text=", ".join([as_text(self._shape), *behind]),
            inputs=inputs,
            flops=flops * math.prod(self._shape),
            traffic=moved * total_bytes(self._shape),
            **fields,
        )

    def _inputs(self, *names: str) -> dict[str, Input]:
        """These, and the residual."""
        images = dict.fromkeys(("dy", "x", "residual"), Input(self._shape))
        kinds = {**images, "variance": Input((self.C,), np.abs)}
        residual = ("residual",) if self.adds else ()
        return {name: kinds.get(name, Input((self.C,))) for name in (*names, *residual)}

    def _running(self, backend: Backend) -> dict[str, Array]:
        return {name: backend.zeros((self.C,)) for name in ("running_mean", "running_variance")}

    def _after_forward(self, backend: Backend, dy: Array, **inputs: Array) -> dict[str, Array]:
        """What the operation takes: y only with a sum, and the shift only with a ReLU alone."""
        y, mean, inverse_std = backend.batch_norm_forward(
            **inputs,
            **self._running(backend),
            momentum=_MOMENTUM,
            epsilon=_EPSILON,
            relu=self.relu,
        )
        given = {name: inputs[name] for name in ("x", "scale")}
        if self.adds:
            given["y"] = y
        elif self.relu:
            given["shift"] = inputs["shift"]
        return {"dy": dy, "mean": mean, "inverse_std": inverse_std, **given}

    def _torch(
        self,
        torch: Any,
        training: bool,
        x: Any,
        scale: Any,
        shift: Any,
        mean: Any,
        variance: Any,
        residual: Any = None,
    ) -> Any:
        """y; what comes behind is a call each."""
        batch_norm = torch.nn.functional.batch_norm
        y = batch_norm(x, mean, variance, scale, shift, training, _MOMENTUM, _EPSILON)
        return end_in_torch(torch, y, residual, self.relu)

    def _torch_graph(self, torch: Any, dy: Any, *values: Any) -> tuple[Any, ...]:
        """y, what it was made of, and dy, for PyTorch's automatic differentiation."""
        leaves = [value.detach().requires_grad_() for value in values]
        y = self._torch(torch, True, *_with_running(torch, *leaves))
        return y, leaves, dy


def _with_running(torch: Any, x: Any, scale: Any, shift: Any, *residual: Any) -> tuple[Any, ...]:
    """With a running mean and variance, where ``_torch`` takes them."""
    return x, scale, shift, torch.zeros_like(scale), torch.zeros_like(scale), *residual
