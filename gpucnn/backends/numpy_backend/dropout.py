"""Dropout, its masks drawn piece by piece."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn import random
from gpucnn.backends.interface.dropout import DropoutOperations
from gpucnn.backends.numpy_backend.arrays import PIECE, NumpyArrays
from gpucnn.operations.geometry import ceil_divide


class NumpyDropout(NumpyArrays, DropoutOperations):
    """Masks by Philox words at the element's position."""

    def _dropout_forward(
        self,
        x: NDArray[Any],
        rate: float,
        seed: int,
        stream: int,
        step: int,
        offset: int,
        y: NDArray[Any],
        mask: NDArray[Any],
    ) -> None:
        threshold = math.ceil(rate * 2**32)
        flat = mask.reshape(-1)

        def piece(number: int) -> None:
            part = flat[number * PIECE : (number + 1) * PIECE]
            word = random.words(seed, stream, step, part.size, offset + number * PIECE)
            np.greater_equal(word, threshold, out=part.view(np.bool_))

        self.workers.run(piece, ceil_divide(flat.size, PIECE))
        self._dropout_input_grad(x, mask, rate, y)

    def _dropout_input_grad(
        self, dy: NDArray[Any], mask: NDArray[Any], rate: float, dx: NDArray[Any]
    ) -> None:
        scale = dx.dtype.type(1.0 / (1.0 - rate))

        def piece(dy: NDArray[Any], mask: NDArray[Any], dx: NDArray[Any]) -> None:
            np.multiply(dy, scale, out=dx)
            dx *= mask

        self._elementwise(piece, dy, mask, dx)
