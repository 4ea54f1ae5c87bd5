"""The guard lets the device skip a bad step without asking the host."""

from __future__ import annotations

from gpucnn.backends.interface.arrays import Array, ArrayOperations
from gpucnn.operations.guard import GuardStep, check_guarded_step


class GuardOperations(ArrayOperations):
    """A guard is an int32 (1,) array of the device: 0, or the first step that must not be taken.

    Optimizer steps and metrics that are given a guard change nothing if it is not 0. So the host
    may look at it long after: until then, nothing is done that would have to be undone.
    """

    def guard_step(self, guard: Array, norm: Array, losses: Array, step: int) -> None:
        """guard ← step, if guard is 0 and the norm or any of the losses is not finite.

        Args:
            guard: int32 (1,).
            norm: of the gradient, float64 (1,), from ``global_norm``.
            losses: (N,).
            step: the step's number, from 1 to 2³¹ − 1.

        Raises:
            ShapeError: arrays that do not fit, or another step.
        """
        check_guarded_step(step)
        problem = GuardStep.of(self.dtypes, self._shape("losses", losses))
        self.run(problem, guard, norm, losses, step=step)
