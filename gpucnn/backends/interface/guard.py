"""The guard lets the device skip a bad step without asking the host."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from gpucnn.backends.interface.arrays import Array, ArrayOperations
from gpucnn.errors import ShapeError

LAST_STEP = 2**31 - 1
"""The largest number of a step that a guard can hold."""


class GuardOperations(ArrayOperations):
    """A guard is an int32 (1,) array of the device: 0, or the first step that must not be taken.

    Optimizer steps and metrics that are given a guard change nothing where it is not 0. So the
    host may look at it long after: until then, nothing is done that would have to be undone.
    """

    def guard_step(self, guard: Array, norm: Array, losses: Array, step: int) -> None:
        """guard ← step, where guard is 0 and the norm or any of the losses is not finite.

        Args:
            guard: int32 (1,).
            norm: of the gradient, float64 (1,), from ``global_norm``.
            losses: (N,).
            step: the step's number, from 1 to 2³¹ − 1.

        Raises:
            ShapeError: arrays that do not fit, or another step.
        """
        self._check_guard(guard)
        self._check("norm", norm, (1,), "float64")
        self._check("losses", losses)
        if losses.ndim != 1:
            raise ShapeError(f"losses have shape {losses.shape}; a guard takes (N,)")
        self._check_step(step)
        if step > LAST_STEP:
            raise ShapeError(f"step is {step}; a guard holds steps up to {LAST_STEP}")
        self._guard_step(guard, norm, losses, step)

    def _check_guard(self, guard: Array | None) -> None:
        if guard is not None:
            self._check("guard", guard, (1,), np.int32)

    def _check_step(self, step: int) -> None:
        if step < 1:
            raise ShapeError(f"step is {step}; steps count from 1")

    @abstractmethod
    def _guard_step(self, guard: Array, norm: Array, losses: Array, step: int) -> None: ...
