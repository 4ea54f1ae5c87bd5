"""The guard of a step, which lets a device skip a bad step without asking the host."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.errors import ShapeError
from gpucnn.operations.problem import Arguments, Expectation, Operand, Problem, Shape, Timed
from gpucnn.operations.sampling import Generator, chosen, integer, length, normal
from gpucnn.operations.tracked import Tracked

LAST_STEP = 2**31 - 1
"""The largest number of a step that a guard can hold."""
GUARD = Operand((1,), np.dtype(np.int32))
"""0, or the first step that must not be taken."""
NORM = Operand((1,), np.dtype(np.float64))
"""The norm of a gradient."""

_NOT_FINITE = (np.nan, np.inf, -np.inf)
_BATCHES = (
    ("quick-loss", "quick", 32),
    ("resnet-loss", "telling", 64),
    ("resnet9-loss", "cifar", 512),
    ("lenet-loss", "lenet", 128),
)


def check_step(step: int) -> None:
    """Raises ShapeError for a step's number below 1."""
    if step < 1:
        raise ShapeError(f"step is {step}; steps count from 1")


def check_guarded_step(step: int) -> None:
    """Raises ShapeError for a step's number that a guard cannot hold."""
    check_step(step)
    if step > LAST_STEP:
        raise ShapeError(f"step is {step}; a guard holds steps up to {LAST_STEP}")


def draw_guard(rng: Generator) -> NDArray[np.int32] | None:
    """None, one that lets a step pass, or one that refuses it."""
    value = chosen(rng, None, 0, 7)
    return None if value is None else np.array([value], np.int32)


def is_refused(guard: NDArray[np.int32] | None) -> bool:
    """Whether a guard forbids that anything changes."""
    return guard is not None and guard[0] != 0


@dataclass(frozen=True)
class GuardStep(Problem):
    """guard ← step, if guard is 0 and the norm or any of the losses is not finite.

    Attributes:
        shape: of the losses, (N,).
    """

    operation = "guard_step"
    takes, changes, numbers = ("guard", "norm", "losses"), ("guard",), ("step",)

    shape: Shape

    def __post_init__(self) -> None:
        if len(self.shape) != 1:
            raise ShapeError(f"losses have shape {self.shape}; a guard takes (N,)")

    def _operands(self) -> Iterable[Operand]:
        return GUARD, NORM, Operand(self.shape, self.dtypes.storage)

    @property
    def flops(self) -> int:
        """A comparison a loss."""
        return self.shape[0]

    @property
    def text(self) -> str:
        """How many losses."""
        return f"{self.shape[0]} losses"

    @classmethod
    def timed(cls) -> Iterable[Timed]:
        """The batches of well-known networks, with finite losses and a finite norm."""
        for name, group, N in _BATCHES:
            problem = cls((N,))
            yield Timed(name, group, problem, {"step": 1}, {"guard": np.zeros_like, "norm": np.abs})

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """All finite, a loss that is not, or a norm, in turns; the guard is mostly 0."""
        losses, norm = abs(normal(rng, length(rng, number))), np.array([float(rng.random())])
        last = losses.size - 1
        if number % 3 == 1:
            losses[chosen(rng, 0, last, integer(rng, 0, last))] = chosen(rng, *_NOT_FINITE)
        elif number % 3 == 2:
            norm[0] = chosen(rng, *_NOT_FINITE)
        return {
            "guard": np.array([chosen(rng, 0, 0, 0, 3)], np.int32),
            "norm": norm,
            "losses": losses,
            "step": integer(rng, 1, 2**31 - 1),
        }

    @staticmethod
    def reference(
        guard: NDArray[np.int32], norm: Tracked, losses: Tracked, step: int
    ) -> Expectation:
        """One number after the other."""
        if guard[0] == 0:
            for value in (*norm.value, *losses.value):
                if math.isnan(value) or math.isinf(value):
                    return {"guard": np.array([step])}
        return {}

    @staticmethod
    def in_torch(torch: Any, guard: Any, norm: Any, losses: Any, step: int) -> Any:
        """The guard, in several calls: PyTorch has no single one for it."""
        is_finite = losses.isfinite().all() & norm.isfinite()
        return guard.copy_(torch.where(is_finite | (guard != 0), guard, step))
