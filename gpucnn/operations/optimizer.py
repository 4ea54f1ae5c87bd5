"""Optimizer steps over flat vectors, in place."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gpucnn.errors import ShapeError
from gpucnn.operations.guard import GUARD, NORM, draw_guard, is_refused
from gpucnn.operations.problem import Arguments, Expectation, Operand, Problem, Shape, Timed
from gpucnn.operations.sampling import Generator, chosen, length, normal
from gpucnn.operations.tracked import Tracked

_RATE, _MOMENTUM, _BETAS, _EPSILON, _DECAY = 1e-2, 0.9, (0.9, 0.999), 1e-8, 5e-2

NETWORKS = (
    ("quick-step", "quick", 50_000),
    ("resnet50-step", "telling", 25_557_032),
    ("resnet9-step", "cifar", 6_568_640),
)
"""Names, groups and numbers of parameters worth timing."""


def check_momentum(momentum: float, has_velocity: bool) -> None:
    """Raises ShapeError for a momentum that has no velocity."""
    if momentum != 0.0 and not has_velocity:
        raise ShapeError(f"momentum is {momentum} but there is no velocity to keep it in")


@dataclass(frozen=True)
class Vectors(Problem):
    """Vectors of one shape, of which some are changed in place; besides them, a norm or a guard.

    Attributes:
        shape: of the vectors.
    """

    flops_each: ClassVar[int]
    """Floating-point operations an element."""

    shape: Shape

    def _operands(self) -> Iterable[Operand | None]:
        for name in (*self.takes, *self.gives):
            yield NORM if name == "norm" else Operand(self.shape, self.dtypes.storage)

    @property
    def flops(self) -> int:
        """``flops_each`` for each element; 1 − β and the like are computed once and not counted."""
        return self.flops_each * math.prod(self.shape)

    @property
    def traffic(self) -> int:
        """Of the vectors alone: a norm or a guard is nothing in comparison."""
        return sum(
            self.by_name[name].bytes
            for name in (*self.takes, *self.changes)
            if name in self.by_name and name not in ("norm", "guard")
        )

    @property
    def text(self) -> str:
        """How many parameters a vector has."""
        return f"{math.prod(self.shape):,} parameters"


@dataclass(frozen=True)
class Step(Vectors):
    """A step of an optimizer over vectors (n,)."""

    def __post_init__(self) -> None:
        if len(self.shape) != 1:
            raise ShapeError(f"parameters have shape {self.shape}; a step takes a vector")


@dataclass(frozen=True)
class SgdStep(Step):
    """Stochastic gradient descent, with w the parameters and v the velocity.

        g ← gradient + weight_decay · w
        v ← momentum · v + g
        w ← w − learning_rate · (g + momentum · v if nesterov else v)

    Attributes:
        has_velocity: without one, momentum is 0.
        nesterov: whether the momentum is Nesterov's.
        has_guard: whether a guard may forbid the step.
    """

    operation = "sgd_step"
    takes, changes = ("parameters", "gradients", "velocity", "guard"), ("parameters", "velocity")
    numbers = ("learning_rate", "momentum", "weight_decay")

    has_velocity: bool
    nesterov: bool
    has_guard: bool = False

    def _operands(self) -> Iterable[Operand | None]:
        vector = Operand(self.shape, self.dtypes.storage)
        velocity = vector if self.has_velocity else None
        return vector, vector, velocity, GUARD if self.has_guard else None

    @property
    def flops(self) -> int:
        """With weight decay."""
        each = 4 + 2 * self.has_velocity + 2 * (self.has_velocity and self.nesterov)
        return each * math.prod(self.shape)

    @classmethod
    def timed(cls) -> Iterable[Timed]:
        """All parameters of well-known networks: Nesterov's momentum, the usual one, none."""
        for name, group, n in NETWORKS:
            for end, has_velocity, nesterov in (
                ("", True, True),
                ("-momentum", True, False),
                ("-plain", False, False),
            ):
                momentum = _MOMENTUM if has_velocity else 0.0
                numbers = {"learning_rate": _RATE, "momentum": momentum, "weight_decay": _DECAY}
                yield Timed(f"{name}{end}", group, cls((n,), has_velocity, nesterov), numbers)

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """Without momentum, with it, and Nesterov's, in turns."""
        n = length(rng, number)
        has_momentum = number % 3 > 0
        return {
            "parameters": normal(rng, n),
            "gradients": normal(rng, n),
            "velocity": normal(rng, n) if has_momentum else None,
            "learning_rate": float(rng.random()),
            "momentum": 0.9 if has_momentum else 0.0,
            "nesterov": number % 3 == 2,
            "weight_decay": chosen(rng, 0.0, 1e-4, 0.1),
            "guard": draw_guard(rng),
        }

    @staticmethod
    def reference(
        parameters: Tracked,
        gradients: Tracked,
        velocity: Tracked | None,
        learning_rate: float,
        momentum: float,
        nesterov: bool,
        weight_decay: float,
        guard: NDArray[np.int32] | None = None,
    ) -> Expectation:
        """From the formula."""
        if is_refused(guard):
            return {}
        gradient = gradients + weight_decay * parameters
        after = gradient if velocity is None else momentum * velocity + gradient
        direction = gradient + momentum * after if nesterov else after
        changed = {"parameters": parameters - learning_rate * direction}
        return changed if velocity is None else {**changed, "velocity": after}

    def prepare_torch(self, torch: Any, *tensors: Any) -> Sequence[Any]:
        """PyTorch's optimizer, and the tensors that it changes."""
        weights, gradients, *velocity = tensors
        parameter = _torch_parameter(torch, weights, gradients)
        optimizer = torch.optim.SGD(
            [parameter],
            _RATE,
            _MOMENTUM if velocity else 0.0,
            weight_decay=_DECAY,
            nesterov=self.nesterov,
            fused=True,
        )
        if velocity:
            (optimizer.state[parameter]["momentum_buffer"],) = velocity
        return optimizer, weights, *velocity

    @staticmethod
    def in_torch(_torch: Any, optimizer: Any, *changed: Any, **_: float) -> Any:
        """A step of PyTorch's own optimizer."""
        optimizer.step()
        return changed


