"""Batch normalisation in two passes over memory: statistics, then values, piece by piece.

A sum and a ReLU behind it take no more passes over memory, only more over a piece.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.interface.normalisation import NormalisationOperations
from gpucnn.backends.numpy_backend.arrays import (
    NumpyArrays,
    column_products,
    column_sums,
    folded,
    keep_where,
    tiled,
)
from gpucnn.backends.numpy_backend.epilogue import finish


class NumpyNormalisation(NumpyArrays, NormalisationOperations):
    """Sums within a piece are in the backend's dtype, between pieces in float64."""

    def _batch_norm_forward(
        self,
        x: NDArray[Any],
        scale: NDArray[Any],
        shift: NDArray[Any],
        running_mean: NDArray[Any],
        running_variance: NDArray[Any],
        momentum: float,
        epsilon: float,
        residual: NDArray[Any] | None,
        relu: bool,
        y: NDArray[Any],
        mean: NDArray[Any],
        inverse_std: NDArray[Any],
    ) -> None:
        self._set_statistics(
            x, running_mean, running_variance, momentum, epsilon, mean, inverse_std
        )
        self._normalise(x, mean, scale * inverse_std, shift, residual, relu, y)

    def _set_statistics(
        self,
        x: NDArray[Any],
        running_mean: NDArray[Any],
        running_variance: NDArray[Any],
        momentum: float,
        epsilon: float,
        mean: NDArray[Any],
        inverse_std: NDArray[Any],
    ) -> None:
        """Those of the batch, and the running ones moved towards them."""
        count = x.size // x.shape[-1]
        exact_mean, variance = self._statistics(x)
        mean[...] = exact_mean
        inverse_std[...] = 1.0 / np.sqrt(variance + epsilon)
        running_mean *= 1.0 - momentum
        running_mean += momentum * mean
        running_variance *= 1.0 - momentum
        running_variance += (momentum * variance * (count / (count - 1))).astype(x.dtype)

    def _statistics(self, x: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and (biased) variance of each channel, each (C,).

        Each piece has a mean of its own and squares about it, joined as in Chan, Golub, LeVeque,
        "Updating formulae and a pairwise algorithm for computing sample variances" (1979).
        """
        C = x.shape[-1]
        pieces = self._row_pieces(x)
        means, squares = np.empty((pieces, C)), np.empty((pieces, C))
        counts = np.empty((pieces, 1))

        def piece(number: int, rows: NDArray[Any]) -> None:
            counts[number] = rows.shape[0]
            means[number] = column_sums(rows) / rows.shape[0]
            centre = means[number].astype(x.dtype)
            deviation = self._deviation(rows, centre)
            # The centre was rounded to the dtype of x: the squares are about the rounded one.
            error = means[number] - centre
            squares[number] = column_products(deviation, deviation)
            squares[number] -= rows.shape[0] * error * error

        self._rows(piece, x)
        total = counts.sum()
        mean = (counts * means).sum(axis=0) / total
        variance = (squares + counts * (means - mean) ** 2).sum(axis=0) / total
        return mean, np.maximum(variance, 0.0)

    def _deviation(self, rows: NDArray[Any], mean: NDArray[Any]) -> NDArray[Any]:
        """x − mean, of a piece, in scratch memory."""
        deviation = self.workers.scratch("deviation", rows.shape, rows.dtype)
        wide = folded(rows)
        np.subtract(wide, tiled(mean, wide), out=deviation.reshape(wide.shape))
        return deviation

    def _normalise(
        self,
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

        self._rows(piece, x, y, *_given(residual))

    def _batch_norm_inference(
        self,
        x: NDArray[Any],
        scale: NDArray[Any],
        shift: NDArray[Any],
        mean: NDArray[Any],
        variance: NDArray[Any],
        epsilon: float,
        residual: NDArray[Any] | None,
        relu: bool,
        y: NDArray[Any],
    ) -> None:
        factor = _inference_factor(scale, variance, epsilon)
        self._normalise(x, mean, factor, shift, residual, relu, y)

    def _batch_norm_gradients(
        self,
        dy: NDArray[Any],
        y: NDArray[Any] | None,
        x: NDArray[Any],
        scale: NDArray[Any],
        shift: NDArray[Any] | None,
        mean: NDArray[Any],
        inverse_std: NDArray[Any],
        dx: NDArray[Any],
        dscale: NDArray[Any],
        dshift: NDArray[Any],
        dresidual: NDArray[Any] | None,
    ) -> None:
        """What of dy comes through a ReLU goes to dresidual or dx, either of which may be dy.

        Where y was above 0 is read from ``y``, or else worked out again with ``shift``.
        """
        passed = dresidual if shift is None else dx
        sums = np.empty((self._row_pieces(x), x.shape[-1]))
        products = np.empty_like(sums)
        factor = scale * inverse_std

        def piece(
            number: int, gradient: NDArray[Any], source: NDArray[Any], *relu: NDArray[Any]
        ) -> None:
            deviation = self._deviation(source, mean)
            if relu:
                target, *result = relu
                if shift is None:
                    positive = folded(result[0]) > 0
                else:
                    positive = self._positive(deviation, factor, shift)
                keep_where(folded(gradient), positive, folded(target))
                gradient = target
            sums[number] = column_sums(gradient)
            products[number] = column_products(deviation, gradient)

        self._rows(piece, dy, x, *_given(passed, y))
        total, scaled = sums.sum(axis=0), products.sum(axis=0) * inverse_std
        dshift[...], dscale[...] = total, scaled
        count = x.size // x.shape[-1]
        b = -factor * inverse_std * (scaled / count)
        c = -factor * (total / count)
        arrived = dy if passed is None else passed
        self._combine(arrived, x, mean, factor, b.astype(x.dtype), c.astype(x.dtype), dx)

    def _positive(
        self, deviation: NDArray[Any], factor: NDArray[Any], shift: NDArray[Any]
    ) -> NDArray[np.bool_]:
        """Where deviation · factor + shift, rounded as ``_normalise`` does, is above 0; folded.

        A sum of two floats has the sign of the exact sum, so it need not be made.
        """
        wide = folded(deviation)
        scaled = self.workers.scratch("scaled", wide.shape, wide.dtype)
        np.multiply(wide, tiled(factor, wide), out=scaled)
        positive = self.workers.scratch("positive", wide.shape, np.bool_)
        np.greater(scaled, tiled(-shift, wide), out=positive)
        return positive

    def _combine(
        self,
        dy: NDArray[Any],
        x: NDArray[Any],
        mean: NDArray[Any],
        a: NDArray[Any],
        b: NDArray[Any],
        c: NDArray[Any],
        dx: NDArray[Any],
    ) -> None:
        """dx = a · dy + b · (x − mean) + c, where dx may be dy."""

        def piece(
            _: int, gradient: NDArray[Any], source: NDArray[Any], target: NDArray[Any]
        ) -> None:
            term, result = folded(self._deviation(source, mean)), folded(target)
            term *= tiled(b, term)
            np.multiply(folded(gradient), tiled(a, term), out=result)
            result += term
            result += tiled(c, term)

        self._rows(piece, dy, x, dx)


def _inference_factor(scale: NDArray[Any], variance: NDArray[Any], epsilon: float) -> NDArray[Any]:
    factor: NDArray[Any] = scale / np.sqrt(variance + variance.dtype.type(epsilon))
    return factor


def _given(*arrays: NDArray[Any] | None) -> list[NDArray[Any]]:
    """Those that are not None."""
    return [array for array in arrays if array is not None]
