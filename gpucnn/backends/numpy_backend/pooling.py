"""Pooling, a few images a piece."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.interface.pooling import PoolingOperations
from gpucnn.backends.numpy_backend.arrays import PIECE, NumpyArrays, keep_where
from gpucnn.backends.numpy_backend.taps import taps
from gpucnn.backends.numpy_backend.workers import Workers, even_slices
from gpucnn.operations.geometry import Pool2dGeometry


class NumpyPooling(NumpyArrays, PoolingOperations):
    """Max pooling has a faster way where windows tile the image."""

    def _images(self, problem: Pool2dGeometry, task: Callable[[slice], None]) -> None:
        """Calls ``task`` with slices of the batch.

        Nearly all that is done for a slice is done for its outputs, tap by tap, so they set its
        length; all taps together are about the work of passing over the images once.
        """
        inputs = problem.H * problem.W * problem.C
        outputs = problem.P * problem.Q * problem.C
        if problem.N * inputs <= 2 * PIECE:  # less work than waking the other threads
            task(slice(0, problem.N))
            return
        pieces = even_slices(problem.N, PIECE // outputs)
        self.workers.run(lambda number: task(pieces[number]), len(pieces))

    def _max_pool2d_forward(
        self, problem: Pool2dGeometry, x: NDArray[Any], y: NDArray[Any], argmax: NDArray[Any]
    ) -> None:
        tiling = _windows_tile(problem)

        def piece(images: slice) -> None:
            if tiling and _max_of_tiles(
                self.workers, problem, x[images], y[images], argmax[images]
            ):
                return
            _max_of_windows(problem, x[images], y[images], argmax[images])

        self._images(problem, piece)

    def _max_pool2d_input_grad(
        self, problem: Pool2dGeometry, dy: NDArray[Any], argmax: NDArray[Any], dx: NDArray[Any]
    ) -> None:
        whole = (problem.P * problem.R, problem.Q * problem.S) == (problem.H, problem.W)
        covers = whole and _windows_tile(problem)

        def piece(images: slice) -> None:
            if not covers:
                dx[images] = 0
            routed = self.workers.scratch("routed", dy[images].shape, dy.dtype)
            for tap in taps(problem):
                keep_where(dy[images], argmax[images] == tap.number, routed)
                target = dx[images][tap.pixels]
                if covers:  # each element of dx lies in one window: nothing to add to
                    target[...] = routed
                else:
                    target += routed[tap.outputs]

        self._images(problem, piece)

    def _avg_pool2d_forward(
        self, problem: Pool2dGeometry, x: NDArray[Any], y: NDArray[Any]
    ) -> None:
        def piece(images: slice) -> None:
            total = y[images]
            total[...] = 0
            for tap in taps(problem):
                total[tap.outputs] += x[images][tap.pixels]
            total *= y.dtype.type(1.0 / (problem.R * problem.S))

        self._images(problem, piece)

    def _avg_pool2d_input_grad(
        self, problem: Pool2dGeometry, dy: NDArray[Any], dx: NDArray[Any]
    ) -> None:
        share = dx.dtype.type(1.0 / (problem.R * problem.S))

        def piece(images: slice) -> None:
            dx[images] = 0
            scaled = dy[images] * share
            for tap in taps(problem):
                target = dx[images][tap.pixels]
                target += scaled[tap.outputs]

        self._images(problem, piece)

    def _global_avg_pool2d_forward(self, x: NDArray[Any], y: NDArray[Any]) -> None:
        np.mean(x, axis=(1, 2), out=y)

    def _global_avg_pool2d_input_grad(self, dy: NDArray[Any], dx: NDArray[Any]) -> None:
        _, H, W, _ = dx.shape
        dx[...] = (dy * dx.dtype.type(1.0 / (H * W)))[:, None, None, :]


def _windows_tile(problem: Pool2dGeometry) -> bool:
    """Whether windows neither overlap nor leave gaps nor touch padding."""
    return problem.stride == (problem.R, problem.S) and problem.padding == ((0, 0), (0, 0))


def _max_of_tiles(
    workers: Workers,
    problem: Pool2dGeometry,
    x: NDArray[Any],
    y: NDArray[Any],
    argmax: NDArray[Any],
) -> bool:
    """Maximum along each row of the window, then over the rows. False where x has a NaN.

    Columns come first, so that of equal values the first in row-major order is kept.
    """
    n, C = x.shape[0], problem.C
    inside = x[:, : problem.P * problem.R, : problem.Q * problem.S]
    tiles = inside.reshape(n, problem.P * problem.R, problem.Q, problem.S, C)
    best: NDArray[Any] = tiles[:, :, :, 0]
    running = workers.scratch("best", best.shape, x.dtype)
    where = workers.scratch("where", best.shape, argmax.dtype)
    greater = workers.scratch("greater", best.shape, np.bool_)
    where[...] = 0
    for s in range(1, problem.S):
        np.greater(tiles[:, :, :, s], best, out=greater)
        # A later element has the larger number, so the maximum of numbers is the last to win.
        np.maximum(where, greater * where.dtype.type(s), out=where)
        best = np.maximum(best, tiles[:, :, :, s], out=running)
    rows = best.reshape(n, problem.P, problem.R, problem.Q, C)
    numbers = where.reshape(rows.shape)
    highest: NDArray[Any] = rows[:, :, 0]
    argmax[...] = numbers[:, :, 0]
    for r in range(1, problem.R):
        won = rows[:, :, r] > highest
        number = numbers[:, :, r] + where.dtype.type(r * problem.S)
        np.maximum(argmax, won * number, out=argmax)
        highest = np.maximum(highest, rows[:, :, r], out=y)
    if problem.R == 1:
        y[...] = highest
    return not np.isnan(np.add.reduce(y, axis=None))


def _max_of_windows(
    problem: Pool2dGeometry, x: NDArray[Any], y: NDArray[Any], argmax: NDArray[Any]
) -> None:
    """Any geometry, any values: each element of the window in turn, the first one kept."""
    (top, _), (left, _) = problem.padding
    first_row = np.maximum(top - np.arange(problem.P) * problem.stride[0], 0)
    first_column = np.maximum(left - np.arange(problem.Q) * problem.stride[1], 0)
    argmax[...] = (first_row[:, None] * problem.S + first_column)[:, :, None]
    y[...] = -np.inf
    for tap in taps(problem):
        value, best = x[tap.pixels], y[tap.outputs]
        wins = (value > best) | (np.isnan(value) & ~np.isnan(best))
        np.copyto(best, value, where=wins)
        np.copyto(argmax[tap.outputs], argmax.dtype.type(tap.number), where=wins)
