"""Launches of optimizer steps, of the gradient's norm and of clipping."""

from __future__ import annotations

import numpy as np

from gpucnn.backends.interface.arrays import Array
from gpucnn.backends.interface.optimizer import OptimizerOperations
from gpucnn.backends.kernel_backend.arrays import KernelArrays
from gpucnn.launch.elementwise import THREADS
from gpucnn.launch.launch import as_int
from gpucnn.operations.geometry import ceil_divide

_SGD = "sgd.cu"
_ADAM = "adam.cu"
_NORM = "global_norm.cu"

_PIECE = 16384
"""Elements whose squares one block adds up."""
_NORM_CONSTANTS = {"PIECE": _PIECE, "THREADS": THREADS}


class KernelOptimizer(KernelArrays, OptimizerOperations):
    """One launch a step over whole vectors; the factors are worked out in double on the host."""

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
    ) -> None:
        rate, decay = np.float32(learning_rate), np.float32(weight_decay)
        count, constants = parameters.size, {"NESTEROV": bool(nesterov)}
        if velocity is None:
            plain = (parameters, gradients, rate, decay, guard)
            self._launch_elements(_SGD, "sgd_step", count, plain, **constants)
        else:
            factors = (rate, np.float32(momentum), decay)
            arguments = (parameters, gradients, velocity, *factors, guard)
            self._launch_elements(_SGD, "sgd_momentum_step", count, arguments, **constants)

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
    ) -> None:
        self._launch_adam(
            (parameters, gradients, mean, square), step,
            learning_rate, beta1, beta2, epsilon, 1.0, weight_decay, guard,
        )  # fmt: skip

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
    ) -> None:
        shrink = 1.0 - learning_rate * weight_decay
        self._launch_adam(
            (parameters, gradients, mean, square), step,
            learning_rate, beta1, beta2, epsilon, shrink, 0.0, guard,
        )  # fmt: skip

    def _launch_adam(
        self,
        vectors: tuple[Array, Array, Array, Array],
        step: int,
        learning_rate: float,
        beta1: float,
        beta2: float,
        epsilon: float,
        shrink: float,
        weight_decay: float,
        guard: Array | None,
    ) -> None:
        factors = (
            shrink,
            weight_decay,
            beta1,
            1.0 - beta1,
            beta2,
            1.0 - beta2,
            learning_rate / (1.0 - beta1**step),
            1.0 / (1.0 - beta2**step),
            epsilon,
        )
        arguments = (*vectors, *map(np.float32, factors), guard)
        self._launch_elements(_ADAM, "adam_step", vectors[0].size, arguments)

    def _global_norm(self, gradients: Array, norm: Array) -> None:
        pieces = ceil_divide(gradients.size, _PIECE)
        sums = self.empty((pieces,), "float64")
        count, block = np.int64(gradients.size), (THREADS,)
        self._launch(
            _NORM, "sum_squares", (pieces,), (gradients, sums, count), block, **_NORM_CONSTANTS
        )
        self._launch(
            _NORM,
            "norm_of_sums",
            (1,),
            (sums, norm, as_int(pieces, "pieces of the norm")),
            block,
            **_NORM_CONSTANTS,
        )

    def _clip_by_global_norm(self, gradients: Array, norm: Array, limit: float) -> None:
        arguments = (gradients, norm, np.float64(limit))
        self._launch_elements(
            _NORM, "clip_by_global_norm", gradients.size, arguments, **_NORM_CONSTANTS
        )

    def _clip_by_value(self, gradients: Array, limit: float) -> None:
        arguments = (gradients, np.float32(limit))
        self._launch_elements(_NORM, "clip_by_value", gradients.size, arguments, **_NORM_CONSTANTS)
