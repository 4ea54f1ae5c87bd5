"""Depthwise convolution (one input channel a group): a scaled sum of shifted images, per tap.

A matrix product would have one column; here every tap is an elementwise pass over images that
stay in the cache. With m = K/C filters a channel, filter c·m + j reads channel c.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.numpy_backend.convolution.windows import canvas_size, padded, tap_of
from gpucnn.backends.numpy_backend.epilogue import finish
from gpucnn.backends.numpy_backend.pieces import PIECE
from gpucnn.backends.numpy_backend.workers import Workers, even_slices, sum_groups
from gpucnn.operations.geometry import Conv2dGeometry


def _pieces(conv: Conv2dGeometry) -> list[slice]:
    return even_slices(conv.N, PIECE // (conv.H * conv.W * conv.C))


def _by_channel(conv: Conv2dGeometry, array: NDArray[Any]) -> NDArray[Any]:
    """(n, P, Q, K) as (n, P, Q, C, m)."""
    return array.reshape(*array.shape[:3], conv.C, -1)


def forward(
    workers: Workers,
    conv: Conv2dGeometry,
    x: NDArray[Any],
    w: NDArray[Any],
    bias: NDArray[Any] | None,
    residual: NDArray[Any] | None,
    relu: bool,
    y: NDArray[Any],
) -> None:
    """y[…, c·m + j] = Σ_{r,s} x shifted by (r, s)[…, c] · w[c·m + j, r, s] + bias, and so on."""
    filters = w.reshape(conv.C, -1, conv.R, conv.S)
    pieces = _pieces(conv)

    def piece(number: int) -> None:
        images = pieces[number]
        canvas = padded(workers, x[images], conv)
        output = _by_channel(conv, y[images])
        output[...] = 0 if bias is None else bias.reshape(conv.C, -1)
        term = workers.scratch("term", output.shape[:4], y.dtype)
        for r, s in np.ndindex(conv.R, conv.S):
            for j in range(filters.shape[1]):
                np.multiply(tap_of(canvas, conv, r, s), filters[:, j, r, s], out=term)
                output[..., j] += term
        finish(y[images], None, None if residual is None else residual[images], relu)

    workers.run(piece, len(pieces))


def input_grad(
    workers: Workers,
    conv: Conv2dGeometry,
    dy: NDArray[Any],
    w: NDArray[Any],
    dx: NDArray[Any],
) -> None:
    """Adds dy · w of each tap to the pixels the tap had read, and cuts dx out of its padding."""
    filters = w.reshape(conv.C, -1, conv.R, conv.S)
    pieces = _pieces(conv)
    top, left = conv.padding[0][0], conv.padding[1][0]

    def piece(number: int) -> None:
        images = pieces[number]
        gradient = _by_channel(conv, dy[images])
        shape = (gradient.shape[0], *canvas_size(conv), conv.C)
        canvas = workers.scratch("padded", shape, dy.dtype)
        canvas.fill(0)
        term = workers.scratch("term", gradient.shape[:4], dy.dtype)
        for r, s in np.ndindex(conv.R, conv.S):
            pixels = tap_of(canvas, conv, r, s)
            for j in range(filters.shape[1]):
                pixels += np.multiply(gradient[..., j], filters[:, j, r, s], out=term)
        dx[images] = canvas[:, top : top + conv.H, left : left + conv.W]

    workers.run(piece, len(pieces))


def filter_grad(
    workers: Workers,
    conv: Conv2dGeometry,
    x: NDArray[Any],
    dy: NDArray[Any],
    dw: NDArray[Any],
) -> None:
    """dw[c·m + j, r, s] = Σ_{n,p,q} dy[…, c·m + j] · x shifted by (r, s)[…, c]."""
    pieces = _pieces(conv)
    sums = sum_groups(len(pieces))
    multiplier = conv.K // conv.C
    partial = np.zeros((len(sums), conv.R, conv.S, multiplier, conv.C), np.float64)

    def sum_pieces(part: int) -> None:
        for images in pieces[sums[part]]:
            canvas = padded(workers, x[images], conv)
            gradient = _by_channel(conv, dy[images])
            term = workers.scratch("term", gradient.shape[:4], dy.dtype)
            for r, s in np.ndindex(conv.R, conv.S):
                pixels = tap_of(canvas, conv, r, s)
                for j in range(multiplier):
                    np.multiply(pixels, gradient[..., j], out=term)
                    rows = term.reshape(-1, conv.C)
                    partial[part, r, s, j] += np.add.reduce(rows, axis=0)

    workers.run(sum_pieces, len(sums))
    dw[...] = partial.sum(axis=0).transpose(3, 2, 0, 1).reshape(dw.shape)
