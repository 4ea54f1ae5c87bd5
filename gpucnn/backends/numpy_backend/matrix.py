"""Matrix products by BLAS, in pieces that depend on shapes alone, and sums over channels' rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.numpy_backend.epilogue import finish
from gpucnn.backends.numpy_backend.implementations import implements
from gpucnn.backends.numpy_backend.pieces import NumpyArrays, column_sums, over_rows, row_pieces
from gpucnn.backends.numpy_backend.shards import sum_shards
from gpucnn.operations.geometry import ceil_divide
from gpucnn.operations.matrix import ChannelSum, Matmul

_ROWS = 64
_PIECES = 8


@implements(Matmul)
def _matmul(
    be: NumpyArrays,
    problem: Matmul,
    a: NDArray[Any],
    b: NDArray[Any],
    bias: NDArray[Any] | None,
    product: NDArray[Any],
) -> None:
    left, right = a.T if problem.transpose_a else a, b.T if problem.transpose_b else b
    length = max(_ROWS, ceil_divide(product.shape[0], _PIECES))

    def piece(number: int) -> None:
        rows = slice(number * length, (number + 1) * length)

        def set_sums(terms: slice, sums: NDArray[Any]) -> None:
            np.matmul(left[rows, terms], right[terms], out=sums)

        sum_shards(right.shape[0], problem.shards, product[rows], set_sums)
        finish(product[rows], bias, None, problem.relu)

    be.workers.run(piece, ceil_divide(product.shape[0], length))


@implements(ChannelSum)
def _channel_sum(
    be: NumpyArrays, problem: ChannelSum, x: NDArray[Any], total: NDArray[Any]
) -> None:
    images = np.atleast_2d(x)

    def set_sums(of_shard: slice, total: NDArray[Any]) -> None:
        shard = images[of_shard]
        partial = np.empty((row_pieces(shard), x.shape[-1]))

        def piece(number: int, rows: NDArray[Any]) -> None:
            partial[number] = column_sums(rows)

        over_rows(be.workers, piece, shard)
        total[...] = partial.sum(axis=0)

    sum_shards(len(images), problem.shards, total, set_sums)
