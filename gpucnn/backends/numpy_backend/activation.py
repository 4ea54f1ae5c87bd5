"""Activations, elementwise over pieces that stay in the cache."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.interface.activation import ActivationOperations
from gpucnn.backends.numpy_backend.arrays import PIECE, NumpyArrays, keep_where


class NumpyActivation(NumpyArrays, ActivationOperations):
    """A few NumPy passes each."""

    def _relu_forward(self, x: NDArray[Any], y: NDArray[Any]) -> None:
        # Against an array of zeros, as against a scalar NumPy has no vectorised loop.
        zeros = np.zeros(min(PIECE, x.size), x.dtype)
        self._elementwise(lambda x, y: np.maximum(x, zeros[: x.size], out=y), x, y)

    def _relu_input_grad(self, dy: NDArray[Any], y: NDArray[Any], dx: NDArray[Any]) -> None:
        def piece(dy: NDArray[Any], y: NDArray[Any], dx: NDArray[Any]) -> None:
            keep_where(dy, y > 0, dx)

        self._elementwise(piece, dy, y, dx)

    def _leaky_relu_forward(self, x: NDArray[Any], slope: float, y: NDArray[Any]) -> None:
        def piece(x: NDArray[Any], y: NDArray[Any]) -> None:
            np.multiply(x, np.where(x > 0, x.dtype.type(1), x.dtype.type(slope)), out=y)

        self._elementwise(piece, x, y)

    def _leaky_relu_input_grad(
        self, dy: NDArray[Any], x: NDArray[Any], slope: float, dx: NDArray[Any]
    ) -> None:
        def piece(dy: NDArray[Any], x: NDArray[Any], dx: NDArray[Any]) -> None:
            np.multiply(dy, np.where(x > 0, x.dtype.type(1), x.dtype.type(slope)), out=dx)

        self._elementwise(piece, dy, x, dx)

    def _sigmoid_forward(self, x: NDArray[Any], y: NDArray[Any]) -> None:
        def piece(x: NDArray[Any], y: NDArray[Any]) -> None:
            # Where exp(−x) is infinite, its reciprocal is the 0 that y is closest to.
            np.negative(x, out=y)
            np.exp(y, out=y)
            y += 1.0
            np.reciprocal(y, out=y)

        self._elementwise(piece, x, y)

    def _sigmoid_input_grad(self, dy: NDArray[Any], y: NDArray[Any], dx: NDArray[Any]) -> None:
        def piece(dy: NDArray[Any], y: NDArray[Any], dx: NDArray[Any]) -> None:
            np.subtract(1.0, y, out=dx)
            dx *= y
            dx *= dy

        self._elementwise(piece, dy, y, dx)

    def _tanh_forward(self, x: NDArray[Any], y: NDArray[Any]) -> None:
        self._elementwise(lambda x, y: np.tanh(x, out=y), x, y)

    def _tanh_input_grad(self, dy: NDArray[Any], y: NDArray[Any], dx: NDArray[Any]) -> None:
        def piece(dy: NDArray[Any], y: NDArray[Any], dx: NDArray[Any]) -> None:
            np.multiply(y, y, out=dx)
            np.subtract(1.0, dx, out=dx)
            dx *= dy

        self._elementwise(piece, dy, y, dx)

    def _add(self, a: NDArray[Any], b: NDArray[Any], total: NDArray[Any]) -> None:
        self._elementwise(lambda a, b, total: np.add(a, b, out=total), a, b, total)
