"""Convolution as matrix products, a few images a piece, pieces over threads.

Forward multiplies windows of x by the filters. The input gradient of stride 1 does the same to dy
with rotated filters; for other strides it multiplies dy by the filters, tap by tap, and adds each
product to the pixels that the tap had read, so no zero of a stride or a padding is multiplied. The
filter gradient multiplies dy, transposed, by the windows of x, in a fixed order of sums.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.geometry import Conv2dGeometry, ceil_divide, conv2d_geometry
from gpucnn.backends.interface.convolution import ConvolutionOperations
from gpucnn.backends.numpy_backend import by_rows, depthwise
from gpucnn.backends.numpy_backend.arrays import NumpyArrays
from gpucnn.backends.numpy_backend.epilogue import finish
from gpucnn.backends.numpy_backend.taps import taps
from gpucnn.backends.numpy_backend.windows import (
    FEW_CHANNELS,
    channels_of_groups,
    columns,
    window_pieces,
)
from gpucnn.backends.numpy_backend.workers import even_slices, partial_sums

_TAP_BYTES = 512 * 1024
"""What one tap's product may take, so that it is still in the cache when it is added."""
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
            filters = _grouped(problem, w).transpose(0, 2, 3, 4, 1)
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
        transposed = _transposed(problem)
        if transposed and _goes_by_rows(transposed):
            rotated = _grouped(problem, w)[:, :, ::-1, ::-1].transpose(0, 2, 3, 1, 4)
            by_rows.correlate(self.workers, transposed, dy, rotated, None, None, False, dx)
            return
        filters = _filters_by_tap(problem, w)
        channels = problem.C // problem.groups
        product_bytes = problem.P * problem.Q * channels * dy.itemsize
        pieces = even_slices(problem.N, _TAP_BYTES // product_bytes)
        # A tap that reaches every pixel comes first: it sets dx, and the others add to it.
        in_order = sorted(taps(problem), key=lambda tap: not tap.everywhere)
        first_sets = bool(in_order) and in_order[0].everywhere

        def piece(number: int) -> None:
            gradient, target = dy[pieces[number]], dx[pieces[number]]
            if not first_sets:
                target[...] = 0
            product = self.workers.scratch("product", (*gradient.shape[:3], channels), dx.dtype)
            for group, (inputs, outputs) in enumerate(channels_of_groups(problem)):
                rows = gradient.reshape(-1, problem.K)[:, outputs]
                for place, tap in enumerate(in_order):
                    by_tap = filters[group, tap.number]
                    np.matmul(rows, by_tap, out=product.reshape(-1, channels))
                    pixels = target[tap.pixels][..., inputs]
                    if place == 0 and first_sets:
                        pixels[...] = product
                    else:
                        pixels += product[tap.outputs]

        self.workers.run(piece, len(pieces))

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


def _transposed(problem: Conv2dGeometry) -> Conv2dGeometry | None:
    """The convolution of dy, with filters rotated by 180°, that gives dx; None where none does."""
    (top, bottom), (left, right) = problem.padding
    height = (problem.R - 1) * problem.dilation[0]
    width = (problem.S - 1) * problem.dilation[1]
    sides = ((height - top, height - bottom), (width - left, width - right))
    if problem.stride != (1, 1) or min(sides[0] + sides[1]) < 0:
        return None
    w_shape = (problem.C, problem.R, problem.S, problem.K // problem.groups)
    return conv2d_geometry(
        problem.y_shape, w_shape, (1, 1), sides, problem.dilation, problem.groups
    )


def _grouped(problem: Conv2dGeometry, w: NDArray[Any]) -> NDArray[Any]:
    """Filters (groups, K/groups, R, S, C/groups), a view."""
    return w.reshape(problem.groups, problem.K // problem.groups, *w.shape[1:])


def _filters_by_tap(problem: Conv2dGeometry, w: NDArray[Any]) -> NDArray[Any]:
    """Filters as a matrix a tap: (groups, R·S, K/groups, C/groups)."""
    K, channels = problem.K // problem.groups, problem.C // problem.groups
    taps = w.reshape(problem.groups, K, problem.R * problem.S, channels)
    return np.ascontiguousarray(taps.transpose(0, 2, 1, 3))
