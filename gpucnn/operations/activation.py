"""Elementwise activations and their gradients, and the sum of two branches.

y = f(x) for arrays of any shape; gradients take what their formula needs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gpucnn.operations.problem import (
    Arguments,
    Expectation,
    Operand,
    Problem,
    Shape,
    Timed,
    as_text,
)
from gpucnn.operations.sampling import SPECIAL, Generator, normal, shape, speckled
from gpucnn.operations.tracked import Tracked

_ZEROS = (0.0, -0.0)
_FAR = (200.0, -200.0)
"""Whose exponentials are 0 and infinite."""
_SLOPE = 0.01
_GELU_SCALE = float(np.sqrt(2.0 / np.pi))
_GELU_CUBIC = 0.044715

_RESIDUAL = (
    ("quick-map", "quick", (4, 16, 16, 32)),
    ("resnet50-map-56", "telling", (64, 56, 56, 256)),
)
"""What a residual network has."""
_OTHER = (
    ("quick-other-map", "quick", (4, 16, 16, 32)),
    ("resnet50-other-map-56", "telling", (64, 56, 56, 256)),
)
"""What other networks have in the place of ReLU."""


@dataclass(frozen=True)
class Elementwise(Problem):
    """Arrays of one shape in, one array of that shape out.

    Attributes:
        shape: of all arrays.
    """

    shape: Shape
    flops_each: ClassVar[int]
    """Floating-point operations an element."""
    shapes: ClassVar[tuple[tuple[str, str, Shape], ...]]
    """Names, groups and shapes worth timing."""

    def _operands(self) -> Iterable[Operand]:
        for _ in self.takes:
            yield Operand(self.shape, self.dtypes.storage)
        for _ in self.gives:
            yield Operand(self.shape, self.dtypes.result)

    @property
    def flops(self) -> int:
        """``flops_each`` for each element."""
        return self.flops_each * self.by_name[self.gives[0]].size

    @property
    def text(self) -> str:
        """The shape."""
        return as_text(self.shape)

    @classmethod
    def timed(cls) -> Iterable[Timed]:
        """The maps of well-known networks."""
        numbers = {"slope": _SLOPE} if cls.numbers else {}
        for name, group, size in cls.shapes:
            yield Timed(name, group, cls(size), numbers)


def _with_special(rng: Generator, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """A tenth of the values are zeros, infinities and NaN."""
    special = rng.choice((*_ZEROS, *SPECIAL), x.shape)
    return np.where(rng.random(x.shape) < 0.1, special, x).astype(np.float32)


def _draw_smooth(rng: Generator, number: int) -> Arguments:
    x = 5 * normal(rng, *shape(rng, number))
    return {"x": speckled(number, x, (*_FAR, *SPECIAL))}


def _draw_smooth_input_grad(rng: Generator, number: int) -> Arguments:
    y = speckled(number, rng.random(shape(rng, number), np.float32), (0.0, 1.0))
    return {"dy": speckled(number, normal(rng, *y.shape)), "y": y}


class ReluForward(Elementwise):
    """y = max(x, 0); NaN stays NaN."""

    operation = "relu_forward"
    takes, gives, flops_each, shapes = ("x",), ("y",), 1, _RESIDUAL

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """Every third problem works in place."""
        x = _with_special(rng, normal(rng, *shape(rng, number)))
        return {"x": x, "out": x} if number % 3 == 0 else {"x": x}

    @staticmethod
    def reference(x: Tracked, out: Tracked | None = None) -> Expectation:
        """A choice, which rounds nothing."""
        return {"y": np.where(x.value < 0.0, 0.0, x.value)}

    @staticmethod
    def in_torch(torch: Any, x: Any) -> Any:
        """The same in PyTorch."""
        return torch.relu(x)


class ReluInputGrad(Elementwise):
    """dx = dy where y > 0, else 0 (so the derivative at 0 is 0)."""

    operation = "relu_input_grad"
    takes, gives, flops_each, shapes = ("dy", "y"), ("dx",), 1, _RESIDUAL

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """Every third problem works in place."""
        y = _with_special(rng, normal(rng, *shape(rng, number)))
        dy = normal(rng, *y.shape)
        return {"dy": dy, "y": y, "out": dy} if number % 3 == 0 else {"dy": dy, "y": y}

    @staticmethod
    def reference(dy: Tracked, y: Tracked, out: Tracked | None = None) -> Expectation:
        """A choice; where y is NaN it is 0 too."""
        return {"dx": np.where(y.value > 0, dy.value, 0.0)}

    @staticmethod
    def in_torch(torch: Any, dy: Any, y: Any) -> Any:
        """The same in PyTorch."""
        return torch.ops.aten.threshold_backward(dy, y, 0)


class LeakyReluForward(Elementwise):
    """y = x where x > 0, else slope · x."""

    operation = "leaky_relu_forward"
    takes, gives, numbers = ("x",), ("y",), ("slope",)
    flops_each, shapes = 2, _OTHER

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """With zeros of both signs, infinities and NaN."""
        x = _with_special(rng, normal(rng, *shape(rng, number)))
        return {"x": x, "slope": float(rng.random())}

    @staticmethod
    def reference(x: Tracked, slope: float) -> Expectation:
        """What x > 0 lets through is exact."""
        return {"y": x.where(x.value > 0, slope * x)}

    @staticmethod
    def in_torch(torch: Any, x: Any, slope: float) -> Any:
        """The same in PyTorch."""
        return torch.nn.functional.leaky_relu(x, slope)


class LeakyReluInputGrad(Elementwise):
    """dx = dy where x > 0, else slope · dy."""

    operation = "leaky_relu_input_grad"
    takes, gives, numbers = ("dy", "x"), ("dx",), ("slope",)
    flops_each, shapes = 2, _OTHER

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """With zeros, whose slope is that of negative numbers."""
        x = _with_special(rng, normal(rng, *shape(rng, number)))
        dy = speckled(number, normal(rng, *x.shape))
        return {"dy": dy, "x": x, "slope": float(rng.random())}

    @staticmethod
    def reference(dy: Tracked, x: Tracked, slope: float) -> Expectation:
        """What x > 0 lets through is exact."""
        return {"dx": dy.where(x.value > 0, slope * dy)}

    @staticmethod
    def in_torch(torch: Any, dy: Any, x: Any, slope: float) -> Any:
        """The same in PyTorch."""
        return torch.ops.aten.leaky_relu_backward(dy, x, slope, False)


class SigmoidForward(Elementwise):
    """y = 1 / (1 + exp(−x)); 0 where exp(−x) is infinite."""

    operation = "sigmoid_forward"
    takes, gives, flops_each, shapes = ("x",), ("y",), 4, _OTHER

    draw = staticmethod(_draw_smooth)

    @staticmethod
    def reference(x: Tracked) -> Expectation:
        """At infinity, it is 0 or 1."""
        y = 1.0 / (1.0 + (-x.where(np.isfinite(x.value), 0.0)).exp())
        y = y.where(~np.isnan(x.value), np.nan)
        return {"y": y.where(~np.isinf(x.value), np.float64(x.value > 0))}

    @staticmethod
    def in_torch(torch: Any, x: Any) -> Any:
        """The same in PyTorch."""
        return torch.sigmoid(x)


class SigmoidInputGrad(Elementwise):
    """dx = dy · y · (1 − y)."""

    operation = "sigmoid_input_grad"
    takes, gives, flops_each, shapes = ("dy", "y"), ("dx",), 3, _OTHER

    draw = staticmethod(_draw_smooth_input_grad)

    @staticmethod
    def reference(dy: Tracked, y: Tracked) -> Expectation:
        """From the formula."""
        return {"dx": dy * (y * (1.0 - y))}

    @staticmethod
    def in_torch(torch: Any, dy: Any, y: Any) -> Any:
        """The same in PyTorch."""
        return torch.ops.aten.sigmoid_backward(dy, y)


class TanhForward(Elementwise):
    """y = tanh(x)."""

    operation = "tanh_forward"
    takes, gives, flops_each, shapes = ("x",), ("y",), 1, _OTHER

    draw = staticmethod(_draw_smooth)

    @staticmethod
    def reference(x: Tracked) -> Expectation:
        """From the formula."""
        return {"y": x.tanh()}

    @staticmethod
    def in_torch(torch: Any, x: Any) -> Any:
        """The same in PyTorch."""
        return torch.tanh(x)


class TanhInputGrad(Elementwise):
    """dx = dy · (1 − y²)."""

    operation = "tanh_input_grad"
    takes, gives, flops_each, shapes = ("dy", "y"), ("dx",), 3, _OTHER

    draw = staticmethod(_draw_smooth_input_grad)

    @staticmethod
    def reference(dy: Tracked, y: Tracked) -> Expectation:
        """From the formula."""
        return {"dx": dy * (1.0 - y * y)}

    @staticmethod
    def in_torch(torch: Any, dy: Any, y: Any) -> Any:
        """The same in PyTorch."""
        return torch.ops.aten.tanh_backward(dy, y)


class GeluForward(Elementwise):
    """y = x · (1 + tanh(√(2/π) · (x + 0.044715 · x³))) / 2.

    The approximation of x · Φ(x), with the normal distribution's Φ, that Hendrycks and Gimpel give
    ("Gaussian Error Linear Units", 2016). At −∞ it is NaN.
    """

    operation = "gelu_forward"
    takes, gives, flops_each, shapes = ("x",), ("y",), 8, _OTHER

    draw = staticmethod(_draw_smooth)

    @staticmethod
    def reference(x: Tracked) -> Expectation:
        """From the formula, but at infinity, where no bound is finite."""
        finite = x.where(np.isfinite(x.value), 0.0)
        y = 0.5 * finite * (1.0 + _gelu_argument(finite).tanh())
        return {"y": y.where(np.isfinite(x.value), np.where(x.value > 0, x.value, np.nan))}

    @staticmethod
    def in_torch(torch: Any, x: Any) -> Any:
        """The same in PyTorch."""
        return torch.nn.functional.gelu(x, approximate="tanh")


class GeluInputGrad(Elementwise):
    """dx = dy · ((1 + t) + x · (1 − t²) · v′) / 2, with t = tanh(v) as in the forward pass.

    At both infinities it is NaN.
    """

    operation = "gelu_input_grad"
    takes, gives, flops_each, shapes = ("dy", "x"), ("dx",), 16, _OTHER

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """With values whose hyperbolic tangent is 1, infinities and NaN."""
        x = _draw_smooth(rng, number)["x"]
        return {"dy": speckled(number, normal(rng, *x.shape)), "x": x}

    @staticmethod
    def reference(dy: Tracked, x: Tracked) -> Expectation:
        """From the formula, but at infinity, where no bound is finite."""
        finite = x.where(np.isfinite(x.value), 0.0)
        t = _gelu_argument(finite).tanh()
        slope = _GELU_SCALE * (1.0 + 3.0 * _GELU_CUBIC * finite * finite)
        derivative = 0.5 * (1.0 + t) + 0.5 * finite * (1.0 - t * t) * slope
        return {"dx": dy * derivative.where(np.isfinite(x.value), np.nan)}

    @staticmethod
    def in_torch(torch: Any, dy: Any, x: Any) -> Any:
        """The same in PyTorch."""
        return torch.ops.aten.gelu_backward(dy, x, approximate="tanh")


def _gelu_argument(x: Tracked) -> Tracked:
    """What GELU takes the hyperbolic tangent of."""
    return _GELU_SCALE * (x + _GELU_CUBIC * x * x * x)


class Add(Elementwise):
    """a + b, where a residual branch joins."""

    operation = "add"
    takes, gives, flops_each, shapes = ("a", "b"), ("total",), 1, _RESIDUAL

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """Every third problem works in place."""
        a = _with_special(rng, normal(rng, *shape(rng, number)))
        b = _with_special(rng, normal(rng, *a.shape))
        return {"a": a, "b": b, "out": a} if number % 3 == 0 else {"a": a, "b": b}

    @staticmethod
    def reference(a: Tracked, b: Tracked, out: Tracked | None = None) -> Expectation:
        """From the formula."""
        return {"total": a + b}

    @staticmethod
    def in_torch(torch: Any, a: Any, b: Any) -> Any:
        """The same in PyTorch."""
        return torch.add(a, b)
