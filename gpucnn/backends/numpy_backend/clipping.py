"""The norm of the gradient, in double, and clipping in place."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.numpy_backend.implementations import implements
from gpucnn.backends.numpy_backend.pieces import PIECE, NumpyArrays, elementwise
from gpucnn.operations.clipping import ClipByGlobalNorm, ClipByValue, GlobalNorm
from gpucnn.operations.geometry import ceil_divide


@implements(GlobalNorm)
def _global_norm(
    be: NumpyArrays, _: GlobalNorm, gradients: NDArray[Any], norm: NDArray[Any]
) -> None:
    flat = gradients.reshape(-1)
    partial = np.empty(ceil_divide(flat.size, PIECE))

    def piece(number: int) -> None:
        wide = flat[number * PIECE : (number + 1) * PIECE].astype(np.float64)
        partial[number] = wide @ wide

    be.workers.run(piece, partial.size)
    norm[0] = np.sqrt(partial.sum())


@implements(ClipByGlobalNorm)
def _clip_by_global_norm(
    _: NumpyArrays,
    _problem: ClipByGlobalNorm,
    gradients: NDArray[Any],
    norm: NDArray[Any],
    limit: float,
) -> None:
    if norm[0] > limit:
        gradients *= limit / float(norm[0])


@implements(ClipByValue)
def _clip_by_value(be: NumpyArrays, _: ClipByValue, gradients: NDArray[Any], limit: float) -> None:
    elementwise(be.workers, lambda g: np.clip(g, -limit, limit, out=g), gradients)
