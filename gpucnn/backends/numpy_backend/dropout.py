"""Dropout, its masks drawn piece by piece: Philox words at the elements' positions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn import random
from gpucnn.backends.numpy_backend.implementations import implements
from gpucnn.backends.numpy_backend.pieces import PIECE, NumpyArrays, elementwise
from gpucnn.operations.dropout import DropoutForward, DropoutInputGrad
from gpucnn.operations.geometry import ceil_divide
from gpucnn.operations.problem import Problem


@implements(DropoutForward)
def _dropout_forward(
    be: NumpyArrays,
    problem: DropoutForward,
    x: NDArray[Any],
    y: NDArray[Any],
    mask: NDArray[Any],
    rate: float,
    seed: int,
    stream: int,
    step: int,
    offset: int,
) -> None:
    threshold = math.ceil(rate * 2**32)
    flat = mask.reshape(-1)

    def piece(number: int) -> None:
        part = flat[number * PIECE : (number + 1) * PIECE]
        word = random.words(seed, stream, step, part.size, offset + number * PIECE)
        np.greater_equal(word, threshold, out=part.view(np.bool_))

    be.workers.run(piece, ceil_divide(flat.size, PIECE))
    _scale_kept(be, problem, x, mask, y, rate)


@implements(DropoutInputGrad)
def _scale_kept(
    be: NumpyArrays,
    _problem: Problem,
    dy: NDArray[Any],
    mask: NDArray[Any],
    dx: NDArray[Any],
    rate: float,
) -> None:
    scale = dx.dtype.type(1.0 / (1.0 - rate))

    def piece(dy: NDArray[Any], mask: NDArray[Any], dx: NDArray[Any]) -> None:
        np.multiply(dy, scale, out=dx)
        dx *= mask

    elementwise(be.workers, piece, dy, mask, dx)
