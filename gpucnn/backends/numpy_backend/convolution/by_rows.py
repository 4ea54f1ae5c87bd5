"""Convolution as R matrix products, one for each row of the filter, with windows along rows only.

Such windows take S times the memory of x, not R·S times, and copying them is most of what a
convolution does besides multiplying. They are (rows, images, Q, S·C) in memory: what one row of
the filter reads for all outputs is then one contiguous matrix.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from gpucnn.backends.numpy_backend.convolution.windows import (
    PIECE_BYTES,
    canvas_size,
    channels_of_groups,
)
from gpucnn.backends.numpy_backend.epilogue import finish
from gpucnn.backends.numpy_backend.taps import valid
from gpucnn.backends.numpy_backend.workers import Workers, even_slices, sum_groups
from gpucnn.operations.geometry import Conv2dGeometry, ceil_divide


def correlate(
    workers: Workers,
    conv: Conv2dGeometry,
    x: NDArray[Any],
    filters: NDArray[Any],
    bias: NDArray[Any] | None,
    residual: NDArray[Any] | None,
    relu: bool,
    y: NDArray[Any],
) -> None:
    """y of the convolution; filters are (groups, R, S, C/groups, K/groups)."""
    K = conv.K // conv.groups
    by_row = np.ascontiguousarray(filters).reshape(conv.groups, conv.R, -1, K)
    pieces = _pieces(conv, x)

    def piece(number: int) -> None:
        images = pieces[number]
        for group, (inputs, outputs) in enumerate(channels_of_groups(conv)):
            result = _rows_first(y[images, :, :, outputs])
            total = workers.scratch("total", result.shape, y.dtype)
            product = workers.scratch("product", result.shape, y.dtype)
            windows = row_windows(workers, x[images, :, :, inputs], conv)
            first_sets = bool(windows) and windows[0][1] == slice(0, conv.P)
            if not first_sets:
                total[...] = 0
            for place, (r, reached, matrix) in enumerate(windows):
                if place == 0 and first_sets:
                    np.matmul(matrix, by_row[group, r], out=total.reshape(-1, K))
                else:
                    np.matmul(matrix, by_row[group, r], out=product[reached].reshape(-1, K))
                    total[reached] += product[reached]
            finish(
                total,
                None if bias is None else bias[outputs],
                None if residual is None else _rows_first(residual[images, :, :, outputs]),
                relu,
            )
            result[...] = total

    workers.run(piece, len(pieces))


def filter_grad(
    workers: Workers,
    conv: Conv2dGeometry,
    x: NDArray[Any],
    dy: NDArray[Any],
    dw: NDArray[Any],
) -> None:
    """dw of the convolution, in a fixed order of sums."""
    pieces = _pieces(conv, x)
    sums = sum_groups(len(pieces))
    K, R = conv.K, conv.R
    partial = np.zeros((len(sums), K, R, dw[0, 0].size), dw.dtype)

    def sum_pieces(part: int) -> None:
        for images in pieces[sums[part]]:
            for inputs, outputs in channels_of_groups(conv):
                source = _rows_first(dy[images, :, :, outputs])
                gradient = workers.scratch("gradient", source.shape, dy.dtype)
                gradient[...] = source
                for r, reached, matrix in row_windows(workers, x[images, :, :, inputs], conv):
                    rows = gradient[reached].reshape(-1, gradient.shape[-1])
                    partial[part, outputs, r] += rows.T @ matrix

    workers.run(sum_pieces, len(sums))
    np.add.reduce(partial.reshape(len(sums), *dw.shape), axis=0, out=dw)


def row_windows(
    workers: Workers, images: NDArray[Any], conv: Conv2dGeometry
) -> list[tuple[int, slice, NDArray[Any]]]:
    """For each row r of the filter: r, the outputs p that it reads the image for, their windows.

    The windows of those p are a matrix (p's·n·Q, S·C) of scratch memory. Rows that read the image
    for all p come first, and those that do for none are left out.

    Args:
        workers: the threads, whose scratch memory it is.
        images: (n, H, W, C), where C may be the channels of one group only.
        conv: the convolution.
    """
    windows = _windows(workers, images, conv)
    stride = conv.stride[0]
    met = []
    for r in range(conv.R):
        offset = r * conv.dilation[0] - conv.padding[0][0]
        place = valid(offset, stride, conv.P, conv.H)
        if place is not None:
            outputs, pixels = place
            first, residue = divmod(pixels.start, stride)
            rows = windows[residue, first : first + outputs.stop - outputs.start]
            met.append((r, outputs, rows.reshape(-1, rows.shape[-1])))
    return sorted(met, key=lambda row: row[1] != slice(0, conv.P))


def _windows(workers: Workers, images: NDArray[Any], conv: Conv2dGeometry) -> NDArray[Any]:
    """All windows along rows, (stride, ⌈H/stride⌉, n, Q, S·C).

    Rows are grouped by h modulo the stride, so that those that a row of the filter reads for
    neighbouring outputs are neighbours.
    """
    n, H, W, C = images.shape
    stride, left, width = conv.stride[0], conv.padding[1][0], canvas_size(conv)[1]
    canvas = workers.scratch("padded", (stride, ceil_divide(H, stride), n, width, C), images.dtype)
    canvas[..., :left, :] = 0
    canvas[..., left + W :, :] = 0
    for residue in range(stride):
        rows = _rows_first(images[:, residue::stride])
        canvas[residue, : rows.shape[0], :, left : left + W] = rows
    *outer, column, channel = canvas.strides
    steps = (*outer, column * conv.stride[1], column * conv.dilation[1], channel)
    view = as_strided(canvas, (*canvas.shape[:3], conv.Q, conv.S, C), steps, writeable=False)
    windows = workers.scratch("columns", view.shape, images.dtype)
    np.copyto(windows, view)
    return windows.reshape(*view.shape[:4], conv.S * C)


def _rows_first(images: NDArray[Any]) -> NDArray[Any]:
    """The view (H, n, W, C) of (n, H, W, C)."""
    return images.transpose(1, 0, 2, 3)


def _pieces(conv: Conv2dGeometry, x: NDArray[Any]) -> list[slice]:
    """The batch in pieces whose windows along rows fit the cache, if possible."""
    row_bytes = conv.Q * conv.S * conv.C * x.itemsize
    return even_slices(conv.N, PIECE_BYTES // (conv.H * row_bytes))
