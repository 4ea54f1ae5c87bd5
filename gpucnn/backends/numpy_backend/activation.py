"""Activations, elementwise over pieces that stay in the cache: a few NumPy passes each."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.numpy_backend.implementations import implements
from gpucnn.backends.numpy_backend.pieces import PIECE, NumpyArrays, elementwise, keep_where
from gpucnn.operations import activation
from gpucnn.operations.problem import Problem

_GELU_SCALE = math.sqrt(2 / math.pi)
_GELU_CUBIC = 0.044715


@implements(activation.ReluForward)
def _relu_forward(be: NumpyArrays, _: Problem, x: NDArray[Any], y: NDArray[Any]) -> None:
    # Against an array of zeros, as against a scalar NumPy has no vectorised loop.
    zeros = np.zeros(min(PIECE, x.size), x.dtype)
    elementwise(be.workers, lambda x, y: np.maximum(x, zeros[: x.size], out=y), x, y)


@implements(activation.ReluInputGrad)
def _relu_input_grad(
    be: NumpyArrays, _: Problem, dy: NDArray[Any], y: NDArray[Any], dx: NDArray[Any]
) -> None:
    elementwise(be.workers, lambda dy, y, dx: keep_where(dy, y > 0, dx), dy, y, dx)


@implements(activation.LeakyReluForward)
def _leaky_relu_forward(
    be: NumpyArrays, _: Problem, x: NDArray[Any], y: NDArray[Any], slope: float
) -> None:
    def piece(x: NDArray[Any], y: NDArray[Any]) -> None:
        np.multiply(x, np.where(x > 0, x.dtype.type(1), x.dtype.type(slope)), out=y)

    elementwise(be.workers, piece, x, y)


@implements(activation.LeakyReluInputGrad)
def _leaky_relu_input_grad(
    be: NumpyArrays,
    _: Problem,
    dy: NDArray[Any],
    x: NDArray[Any],
    dx: NDArray[Any],
    slope: float,
) -> None:
    def piece(dy: NDArray[Any], x: NDArray[Any], dx: NDArray[Any]) -> None:
        np.multiply(dy, np.where(x > 0, x.dtype.type(1), x.dtype.type(slope)), out=dx)

    elementwise(be.workers, piece, dy, x, dx)


@implements(activation.SigmoidForward)
def _sigmoid_forward(be: NumpyArrays, _: Problem, x: NDArray[Any], y: NDArray[Any]) -> None:
    def piece(x: NDArray[Any], y: NDArray[Any]) -> None:
        # Where exp(−x) is infinite, its reciprocal is the 0 that y is closest to.
        np.negative(x, out=y)
        np.exp(y, out=y)
        y += 1.0
        np.reciprocal(y, out=y)

    elementwise(be.workers, piece, x, y)


@implements(activation.SigmoidInputGrad)
def _sigmoid_input_grad(
    be: NumpyArrays, _: Problem, dy: NDArray[Any], y: NDArray[Any], dx: NDArray[Any]
) -> None:
    def piece(dy: NDArray[Any], y: NDArray[Any], dx: NDArray[Any]) -> None:
        np.subtract(1.0, y, out=dx)
        dx *= y
        dx *= dy

    elementwise(be.workers, piece, dy, y, dx)


@implements(activation.TanhForward)
def _tanh_forward(be: NumpyArrays, _: Problem, x: NDArray[Any], y: NDArray[Any]) -> None:
    elementwise(be.workers, lambda x, y: np.tanh(x, out=y), x, y)


@implements(activation.TanhInputGrad)
def _tanh_input_grad(
    be: NumpyArrays, _: Problem, dy: NDArray[Any], y: NDArray[Any], dx: NDArray[Any]
) -> None:
    def piece(dy: NDArray[Any], y: NDArray[Any], dx: NDArray[Any]) -> None:
        np.multiply(y, y, out=dx)
        np.subtract(1.0, dx, out=dx)
        dx *= dy

    elementwise(be.workers, piece, dy, y, dx)


@implements(activation.GeluForward)
def _gelu_forward(be: NumpyArrays, _: Problem, x: NDArray[Any], y: NDArray[Any]) -> None:
    def piece(x: NDArray[Any], y: NDArray[Any]) -> None:
        _gelu_tanh(x, x * x, out=y)
        y += 1.0
        y *= x
        y *= 0.5

    elementwise(be.workers, piece, x, y)


@implements(activation.GeluInputGrad)
def _gelu_input_grad(
    be: NumpyArrays, _: Problem, dy: NDArray[Any], x: NDArray[Any], dx: NDArray[Any]
) -> None:
    def piece(dy: NDArray[Any], x: NDArray[Any], dx: NDArray[Any]) -> None:
        square = x * x
        t = _gelu_tanh(x, square, out=np.empty_like(x))
        # The slope of what t is the hyperbolic tangent of.
        square *= 3 * _GELU_CUBIC
        square += 1.0
        square *= _GELU_SCALE
        np.multiply(t, t, out=dx)
        np.subtract(1.0, dx, out=dx)
        dx *= x
        dx *= square
        dx += 1.0
        dx += t
        dx *= 0.5
        dx *= dy

    elementwise(be.workers, piece, dy, x, dx)


def _gelu_tanh(x: NDArray[Any], square: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
    """tanh(√(2/π) · (x + 0.044715 · x³)), given x²."""
    np.multiply(square, _GELU_CUBIC, out=out)
    out += 1.0
    out *= x
    out *= _GELU_SCALE
    np.tanh(out, out=out)
    return out


@implements(activation.Add)
def _add(
    be: NumpyArrays, _: Problem, a: NDArray[Any], b: NDArray[Any], total: NDArray[Any]
) -> None:
    elementwise(be.workers, lambda a, b, total: np.add(a, b, out=total), a, b, total)
