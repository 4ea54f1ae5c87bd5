"""Matrix products, rows of the result over threads."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.interface.matrix import MatrixOperations
from gpucnn.backends.numpy_backend.arrays import NumpyArrays, column_sums
from gpucnn.backends.numpy_backend.epilogue import finish
from gpucnn.operations.geometry import ceil_divide

_ROWS = 64
_PIECES = 8


class NumpyMatrix(NumpyArrays, MatrixOperations):
    """BLAS does the work; pieces depend on the shapes alone."""

    def _matmul(
        self,
        a: NDArray[Any],
        b: NDArray[Any],
        transpose_a: bool,
        transpose_b: bool,
        bias: NDArray[Any] | None,
        relu: bool,
        product: NDArray[Any],
    ) -> None:
        left, right = a.T if transpose_a else a, b.T if transpose_b else b
        length = max(_ROWS, ceil_divide(product.shape[0], _PIECES))

        def piece(number: int) -> None:
            rows = slice(number * length, (number + 1) * length)
            np.matmul(left[rows], right, out=product[rows])
            finish(product[rows], bias, None, relu)

        self.workers.run(piece, ceil_divide(product.shape[0], length))

    def _channel_sum(self, x: NDArray[Any], total: NDArray[Any]) -> None:
        partial = np.empty((self._row_pieces(x), x.shape[-1]))

        def piece(number: int, rows: NDArray[Any]) -> None:
            partial[number] = column_sums(rows)

        self._rows(piece, x)
        total[...] = partial.sum(axis=0)
