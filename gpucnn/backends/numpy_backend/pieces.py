"""How operations cut NumPy arrays into pieces.

A piece is small enough that several elementwise passes over it stay in a core's cache, and
depends on shapes only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpucnn.backends.numpy_backend.workers import Workers
from gpucnn.operations.geometry import ceil_divide

PIECE = 262144
"""Elements of one piece of an elementwise operation (1 MiB in FP32)."""
_ROW = 8192
"""Elements that one inner loop of NumPy should run over, where channels are few."""
_SUM_ROW = 1024
"""The same for sums over rows: a longer one would leave more to add up at the end."""


class NumpyArrays(Protocol):
    """What the operations need of the backend.

    Attributes:
        dtype: of activations, parameters and gradients.
        workers: the threads.
    """

    dtype: np.dtype[Any]
    workers: Workers

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike | None = None) -> NDArray[Any]:
        """A contiguous array with undefined contents, from the pool."""


def elementwise(workers: Workers, task: Callable[..., object], *arrays: NDArray[Any]) -> None:
    """Calls ``task`` with matching pieces of contiguous arrays of one size."""
    flat = [array.reshape(-1) for array in arrays]

    def piece(number: int) -> None:
        start = number * PIECE
        task(*(array[start : start + PIECE] for array in flat))

    workers.run(piece, ceil_divide(flat[0].size, PIECE))


def over_rows(workers: Workers, task: Callable[..., None], *arrays: NDArray[Any]) -> int:
    """Calls ``task(number, *pieces)`` with matching pieces of rows, as matrices.

    Arrays (…, C) are cut along all axes but the last. Returns the number of pieces.
    """
    C = arrays[0].shape[-1]
    matrices = [array.reshape(-1, C) for array in arrays]
    length = _piece_rows(matrices[0].shape[0], C)
    count = row_pieces(arrays[0])

    def piece(number: int) -> None:
        start = number * length
        task(number, *(matrix[start : start + length] for matrix in matrices))

    workers.run(piece, count)
    return count


def row_pieces(array: NDArray[Any]) -> int:
    """How many pieces ``over_rows`` makes of an array."""
    C = int(array.shape[-1])
    rows = array.size // C
    return ceil_divide(rows, _piece_rows(rows, C))


def keep_where(value: NDArray[Any], keep: NDArray[np.bool_], out: NDArray[Any]) -> None:
    """out = value where ``keep``, else 0, whatever the values are.

    The bits are multiplied by 0 or 1 as integers: a tenth of the time of a masked copy, and exact
    for infinities and NaN too.
    """
    bits = np.dtype(f"u{value.itemsize}")
    np.multiply(
        value.view(bits), keep.view(np.uint8), out=out.view(bits), dtype=bits, casting="unsafe"
    )


def _piece_rows(rows: int, channels: int) -> int:
    """How many of a matrix' rows make a piece: a multiple of what ``row_fold`` joins."""
    fold = row_fold(rows, channels)
    return max(1, PIECE // (channels * fold)) * fold


def row_fold(rows: int, channels: int, length: int = _ROW) -> int:
    """How many rows of a contiguous matrix to see as one of ``length``, for long inner loops.

    A power of two that divides ``rows``. Every piece of ``over_rows`` is a multiple of it.
    """
    fold = 1
    while fold * channels < length and rows % (2 * fold) == 0:
        fold *= 2
    return fold


def folded(matrix: NDArray[Any], length: int = _ROW) -> NDArray[Any]:
    """A contiguous matrix (rows, C) seen as (rows/fold, fold·C)."""
    rows, channels = matrix.shape
    fold = row_fold(rows, channels, length)
    return matrix.reshape(rows // fold, fold * channels)


def tiled(vector: NDArray[Any], matrix: NDArray[Any]) -> NDArray[Any]:
    """A vector (C,) repeated to the row length of a folded matrix."""
    # A quarter of the time of numpy.tile, all of which is spent holding the interpreter's lock.
    return vector[None].repeat(matrix.shape[1] // vector.size, axis=0).reshape(-1)


def column_sums(matrix: NDArray[Any]) -> NDArray[np.float64]:
    """Sums over the rows of a contiguous matrix (rows, C), finished in float64."""
    return _finished(np.add.reduce(folded(matrix, _SUM_ROW), axis=0), matrix.shape[1])


def column_products(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """Sums over the rows of a · b, both contiguous (rows, C), finished in float64."""
    partial = np.einsum("rc,rc->c", folded(a, _SUM_ROW), folded(b, _SUM_ROW))
    return _finished(partial, a.shape[1])


def _finished(partial: NDArray[Any], channels: int) -> NDArray[np.float64]:
    """Sums of folded columns (fold·C,), added up to (C,)."""
    return np.asarray(partial.reshape(-1, channels).sum(axis=0, dtype=np.float64))
