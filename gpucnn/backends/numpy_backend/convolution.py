"""Convolution as matrix products, a few images a piece, pieces over threads.

Forward multiplies windows of x by the filters; the filter gradient multiplies dy, transposed, by
the same windows, in a fixed order of sums. The input gradient multiplies dy by the filters, tap by
tap, and adds each product to the pixels that the tap had read.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.interface.convolution import ConvolutionOperations
from gpucnn.backends.numpy_backend import by_rows, by_taps, depthwise
from gpucnn.backends.numpy_backend.arrays import NumpyArrays
from gpucnn.backends.numpy_backend.epilogue import finish
from gpucnn.backends.numpy_backend.windows import (
    FEW_CHANNELS,
    channels_of_groups,
    columns,
    window_pieces,
)
from gpucnn.backends.numpy_backend.workers import partial_sums
from gpucnn.operations.geometry import Conv2dGeometry, ceil_divide

_FILTER_GRAD_ROWS = 512


class NumpyConvolution(NumpyArrays, ConvolutionOperations):
    """The three passes; depthwise problems go to functions of their own."""

    def _conv2d_forward(
        self,
        problem: Conv2dGeometry,
        x: NDArray[Any],
        w: NDArray[Any],
        bias: NDArray[Any] | None,
        residual: NDArray[Any] | None,
        relu: bool,
        y: NDArray[Any],
    ) -> None:
        if _is_depthwise(problem):
            depthwise.forward(self.workers, problem, x, w, bias, residual, relu, y)
            return
        if _goes_by_rows(problem):
            by_group = w.reshape(problem.groups, -1, *w.shape[1:])
            filters = by_group.transpose(0, 2, 3, 4, 1)
            by_rows.correlate(self.workers, problem, x, filters, bias, residual, relu, y)
            return
        filters = w.reshape(problem.groups, problem.K // problem.groups, -1).transpose(0, 2, 1)
        pieces = window_pieces(problem, x.itemsize)

        def piece(number: int) -> None:
            images = pieces[number]
            output = y[images].reshape(-1, problem.K)
            for group, (inputs, outputs) in enumerate(channels_of_groups(problem)):
                matrix = columns(self.workers, x[images, :, :, inputs], problem)
                np.matmul(matrix, filters[group], out=output[:, outputs])
            finish(y[images], bias, None if residual is None else residual[images], relu)

        self.workers.run(piece, len(pieces))

    def _conv2d_input_grad(
        self, problem: Conv2dGeometry, dy: NDArray[Any], w: NDArray[Any], dx: NDArray[Any]
    ) -> None:
        if _is_depthwise(problem):
            depthwise.input_grad(self.workers, problem, dy, w, dx)
            return
        by_taps.input_grad(self.workers, problem, dy, w, dx)

    def _conv2d_filter_grad(
        self, problem: Conv2dGeometry, x: NDArray[Any], dy: NDArray[Any], dw: NDArray[Any]
    ) -> None:
        if _is_depthwise(problem):
            depthwise.filter_grad(self.workers, problem, x, dy, dw)
            return
        if _goes_by_rows(problem):
            by_rows.filter_grad(self.workers, problem, x, dy, dw)
            return
        enough_rows = ceil_divide(_FILTER_GRAD_ROWS, problem.P * problem.Q)
        pieces = window_pieces(problem, x.itemsize, enough_rows)
        sums = partial_sums(len(pieces))
        partial = self.empty((len(sums), *problem.w_shape))

        def sum_pieces(part: int) -> None:
            for number, images in enumerate(pieces[sums[part]]):
                for inputs, outputs in channels_of_groups(problem):
                    gradient = dy[images].reshape(-1, problem.K)[:, outputs]
                    matrix = columns(self.workers, x[images, :, :, inputs], problem)
                    total = partial[part, outputs].reshape(gradient.shape[1], -1)
                    # The shorter side last: BLAS takes up to twice as long the other way round.
                    product = (matrix.T @ gradient).T
                    if number == 0:
                        total[...] = product
                    else:
                        total += product

        self.workers.run(sum_pieces, len(sums))
        np.add.reduce(partial, axis=0, out=dw)


def _is_depthwise(problem: Conv2dGeometry) -> bool:
    """Whether each group has one input channel (and there are several)."""
    return problem.groups == problem.C > 1


def _goes_by_rows(problem: Conv2dGeometry) -> bool:
    """Whether windows along rows are faster than whole windows; with few channels they are not."""
    return problem.R > 1 and problem.C // problem.groups > FEW_CHANNELS
