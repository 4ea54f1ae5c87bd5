"""Batch normalisation in two passes over memory: statistics, then values, piece by piece.

Sums within a piece are in the backend's dtype, between pieces in float64. A residual and a ReLU
take no more passes over memory, only more over a piece.
"""

from __future__ import annotations

from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.numpy_backend.epilogue import finish
from gpucnn.backends.numpy_backend.implementations import implements
from gpucnn.backends.numpy_backend.pieces import (
    NumpyArrays,
    column_products,
    column_sums,
    folded,
    keep_where,
    over_rows,
    row_pieces,
    tiled,
)
from gpucnn.backends.numpy_backend.shards import combined, shard_slices
from gpucnn.backends.numpy_backend.workers import Workers
from gpucnn.operations.normalisation import BatchNormForward, BatchNormInference
from gpucnn.operations.normalisation_gradients import BatchNormGradients

_Moments: TypeAlias = tuple[Any, NDArray[Any], NDArray[Any]]


@implements(BatchNormForward)
def _forward(
    be: NumpyArrays,
    problem: BatchNormForward,
    x: NDArray[Any],
    scale: NDArray[Any],
    shift: NDArray[Any],
    running_mean: NDArray[Any],
    running_variance: NDArray[Any],
    residual: NDArray[Any] | None,
    y: NDArray[Any],
    mean: NDArray[Any],
    inverse_std: NDArray[Any],
    momentum: float,
    epsilon: float,
) -> None:
    """Sets the statistics of the batch, and moves the running ones towards them."""
    count = problem.rows
    of_shards = [_moments(be.workers, x[images]) for images in shard_slices(len(x), problem.shards)]
    _, exact_mean, squares = combined(of_shards, _joined)
    variance = np.maximum(squares / count, 0.0)
    mean[...] = exact_mean
    inverse_std[...] = 1.0 / np.sqrt(variance + epsilon)
    running_mean *= 1.0 - momentum
    running_mean += momentum * mean
    running_variance *= 1.0 - momentum
    running_variance += (momentum * variance * (count / (count - 1))).astype(x.dtype)
    _normalise(be.workers, x, mean, scale * inverse_std, shift, residual, problem.relu, y)


def _moments(workers: Workers, x: NDArray[Any]) -> _Moments:
    """The number of rows of a shard; mean and squares about it of each channel, each (C,).

    Each piece has a mean of its own and squares about it, joined as in Chan, Golub, LeVeque,
    "Updating formulae and a pairwise algorithm for computing sample variances" (1979).
    """
    C = x.shape[-1]
    pieces = row_pieces(x)
    means, squares = np.empty((pieces, C)), np.empty((pieces, C))
    counts = np.empty((pieces, 1))

    def piece(number: int, rows: NDArray[Any]) -> None:
        counts[number] = rows.shape[0]
        means[number] = column_sums(rows) / rows.shape[0]
        centre = means[number].astype(x.dtype)
        deviation = _deviation(workers, rows, centre)
        # The centre was rounded to the dtype of x: the squares are about the rounded one.
        error = means[number] - centre
        squares[number] = column_products(deviation, deviation)
        squares[number] -= rows.shape[0] * error * error

    over_rows(workers, piece, x)
    total = counts.sum()
    mean = (counts * means).sum(axis=0) / total
    return total, mean, (squares + counts * (means - mean) ** 2).sum(axis=0)


def _joined(a: _Moments, b: _Moments) -> _Moments:
    """Of two neighbouring parts, by the same formulas."""
    (count, mean, squares), (further, other_mean, other_squares) = a, b
    total, apart = count + further, other_mean - mean
    mean = mean + apart * (further / total)
    return total, mean, squares + other_squares + apart * apart * (count * further / total)


def _deviation(workers: Workers, rows: NDArray[Any], mean: NDArray[Any]) -> NDArray[Any]:
    """x − mean, of a piece, in scratch memory."""
    deviation = workers.scratch("deviation", rows.shape, rows.dtype)
    wide = folded(rows)
    np.subtract(wide, tiled(mean, wide), out=deviation.reshape(wide.shape))
    return deviation


def _normalise(
    workers: Workers,
    x: NDArray[Any],
    mean: NDArray[Any],
    factor: NDArray[Any],
    shift: NDArray[Any],
    residual: NDArray[Any] | None,
    relu: bool,
    y: NDArray[Any],
) -> None:
    """y = (x − mean) · factor + shift; the mean first, or its digits would cancel."""

    def piece(_: int, source: NDArray[Any], target: NDArray[Any], *added: NDArray[Any]) -> None:
        wide, result = folded(source), folded(target)
        np.subtract(wide, tiled(mean, wide), out=result)
        result *= tiled(factor, wide)
        finish(target, shift, added[0] if added else None, relu)

    over_rows(workers, piece, x, y, *_given(residual))


