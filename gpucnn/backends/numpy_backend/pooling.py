"""Pooling, a few images a piece."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.numpy_backend.implementations import implements
from gpucnn.backends.numpy_backend.pieces import PIECE, NumpyArrays, keep_where
from gpucnn.backends.numpy_backend.taps import taps
from gpucnn.backends.numpy_backend.workers import Workers, even_slices
from gpucnn.operations import global_pooling, pooling
from gpucnn.operations.geometry import Pool2dGeometry


def _images(be: NumpyArrays, sizes: Pool2dGeometry, task: Callable[[slice], None]) -> None:
    """Calls ``task`` with slices of the batch.

    Nearly all that is done for a slice is done for its outputs, tap by tap, so they set its
    length; all taps together are about the work of passing over the images once.
    """
    inputs = sizes.H * sizes.W * sizes.C
    outputs = sizes.P * sizes.Q * sizes.C
    if sizes.N * inputs <= 2 * PIECE:  # less work than waking the other threads
        task(slice(0, sizes.N))
        return
    pieces = even_slices(sizes.N, PIECE // outputs)
    be.workers.run(lambda number: task(pieces[number]), len(pieces))


@implements(pooling.MaxPool2dForward)
def _max_pool2d_forward(
    be: NumpyArrays,
    problem: pooling.MaxPool2dForward,
    x: NDArray[Any],
    y: NDArray[Any],
    argmax: NDArray[Any],
) -> None:
    """A faster way if windows tile the image."""
    sizes = problem.sizes
    tiling = _windows_tile(sizes)

    def piece(images: slice) -> None:
        if tiling and _max_of_tiles(be.workers, sizes, x[images], y[images], argmax[images]):
            return
        _max_of_windows(sizes, x[images], y[images], argmax[images])

    _images(be, sizes, piece)


@implements(pooling.MaxPool2dInputGrad)
def _max_pool2d_input_grad(
    be: NumpyArrays,
    problem: pooling.MaxPool2dInputGrad,
    dy: NDArray[Any],
    argmax: NDArray[Any],
    dx: NDArray[Any],
) -> None:
    sizes = problem.sizes
    whole = (sizes.P * sizes.R, sizes.Q * sizes.S) == (sizes.H, sizes.W)
    covers = whole and _windows_tile(sizes)

    def piece(images: slice) -> None:
        if not covers:
            dx[images] = 0
        routed = be.workers.scratch("routed", dy[images].shape, dy.dtype)
        for tap in taps(sizes):
            keep_where(dy[images], argmax[images] == tap.number, routed)
            target = dx[images][tap.pixels]
            if covers:  # each element of dx lies in one window: nothing to add to
                target[...] = routed
            else:
                target += routed[tap.outputs]

    _images(be, sizes, piece)


@implements(pooling.AvgPool2dForward)
def _avg_pool2d_forward(
    be: NumpyArrays, problem: pooling.AvgPool2dForward, x: NDArray[Any], y: NDArray[Any]
) -> None:
    sizes = problem.sizes

    def piece(images: slice) -> None:
        total = y[images]
        total[...] = 0
        for tap in taps(sizes):
            total[tap.outputs] += x[images][tap.pixels]
        total *= y.dtype.type(1.0 / (sizes.R * sizes.S))

    _images(be, sizes, piece)


@implements(pooling.AvgPool2dInputGrad)
def _avg_pool2d_input_grad(
    be: NumpyArrays, problem: pooling.AvgPool2dInputGrad, dy: NDArray[Any], dx: NDArray[Any]
) -> None:
    sizes = problem.sizes
    share = dx.dtype.type(1.0 / (sizes.R * sizes.S))

    def piece(images: slice) -> None:
        dx[images] = 0
        scaled = dy[images] * share
        for tap in taps(sizes):
            target = dx[images][tap.pixels]
            target += scaled[tap.outputs]

    _images(be, sizes, piece)


@implements(global_pooling.GlobalAvgPool2dForward)
def _global_avg_pool2d_forward(
    _be: NumpyArrays,
    _problem: global_pooling.GlobalAvgPool2dForward,
    x: NDArray[Any],
    y: NDArray[Any],
) -> None:
    np.mean(x, axis=(1, 2), out=y)


@implements(global_pooling.GlobalAvgPool2dInputGrad)
def _global_avg_pool2d_input_grad(
    _be: NumpyArrays,
    problem: global_pooling.GlobalAvgPool2dInputGrad,
    dy: NDArray[Any],
    dx: NDArray[Any],
) -> None:
    _, H, W, _ = problem.x_shape
    dx[...] = (dy * dx.dtype.type(1.0 / (H * W)))[:, None, None, :]


def _windows_tile(sizes: Pool2dGeometry) -> bool:
    """Whether windows neither overlap nor leave gaps nor touch padding."""
    return sizes.stride == (sizes.R, sizes.S) and sizes.padding == ((0, 0), (0, 0))


def _max_of_tiles(
    workers: Workers,
    sizes: Pool2dGeometry,
    x: NDArray[Any],
    y: NDArray[Any],
    argmax: NDArray[Any],
) -> bool:
    """Maximum along each row of the window, then over the rows. False where x has a NaN.

    Columns come first, so that of equal values the first in row-major order is kept.
    """
    n, C = x.shape[0], sizes.C
    inside = x[:, : sizes.P * sizes.R, : sizes.Q * sizes.S]
    tiles = inside.reshape(n, sizes.P * sizes.R, sizes.Q, sizes.S, C)
    best: NDArray[Any] = tiles[:, :, :, 0]
    running = workers.scratch("best", best.shape, x.dtype)
    where = workers.scratch("where", best.shape, argmax.dtype)
    greater = workers.scratch("greater", best.shape, np.bool_)
    where[...] = 0
    for s in range(1, sizes.S):
        np.greater(tiles[:, :, :, s], best, out=greater)
        # A later element has the larger number, so the maximum of numbers is the last to win.
        np.maximum(where, greater * where.dtype.type(s), out=where)
        best = np.maximum(best, tiles[:, :, :, s], out=running)
    rows = best.reshape(n, sizes.P, sizes.R, sizes.Q, C)
    numbers = where.reshape(rows.shape)
    highest: NDArray[Any] = rows[:, :, 0]
    argmax[...] = numbers[:, :, 0]
    for r in range(1, sizes.R):
        won = rows[:, :, r] > highest
        number = numbers[:, :, r] + where.dtype.type(r * sizes.S)
        np.maximum(argmax, won * number, out=argmax)
        highest = np.maximum(highest, rows[:, :, r], out=y)
    if sizes.R == 1:
        y[...] = highest
    return not np.isnan(np.add.reduce(y, axis=None))


def _max_of_windows(
    sizes: Pool2dGeometry, x: NDArray[Any], y: NDArray[Any], argmax: NDArray[Any]
) -> None:
    """Any geometry, any values: each element of the window in turn, the first one kept."""
    (top, _), (left, _) = sizes.padding
    first_row = np.maximum(top - np.arange(sizes.P) * sizes.stride[0], 0)
    first_column = np.maximum(left - np.arange(sizes.Q) * sizes.stride[1], 0)
    argmax[...] = (first_row[:, None] * sizes.S + first_column)[:, :, None]
    y[...] = -np.inf
    for tap in taps(sizes):
        value, best = x[tap.pixels], y[tap.outputs]
        wins = (value > best) | (np.isnan(value) & ~np.isnan(best))
        np.copyto(best, value, where=wins)
        np.copyto(argmax[tap.outputs], argmax.dtype.type(tap.number), where=wins)
