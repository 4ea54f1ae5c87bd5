"""Optimizer steps over flat vectors, a few passes over pieces that stay in the cache."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.interface.optimizer import OptimizerOperations
from gpucnn.backends.numpy_backend.arrays import PIECE, NumpyArrays
from gpucnn.operations.geometry import ceil_divide


class NumpyOptimizer(NumpyArrays, OptimizerOperations):
    """In place; temporaries in each thread's scratch memory."""

    def _sgd_step(
        self,
        parameters: NDArray[Any],
        gradients: NDArray[Any],
        velocity: NDArray[Any] | None,
        learning_rate: float,
        momentum: float,
        nesterov: bool,
        weight_decay: float,
        guard: NDArray[Any] | None,
    ) -> None:
        if guard is not None and guard[0]:
            return

        def plain(w: NDArray[Any], g: NDArray[Any]) -> None:
            update = self._decayed(w, g, weight_decay)
            update *= learning_rate
            w -= update

        def with_velocity(w: NDArray[Any], g: NDArray[Any], v: NDArray[Any]) -> None:
            update = self._decayed(w, g, weight_decay)
            v *= momentum
            v += update
            if nesterov:
                update += np.multiply(v, momentum, out=self._scratch("term", v))
            else:
                np.copyto(update, v)
            update *= learning_rate
            w -= update

        if velocity is None:
            self._elementwise(plain, parameters, gradients)
        else:
            self._elementwise(with_velocity, parameters, gradients, velocity)

    def _adam_step(
        self,
        parameters: NDArray[Any],
        gradients: NDArray[Any],
        mean: NDArray[Any],
        square: NDArray[Any],
        step: int,
        learning_rate: float,
        beta1: float,
        beta2: float,
        epsilon: float,
        weight_decay: float,
        guard: NDArray[Any] | None,
    ) -> None:
        if guard is not None and guard[0]:
            return
        rate = learning_rate / (1.0 - beta1**step)
        correction = 1.0 / (1.0 - beta2**step)

        def piece(w: NDArray[Any], g: NDArray[Any], m: NDArray[Any], v: NDArray[Any]) -> None:
            gradient = self._decayed(w, g, weight_decay)
            term = self._scratch("term", w)
            m *= beta1
            m += np.multiply(gradient, 1.0 - beta1, out=term)
            v *= beta2
            np.multiply(gradient, gradient, out=term)
            v += np.multiply(term, 1.0 - beta2, out=term)
            np.multiply(v, correction, out=term)
            np.sqrt(term, out=term)
            term += epsilon
            np.divide(m, term, out=term)
            term *= rate
            w -= term

        self._elementwise(piece, parameters, gradients, mean, square)

    def _adamw_step(
        self,
        parameters: NDArray[Any],
        gradients: NDArray[Any],
        mean: NDArray[Any],
        square: NDArray[Any],
        step: int,
        learning_rate: float,
        beta1: float,
        beta2: float,
        epsilon: float,
        weight_decay: float,
        guard: NDArray[Any] | None,
    ) -> None:
        if guard is not None and guard[0]:
            return
        parameters *= 1.0 - learning_rate * weight_decay
        self._adam_step(
            parameters, gradients, mean, square, step, learning_rate, beta1, beta2, epsilon, 0.0,
            None,
        )  # fmt: skip

    def _decayed(self, w: NDArray[Any], g: NDArray[Any], weight_decay: float) -> NDArray[Any]:
        """g + weight_decay · w, in scratch memory."""
        result = self._scratch("decayed", g)
        if weight_decay == 0.0:
            np.copyto(result, g)
            return result
        np.multiply(w, weight_decay, out=result)
        result += g
        return result

    def _scratch(self, name: str, like: NDArray[Any]) -> NDArray[Any]:
        return self.workers.scratch(name, like.shape, like.dtype)

    def _global_norm(self, gradients: NDArray[Any], norm: NDArray[Any]) -> None:
        flat = gradients.reshape(-1)
        partial = np.empty(ceil_divide(flat.size, PIECE))

        def piece(number: int) -> None:
            wide = flat[number * PIECE : (number + 1) * PIECE].astype(np.float64)
            partial[number] = wide @ wide

        self.workers.run(piece, partial.size)
        norm[0] = np.sqrt(partial.sum())

    def _clip_by_global_norm(
        self, gradients: NDArray[Any], norm: NDArray[Any], limit: float
    ) -> None:
        if norm[0] > limit:
            gradients *= limit / float(norm[0])

    def _clip_by_value(self, gradients: NDArray[Any], limit: float) -> None:
        self._elementwise(lambda g: np.clip(g, -limit, limit, out=g), gradients)