@implements(BatchNormInference)
def _inference(
    be: NumpyArrays,
    problem: BatchNormInference,
    x: NDArray[Any],
    scale: NDArray[Any],
    shift: NDArray[Any],
    mean: NDArray[Any],
    variance: NDArray[Any],
    residual: NDArray[Any] | None,
    y: NDArray[Any],
    epsilon: float,
) -> None:
    factor = scale / np.sqrt(variance + variance.dtype.type(epsilon))
    _normalise(be.workers, x, mean, factor, shift, residual, problem.relu, y)


@implements(BatchNormGradients)
def _gradients(
    be: NumpyArrays,
    problem: BatchNormGradients,
    dy: NDArray[Any],
    x: NDArray[Any],
    scale: NDArray[Any],
    mean: NDArray[Any],
    inverse_std: NDArray[Any],
    shift: NDArray[Any] | None,
    y: NDArray[Any] | None,
    dx: NDArray[Any],
    dscale: NDArray[Any],
    dshift: NDArray[Any],
    dresidual: NDArray[Any] | None,
) -> None:
    """What of dy passes a ReLU goes to dresidual or dx, either of which may be dy.

    Where y was above 0 is read from ``y``, or else computed again with ``shift``.
    """
    passed = dresidual if shift is None else dx
    factor = scale * inverse_std

    def piece(
        sums: NDArray[Any],
        number: int,
        gradient: NDArray[Any],
        source: NDArray[Any],
        *relu: NDArray[Any],
    ) -> None:
        deviation = _deviation(be.workers, source, mean)
        if relu:
            target, *result = relu
            if shift is None:
                positive = folded(result[0]) > 0
            else:
                positive = _positive(be.workers, deviation, factor, shift)
            keep_where(folded(gradient), positive, folded(target))
            gradient = target
        sums[0, number] = column_sums(gradient)
        sums[1, number] = column_products(deviation, gradient)

    def of_shard(images: slice) -> NDArray[Any]:
        arrays = [np.atleast_2d(array)[images] for array in (dy, x, *_given(passed, y))]
        sums = np.empty((2, row_pieces(arrays[0]), x.shape[-1]))
        over_rows(be.workers, partial(piece, sums), *arrays)
        return np.stack([of_pieces.sum(axis=0) for of_pieces in sums])

    slices = shard_slices(len(np.atleast_2d(x)), problem.shards)
    total, scaled = combined([of_shard(images) for images in slices], np.add)
    scaled *= inverse_std
    dshift[...], dscale[...] = total, scaled
    count = problem.rows
    b = -factor * inverse_std * (scaled / count)
    c = -factor * (total / count)
    arrived = dy if passed is None else passed
    _combine(be.workers, arrived, x, mean, factor, b.astype(x.dtype), c.astype(x.dtype), dx)


def _positive(
    workers: Workers, deviation: NDArray[Any], factor: NDArray[Any], shift: NDArray[Any]
) -> NDArray[np.bool_]:
    """Where deviation · factor + shift, rounded as ``_normalise`` does, is above 0; folded.

    A sum of two floats has the sign of the exact sum, so it need not be made.
    """
    wide = folded(deviation)
    scaled = workers.scratch("scaled", wide.shape, wide.dtype)
    np.multiply(wide, tiled(factor, wide), out=scaled)
    positive = workers.scratch("positive", wide.shape, np.bool_)
    np.greater(scaled, tiled(-shift, wide), out=positive)
    return positive


def _combine(
    workers: Workers,
    dy: NDArray[Any],
    x: NDArray[Any],
    mean: NDArray[Any],
    a: NDArray[Any],
    b: NDArray[Any],
    c: NDArray[Any],
    dx: NDArray[Any],
) -> None:
    """dx = a · dy + b · (x − mean) + c, where dx may be dy."""

    def piece(_: int, gradient: NDArray[Any], source: NDArray[Any], target: NDArray[Any]) -> None:
        term, result = folded(_deviation(workers, source, mean)), folded(target)
        term *= tiled(b, term)
        np.multiply(folded(gradient), tiled(a, term), out=result)
        result += term
        result += tiled(c, term)

    over_rows(workers, piece, dy, x, dx)


def _given(*arrays: NDArray[Any] | None) -> list[NDArray[Any]]:
    """Those that are not None."""
    return [array for array in arrays if array is not None]
