"""Pooling, a few images a piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.geometry import Pool2dGeometry
from gpucnn.backends.interface.pooling import PoolingOperations
from gpucnn.backends.numpy_backend.arrays import PIECE, NumpyArrays, keep_where
from gpucnn.backends.numpy_backend.workers import cut


class NumpyPooling(NumpyArrays, PoolingOperations):
    """Max pooling has a faster way where windows tile the image."""

    def _images(self, elements: int, count: int, task: Callable[[slice], None]) -> None:
        """Calls ``task`` with slices of a batch whose images have ``elements`` elements."""
        pieces = cut(count, PIECE // elements)
        self.workers.run(lambda number: task(pieces[number]), len(pieces))

    def _max_pool2d_forward(
        self, problem: Pool2dGeometry, x: NDArray[Any], y: NDArray[Any], argmax: NDArray[Any]
    ) -> None:
        tiling = _windows_tile(problem)

        def piece(images: slice) -> None:
            if tiling and _max_of_tiles(problem, x[images], y[images], argmax[images]):
                return
            _max_of_windows(problem, x[images], y[images], argmax[images])

        self._images(problem.H * problem.W * problem.C, problem.N, piece)

    def _max_pool2d_input_grad(
        self, problem: Pool2dGeometry, dy: NDArray[Any], argmax: NDArray[Any], dx: NDArray[Any]
    ) -> None:
        whole = (problem.P * problem.R, problem.Q * problem.S) == (problem.H, problem.W)
        covers = whole and _windows_tile(problem)

        def piece(images: slice) -> None:
            if not covers:
                dx[images] = 0
            routed = self.workers.scratch("routed", dy[images].shape, dy.dtype)
            for tap, outputs, inputs in _taps(problem):
                keep_where(dy[images], argmax[images] == tap, routed)
                target = dx[images][inputs]
                if covers:  # each element of dx lies in one window: nothing to add to
                    target[...] = routed
                else:
                    target += routed[outputs]

        self._images(problem.H * problem.W * problem.C, problem.N, piece)

    def _avg_pool2d_forward(
        self, problem: Pool2dGeometry, x: NDArray[Any], y: NDArray[Any]
    ) -> None:
        def piece(images: slice) -> None:
            total = y[images]
            total[...] = 0
            for _, outputs, inputs in _taps(problem):
                total[outputs] += x[images][inputs]
            total *= y.dtype.type(1.0 / (problem.R * problem.S))

        self._images(problem.H * problem.W * problem.C, problem.N, piece)

    def _avg_pool2d_input_grad(
        self, problem: Pool2dGeometry, dy: NDArray[Any], dx: NDArray[Any]
    ) -> None:
        share = dx.dtype.type(1.0 / (problem.R * problem.S))

        def piece(images: slice) -> None:
            dx[images] = 0
            scaled = dy[images] * share
            for _, outputs, inputs in _taps(problem):
                target = dx[images][inputs]
                target += scaled[outputs]

        self._images(problem.H * problem.W * problem.C, problem.N, piece)

    def _global_avg_pool2d_forward(self, x: NDArray[Any], y: NDArray[Any]) -> None:
        np.mean(x, axis=(1, 2), out=y)

    def _global_avg_pool2d_input_grad(self, dy: NDArray[Any], dx: NDArray[Any]) -> None:
        _, H, W, _ = dx.shape
        dx[...] = (dy * dx.dtype.type(1.0 / (H * W)))[:, None, None, :]


def _taps(
    problem: Pool2dGeometry,
) -> Iterator[tuple[int, tuple[slice, ...], tuple[slice, ...]]]:
    """Each element of the window: its number, the outputs that have it, and where it lies in x.

    Both are slices of (n, P, Q, C) and (n, H, W, C); outputs whose element is padding are left
    out, so nothing is ever padded.
    """
    (top, _), (left, _) = problem.padding
    for r in range(problem.R):
        rows = _valid(r - top, problem.stride[0], problem.P, problem.H)
        for s in range(problem.S):
            columns = _valid(s - left, problem.stride[1], problem.Q, problem.W)
            if rows is not None and columns is not None:
                yield (
                    r * problem.S + s,
                    (slice(None), rows[0], columns[0]),
                    (slice(None), rows[1], columns[1]),
                )


def _valid(offset: int, stride: int, outputs: int, size: int) -> tuple[slice, slice] | None:
    """The outputs p with 0 ≤ p·stride + offset < size, and those positions; None if none."""
    first = max(0, -(offset // stride))
    last = min(outputs - 1, (size - 1 - offset) // stride)
    if last < first:
        return None
    start = first * stride + offset
    return slice(first, last + 1), slice(start, last * stride + offset + 1, stride)


def _windows_tile(problem: Pool2dGeometry) -> bool:
    """Whether windows neither overlap nor leave gaps nor touch padding."""
    return problem.stride == (problem.R, problem.S) and problem.padding == ((0, 0), (0, 0))


def _max_of_tiles(
    problem: Pool2dGeometry, x: NDArray[Any], y: NDArray[Any], argmax: NDArray[Any]
) -> bool:
    """Maximum along each row of the window, then over the rows. False where x has a NaN.

    Columns come first, so that of equal values the first in row-major order is kept.
    """
    n, C = x.shape[0], problem.C
    inside = x[:, : problem.P * problem.R, : problem.Q * problem.S]
    tiles = inside.reshape(n, problem.P * problem.R, problem.Q, problem.S, C)
    best = tiles[:, :, :, 0]
    where = np.zeros(best.shape, argmax.dtype)
    for s in range(1, problem.S):
        greater = tiles[:, :, :, s] > best
        np.maximum(where, greater * where.dtype.type(s), out=where)
        best = np.maximum(best, tiles[:, :, :, s])
    rows = best.reshape(n, problem.P, problem.R, problem.Q, C)
    where = where.reshape(rows.shape)
    y[...] = rows[:, :, 0]
    argmax[...] = where[:, :, 0]
    for r in range(1, problem.R):
        greater = rows[:, :, r] > y
        # A later element has the larger number, so the maximum of numbers is the last to win.
        number = where[:, :, r] + where.dtype.type(r * problem.S)
        np.maximum(argmax, greater * number, out=argmax)
        np.maximum(y, rows[:, :, r], out=y)
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
    for tap, outputs, inputs in _taps(problem):
        value, best = x[inputs], y[outputs]
        wins = (value > best) | (np.isnan(value) & ~np.isnan(best))
        np.copyto(best, value, where=wins)
        np.copyto(argmax[outputs], argmax.dtype.type(tap), where=wins)