def _adam(
    parameters: Tracked,
    gradients: Tracked,
    mean: Tracked,
    square: Tracked,
    step: int,
    learning_rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
    guard: NDArray[np.int32] | None = None,
) -> Expectation:
    """From the formula of ``AdamStep``."""
    if is_refused(guard):
        return {}
    gradient = gradients + weight_decay * parameters
    m = beta1 * mean + (1.0 - beta1) * gradient
    v = beta2 * square + (1.0 - beta2) * (gradient * gradient)
    root = (v / (1.0 - beta2**step)).sqrt()
    update = learning_rate * (m / (1.0 - beta1**step)) / (root + epsilon)
    return {"parameters": parameters - update, "mean": m, "square": v}


def _adamw(
    parameters: Tracked, learning_rate: float, weight_decay: float, **others: Any
) -> Expectation:
    """The decay, and then Adam without any."""
    decayed = (1.0 - learning_rate * weight_decay) * parameters
    return _adam(decayed, learning_rate=learning_rate, weight_decay=0.0, **others)


@dataclass(frozen=True)
class AdamStep(Step):
    """Adam (Kingma, Ba 2015), with w the parameters, m the mean and v the square.

        g ← gradient + weight_decay · w
        m ← β1 · m + (1 − β1) · g,   v ← β2 · v + (1 − β2) · g²
        w ← w − learning_rate · m / (1 − β1^step) / (√(v / (1 − β2^step)) + ε)

    Attributes:
        has_guard: whether a guard may forbid the step.
    """

    operation = "adam_step"
    takes = ("parameters", "gradients", "mean", "square", "guard")
    changes = ("parameters", "mean", "square")
    numbers = ("step", "learning_rate", "beta1", "beta2", "epsilon", "weight_decay")
    flops_each = 15
    in_torch_named: ClassVar[str] = "Adam"

    has_guard: bool = False

    def _operands(self) -> Iterable[Operand | None]:
        vector = Operand(self.shape, self.dtypes.storage)
        return vector, vector, vector, vector, GUARD if self.has_guard else None

    @classmethod
    def timed(cls) -> Iterable[Timed]:
        """The first step over all parameters of well-known networks, with weight decay."""
        numbers = {"step": 1, "learning_rate": _RATE, "beta1": _BETAS[0], "beta2": _BETAS[1]}
        numbers |= {"epsilon": _EPSILON, "weight_decay": _DECAY}
        for name, group, n in NETWORKS:
            yield Timed(name, group, cls((n,)), numbers, {"square": np.abs})

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """Early steps and late ones."""
        n = length(rng, number)
        return {
            "parameters": normal(rng, n),
            "gradients": normal(rng, n),
            "mean": normal(rng, n),
            "square": abs(normal(rng, n)),
            "step": chosen(rng, 1, 2, 10, 1000),
            "learning_rate": float(rng.random()),
            "beta1": 0.9,
            "beta2": 0.999,
            "epsilon": chosen(rng, 1e-8, 1e-3, 0.1),
            "weight_decay": chosen(rng, 0.0, 1e-4, 0.1),
            "guard": draw_guard(rng),
        }

    reference: ClassVar[Callable[..., Expectation]] = staticmethod(_adam)

    def prepare_torch(self, torch: Any, *tensors: Any) -> Sequence[Any]:
        """PyTorch's optimizer, and the tensors that it changes."""
        weights, gradients, *moments = tensors
        parameter = _torch_parameter(torch, weights, gradients)
        optimizer = getattr(torch.optim, self.in_torch_named)(
            [parameter], _RATE, _BETAS, _EPSILON, weight_decay=_DECAY, fused=True
        )
        step = torch.zeros((), dtype=torch.float32, device=parameter.device)
        names = ("step", "exp_avg", "exp_avg_sq")
        optimizer.state[parameter] |= zip(names, (step, *moments), strict=True)
        return optimizer, weights, *moments

    @staticmethod
    def in_torch(_torch: Any, optimizer: Any, *changed: Any, **_: float) -> Any:
        """A step of PyTorch's own optimizer."""
        optimizer.step()
        return changed


@dataclass(frozen=True)
class AdamwStep(AdamStep):
    """Adam with decoupled weight decay (Loshchilov, Hutter 2019).

    As ``AdamStep`` without decay, after w ← (1 − learning_rate · weight_decay) · w.
    """

    operation = "adamw_step"
    flops_each = 14
    in_torch_named = "AdamW"

    reference = staticmethod(_adamw)


def _torch_parameter(torch: Any, weights: Any, gradients: Any) -> Any:
    parameter = torch.nn.Parameter(weights)
    parameter.grad = gradients
    return parameter
