"""Optimizer steps over flat vectors of parameters, in place, and the norm of the gradient."""

from __future__ import annotations

from gpucnn.backends.interface.arrays import Array
from gpucnn.backends.interface.guard import GuardOperations
from gpucnn.operations import average as averages
from gpucnn.operations import clipping, optimizer
from gpucnn.operations.guard import check_step


class OptimizerOperations(GuardOperations):
    """All vectors are (n,): the parameters of a model lie one after the other in one of them.

    They are of the backend's dtype. Steps that are given a ``guard``, int32 (1,), change nothing
    if it is not 0. All raise ShapeError if the arrays do not fit.
    """

    def sgd_step(
        self,
        parameters: Array,
        gradients: Array,
        velocity: Array | None,
        learning_rate: float,
        momentum: float,
        nesterov: bool,
        weight_decay: float,
        guard: Array | None = None,
    ) -> None:
        """Stochastic gradient descent, with w the parameters and v the velocity.

            g ← gradient + weight_decay · w
            v ← momentum · v + g
            w ← w − learning_rate · (g + momentum · v if nesterov else v)

        ``velocity`` may be None if momentum is 0.

        Raises:
            ShapeError: vectors or a guard that do not fit, or a momentum without a velocity.
        """
        optimizer.check_momentum(momentum, velocity is not None)
        problem = optimizer.SgdStep.of(
            self.dtypes,
            self._shape("parameters", parameters),
            velocity is not None,
            bool(nesterov),
            guard is not None,
        )
        self.run(
            problem,
            parameters,
            gradients,
            velocity,
            guard,
            learning_rate=learning_rate,
            momentum=momentum,
            weight_decay=weight_decay,
        )

    def adam_step(
        self,
        parameters: Array,
        gradients: Array,
        mean: Array,
        square: Array,
        step: int,
        learning_rate: float,
        beta1: float,
        beta2: float,
        epsilon: float,
        weight_decay: float,
        guard: Array | None = None,
    ) -> None:
        """Adam (Kingma, Ba 2015); ``step`` counts from 1; weight decay is part of the gradient.

        g ← gradient + weight_decay · w
        m ← β1 · m + (1 − β1) · g,   v ← β2 · v + (1 − β2) · g²
        w ← w − learning_rate · m / (1 − β1^step) / (√(v / (1 − β2^step)) + ε)

        Raises:
            ShapeError: vectors or a guard that do not fit, or a step below 1.
        """
        self._adam(
            optimizer.AdamStep, (parameters, gradients, mean, square, guard), step=step,
            learning_rate=learning_rate, beta1=beta1, beta2=beta2, epsilon=epsilon,
            weight_decay=weight_decay,
        )  # fmt: skip

    def adamw_step(
        self,
        parameters: Array,
        gradients: Array,
        mean: Array,
        square: Array,
        step: int,
        learning_rate: float,
        beta1: float,
        beta2: float,
        epsilon: float,
        weight_decay: float,
        guard: Array | None = None,
    ) -> None:
        """Adam with decoupled weight decay (Loshchilov, Hutter 2019).

        As ``adam_step`` without decay, after w ← (1 − learning_rate · weight_decay) · w.

        Raises:
            ShapeError: vectors or a guard that do not fit, or a step below 1.
        """
        self._adam(
            optimizer.AdamwStep, (parameters, gradients, mean, square, guard), step=step,
            learning_rate=learning_rate, beta1=beta1, beta2=beta2, epsilon=epsilon,
            weight_decay=weight_decay,
        )  # fmt: skip

    def _adam(
        self,
        kind: type[optimizer.AdamStep],
        arrays: tuple[Array | None, ...],
        step: int,
        **numbers: float,
    ) -> None:
        check_step(step)
        parameters, *_, guard = arrays
        shape = self._shape("parameters", parameters)
        problem = kind.of(self.dtypes, shape, guard is not None)
        self.run(problem, *arrays, step=step, **numbers)

    def update_average(
        self, average: Array, values: Array, share: float, guard: Array | None = None
    ) -> None:
        """average ← average + share · (values − average), in place; ``share`` is from 0 to 1.

        Raises:
            ShapeError: vectors or a guard that do not fit.
        """
        shape = self._shape("average", average)
        problem = averages.UpdateAverage.of(self.dtypes, shape, guard is not None)
        self.run(problem, average, values, guard, share=share)

    def global_norm(self, gradients: Array) -> Array:
        """√Σ g² as a float64 (1,) array of the device; not finite if any element is not."""
        problem = clipping.GlobalNorm.of(self.dtypes, self._shape("gradients", gradients))
        return self.run(problem, gradients, None)[0]

    def clip_by_global_norm(self, gradients: Array, norm: Array, limit: float) -> None:
        """gradients ← gradients · min(1, limit / norm), in place.

        Args:
            gradients: changed.
            norm: float64 (1,), from ``global_norm``.
            limit: 0 or more.
        """
        problem = clipping.ClipByGlobalNorm.of(self.dtypes, self._shape("gradients", gradients))
        self.run(problem, gradients, norm, limit=limit)

    def clip_by_value(self, gradients: Array, limit: float) -> None:
        """gradients ← min(max(gradients, −limit), limit), in place; ``limit`` is 0 or more."""
        problem = clipping.ClipByValue.of(self.dtypes, self._shape("gradients", gradients))
        self.run(problem, gradients, limit=limit)
