"""Optimizer steps over flat vectors of parameters, in place, and the norm of the gradient."""

from __future__ import annotations

from abc import abstractmethod

from gpucnn.backends.interface.arrays import Array
from gpucnn.backends.interface.guard import GuardOperations
from gpucnn.errors import ShapeError


class OptimizerOperations(GuardOperations):
    """All vectors are (n,): the parameters of a model lie behind one another in one of them.

    They are of the backend's dtype. Steps that are given a ``guard``, int32 (1,), change nothing
    where it is not 0. All raise ShapeError where the arrays do not fit.
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

        ``velocity`` is None where momentum is 0.

        Raises:
            ShapeError: vectors or a guard that do not fit, or a momentum without a velocity.
        """
        self._check_vectors(parameters, gradients)
        if velocity is not None:
            self._check("velocity", velocity, parameters.shape)
        elif momentum != 0.0:
            raise ShapeError(f"momentum is {momentum} but there is no velocity to keep it in")
        self._check_guard(guard)
        self._sgd_step(
            parameters, gradients, velocity, learning_rate, momentum, nesterov, weight_decay, guard
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
        self._check_vectors(parameters, gradients)
        self._check("mean", mean, parameters.shape)
        self._check("square", square, parameters.shape)
        self._check_step(step)
        self._check_guard(guard)
        self._adam_step(
            parameters, gradients, mean, square, step,
            learning_rate, beta1, beta2, epsilon, weight_decay, guard,
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
        self._check_vectors(parameters, gradients)
        self._check("mean", mean, parameters.shape)
        self._check("square", square, parameters.shape)
        self._check_step(step)
        self._check_guard(guard)
        self._adamw_step(
            parameters, gradients, mean, square, step,
            learning_rate, beta1, beta2, epsilon, weight_decay, guard,
        )  # fmt: skip

    def global_norm(self, gradients: Array) -> Array:
        """√Σ g² as a float64 (1,) array of the device; not finite where any element is not."""
        self._check("gradients", gradients)
        norm = self.empty((1,), "float64")
        self._global_norm(gradients, norm)
        return norm

    def clip_by_global_norm(self, gradients: Array, norm: Array, limit: float) -> None:
        """gradients ← gradients · min(1, limit / norm), in place.

        Args:
            gradients: changed.
            norm: float64 (1,), from ``global_norm``.
            limit: 0 or more.
        """
        self._check("gradients", gradients)
        self._check("norm", norm, (1,), "float64")
        self._clip_by_global_norm(gradients, norm, limit)

    def clip_by_value(self, gradients: Array, limit: float) -> None:
        """gradients ← min(max(gradients, −limit), limit), in place; ``limit`` is 0 or more."""
        self._check("gradients", gradients)
        self._clip_by_value(gradients, limit)

    def _check_vectors(self, parameters: Array, gradients: Array) -> None:
        self._check("parameters", parameters)
        self._check("gradients", gradients, parameters.shape)
        if parameters.ndim != 1:
            raise ShapeError(f"parameters have shape {parameters.shape}; a step takes a vector")

    @abstractmethod
    def _sgd_step(
        self,
        parameters: Array,
        gradients: Array,
        velocity: Array | None,
        learning_rate: float,
        momentum: float,
        nesterov: bool,
        weight_decay: float,
        guard: Array | None,
    ) -> None: ...

    @abstractmethod
    def _adam_step(
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
        guard: Array | None,
    ) -> None: ...

    @abstractmethod
    def _adamw_step(
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
        guard: Array | None,
    ) -> None: ...

    @abstractmethod
    def _global_norm(self, gradients: Array, norm: Array) -> None: ...

    @abstractmethod
    def _clip_by_global_norm(self, gradients: Array, norm: Array, limit: float) -> None: ...

    @abstractmethod
    def _clip_by_value(self, gradients: Array, limit: float) -> None: ...
