"""Batch normalisation in two passes over memory: statistics, then values, piece by piece."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.interface.normalisation import NormalisationOperations
from gpucnn.backends.numpy_backend.arrays import NumpyArrays, column_sums, folded, tiled


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
        y: NDArray[Any],
        mean: NDArray[Any],
        inverse_std: NDArray[Any],
    ) -> None:
        count = x.size // x.shape[-1]
        exact_mean, variance = self._statistics(x)
        mean[...] = exact_mean
        inverse_std[...] = 1.0 / np.sqrt(variance + epsilon)
        running_mean *= 1.0 - momentum
        running_mean += momentum * mean
        running_variance *= 1.0 - momentum
        running_variance += (momentum * variance * (count / (count - 1))).astype(y.dtype)
        self._normalise(x, mean, scale * inverse_std, shift, y)

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
            deviation = self.workers.scratch("deviation", rows.shape, x.dtype)
            wide = folded(rows)
            centre = means[number].astype(x.dtype)
            np.subtract(wide, tiled(centre, wide), out=deviation.reshape(wide.shape))
            np.multiply(deviation, deviation, out=deviation)
            # The centre was rounded to the dtype of x: the squares are about the rounded one.
            error = means[number] - centre
            squares[number] = column_sums(deviation) - rows.shape[0] * error * error

        self._rows(piece, x)
        total = counts.sum()
        mean = (counts * means).sum(axis=0) / total
        variance = (squares + counts * (means - mean) ** 2).sum(axis=0) / total
        return mean, np.maximum(variance, 0.0)

    def _normalise(
        self,
        x: NDArray[Any],
        mean: NDArray[Any],
        factor: NDArray[Any],
        shift: NDArray[Any],
        y: NDArray[Any],
    ) -> None:
        """y = (x − mean) · factor + shift; the mean first, or its digits would cancel."""

        def piece(_: int, source: NDArray[Any], target: NDArray[Any]) -> None:
            wide, result = folded(source), folded(target)
            np.subtract(wide, tiled(mean, wide), out=result)
            result *= tiled(factor, wide)
            result += tiled(shift, wide)

        self._rows(piece, x, y)

    def _batch_norm_inference(
        self,
        x: NDArray[Any],
        scale: NDArray[Any],
        shift: NDArray[Any],
        mean: NDArray[Any],
        variance: NDArray[Any],
        epsilon: float,
        y: NDArray[Any],
    ) -> None:
        factor = scale / np.sqrt(variance + x.dtype.type(epsilon))
        self._normalise(x, mean, factor, shift, y)

    def _batch_norm_gradients(
        self,
        dy: NDArray[Any],
        x: NDArray[Any],
        scale: NDArray[Any],
        mean: NDArray[Any],
        inverse_std: NDArray[Any],
        dx: NDArray[Any],
        dscale: NDArray[Any],
        dshift: NDArray[Any],
    ) -> None:
        C = x.shape[-1]
        count = x.size // C
        pieces = self._row_pieces(x)
        sums, products = np.empty((pieces, C)), np.empty((pieces, C))

        def reduce_piece(number: int, gradient: NDArray[Any], source: NDArray[Any]) -> None:
            deviation = self.workers.scratch("deviation", source.shape, x.dtype)
            wide = deviation.reshape(folded(source).shape)
            np.subtract(folded(source), tiled(mean, wide), out=wide)
            np.multiply(deviation, gradient, out=deviation)
            sums[number] = column_sums(gradient)
            products[number] = column_sums(deviation)

        self._rows(reduce_piece, dy, x)
        total = sums.sum(axis=0)
        scaled = products.sum(axis=0) * inverse_std
        dshift[...] = total
        dscale[...] = scaled
        # dx = a · dy + b · (x − mean) + c
        a = (scale * inverse_std).astype(x.dtype)
        b = (-a * inverse_std * (scaled / count)).astype(x.dtype)
        c = (-a * (total / count)).astype(x.dtype)

        def gradient_piece(
            _: int, gradient: NDArray[Any], source: NDArray[Any], target: NDArray[Any]
        ) -> None:
            wide, result = folded(source), folded(target)
            term = self.workers.scratch("deviation", wide.shape, x.dtype)
            np.subtract(wide, tiled(mean, wide), out=term)
            term *= tiled(b, wide)
            np.multiply(folded(gradient), tiled(a, wide), out=result)
            result += term
            result += tiled(c, wide)

        self._rows(gradient_piece, dy, x, dx)
