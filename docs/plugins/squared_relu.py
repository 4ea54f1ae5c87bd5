"""Squared ReLU (So et al. 2021): two operations with kernels of their own, and a layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gpucnn.backends.numpy_backend.implementations import implements
from gpucnn.launch.elementwise import elementwise
from gpucnn.launch.planning import plans
from gpucnn.layers import Layer, layers
from gpucnn.operations.activation import Elementwise
from gpucnn.operations.sampling import normal, shape, speckled
from gpucnn.operations.tracked import Tracked

KERNELS = str(Path(__file__).resolve().with_suffix(".cu"))
SHAPES = (("quick-map", "quick", (4, 16, 16, 32)),)


def positive(x: Any) -> Any:
    """max(x, 0) of an array; NaN stays NaN."""
    return np.where(x < 0, np.zeros_like(x), x)


class SquaredReluForward(Elementwise):
    """y = max(x, 0)²."""

    operation = "squared_relu_forward"
    takes, gives, flops_each, shapes = ("x",), ("y",), 2, SHAPES

    @classmethod
    def call(cls, backend, x):
        """How the layer, and the check, carry it out."""
        return backend.run(cls.of(backend.dtypes, x.shape), x, None)[0]

    @staticmethod
    def draw(rng, number):
        """Arguments for the check; some of them infinite or NaN."""
        return {"x": speckled(number, normal(rng, *shape(rng, number)))}

    @staticmethod
    def reference(x):
        """What is expected, with the bound of its rounding errors."""
        kept = Tracked(positive(x.value), dtype=x.dtype)
        return {"y": kept * kept}


class SquaredReluInputGrad(Elementwise):
    """dx = dy · 2 · max(x, 0)."""

    operation = "squared_relu_input_grad"
    takes, gives, flops_each, shapes = ("dy", "x"), ("dx",), 3, SHAPES

    @classmethod
    def call(cls, backend, dy, x):
        """As that of the forward operation."""
        return backend.run(cls.of(backend.dtypes, x.shape), dy, x, None)[0]

    @staticmethod
    def draw(rng, number):
        """As that of the forward operation."""
        x = speckled(number, normal(rng, *shape(rng, number)))
        return {"dy": normal(rng, *x.shape), "x": x}

    @staticmethod
    def reference(dy, x):
        """As that of the forward operation; doubling is exact."""
        return {"dx": dy * Tracked(2 * positive(x.value), dtype=x.dtype)}


@plans(SquaredReluForward, SquaredReluInputGrad)
def plan_squared_relu(problem, _machine, _choice):
    """One launch of the kernel that has the operation's name."""
    arguments = (*problem.takes, *problem.gives)
    count = problem.by_name[problem.gives[0]].size
    return (elementwise(KERNELS, problem.operation, count, arguments),)


@implements(SquaredReluForward)
def forward_in_numpy(_backend, _problem, x, y):
    """Into y."""
    np.multiply(positive(x), positive(x), out=y)


@implements(SquaredReluInputGrad)
def input_grad_in_numpy(_backend, _problem, dy, x, dx):
    """Into dx."""
    np.multiply(dy, 2 * positive(x), out=dx)


@layers.register("squared_relu")
class SquaredReLU(Layer):
    """y = max(x, 0)², for inputs of any shape."""

    kind = "squared_relu"

    def _declare(self, input_shape):
        return input_shape

    def forward(self, x):
        """Keeps x."""
        self._x = x
        return SquaredReluForward.call(self.backend, x=x)

    def backward(self, dy):
        """dx = dy · 2 · max(x, 0)."""
        return SquaredReluInputGrad.call(self.backend, dy=dy, x=self._x)
