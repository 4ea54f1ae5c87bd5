"""Convolution as matrix products, a few images a piece, pieces over threads.

Forward multiplies windows of x by the filters; the filter gradient multiplies dy, transposed, by
the same windows, in a fixed order of sums. The input gradient multiplies dy by the filters, tap by
tap, and adds each product to the pixels that the tap had read. Depthwise convolutions have
functions of their own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.numpy_backend.convolution import by_rows, by_taps, depthwise
from gpucnn.backends.numpy_backend.convolution.windows import (
    FEW_CHANNELS,
    channels_of_groups,
    columns,
    window_pieces,
)
from gpucnn.backends.numpy_backend.epilogue import finish
from gpucnn.backends.numpy_backend.implementations import implements
from gpucnn.backends.numpy_backend.pieces import NumpyArrays
from gpucnn.backends.numpy_backend.shards import sum_shards
from gpucnn.backends.numpy_backend.workers import sum_groups
from gpucnn.operations.convolution import Conv2dFilterGrad, Conv2dForward, Conv2dInputGrad
from gpucnn.operations.geometry import Conv2dGeometry, ceil_divide

_FILTER_GRAD_ROWS = 512


@implements(Conv2dForward)
def _forward(
    be: NumpyArrays,
    problem: Conv2dForward,
    x: NDArray[Any],
    w: NDArray[Any],
    bias: NDArray[Any] | None,
    residual: NDArray[Any] | None,
    y: NDArray[Any],
) -> None:
    conv, relu = problem.conv, problem.relu
    if _is_depthwise(conv):
        depthwise.forward(be.workers, conv, x, w, bias, residual, relu, y)
        return
    if _goes_by_rows(conv):
        by_group = w.reshape(conv.groups, -1, *w.shape[1:])
        filters = by_group.transpose(0, 2, 3, 4, 1)
        by_rows.correlate(be.workers, conv, x, filters, bias, residual, relu, y)
        return
    filters = w.reshape(conv.groups, conv.K // conv.groups, -1).transpose(0, 2, 1)
    pieces = window_pieces(conv, x.itemsize)

    def piece(number: int) -> None:
        images = pieces[number]
        output = y[images].reshape(-1, conv.K)
        for group, (inputs, outputs) in enumerate(channels_of_groups(conv)):
            matrix = columns(be.workers, x[images, :, :, inputs], conv)
            np.matmul(matrix, filters[group], out=output[:, outputs])
        finish(y[images], bias, None if residual is None else residual[images], relu)

    be.workers.run(piece, len(pieces))


@implements(Conv2dInputGrad)
def _input_grad(
    be: NumpyArrays,
    problem: Conv2dInputGrad,
    dy: NDArray[Any],
    w: NDArray[Any],
    dx: NDArray[Any],
) -> None:
    if _is_depthwise(problem.conv):
        depthwise.input_grad(be.workers, problem.conv, dy, w, dx)
    else:
        by_taps.input_grad(be.workers, problem.conv, dy, w, dx)


@implements(Conv2dFilterGrad)
def _filter_grad(
    be: NumpyArrays,
    problem: Conv2dFilterGrad,
    x: NDArray[Any],
    dy: NDArray[Any],
    dw: NDArray[Any],
) -> None:
    def set_sums(images: slice, dw: NDArray[Any]) -> None:
        conv = replace(problem.conv, N=images.stop - images.start)
        _set_filter_grad(be, conv, x[images], dy[images], dw)

    sum_shards(problem.conv.N, problem.shards, dw, set_sums)


def _set_filter_grad(
    be: NumpyArrays,
    conv: Conv2dGeometry,
    x: NDArray[Any],
    dy: NDArray[Any],
    dw: NDArray[Any],
) -> None:
    """dw of one shard."""
    if _is_depthwise(conv):
        depthwise.filter_grad(be.workers, conv, x, dy, dw)
        return
    if _goes_by_rows(conv):
        by_rows.filter_grad(be.workers, conv, x, dy, dw)
        return
    enough_rows = ceil_divide(_FILTER_GRAD_ROWS, conv.P * conv.Q)
    pieces = window_pieces(conv, x.itemsize, enough_rows)
    sums = sum_groups(len(pieces))
    partial = be.empty((len(sums), *conv.w_shape))

    def sum_pieces(part: int) -> None:
        for number, images in enumerate(pieces[sums[part]]):
            for inputs, outputs in channels_of_groups(conv):
                gradient = dy[images].reshape(-1, conv.K)[:, outputs]
                matrix = columns(be.workers, x[images, :, :, inputs], conv)
                total = partial[part, outputs].reshape(gradient.shape[1], -1)
                # The shorter side last: BLAS takes up to twice as long the other way round.
                product = (matrix.T @ gradient).T
                if number == 0:
                    total[...] = product
                else:
                    total += product

    be.workers.run(sum_pieces, len(sums))
    np.add.reduce(partial, axis=0, out=dw)


def _is_depthwise(conv: Conv2dGeometry) -> bool:
    """Whether each group has one input channel (and there are several)."""
    return conv.groups == conv.C > 1


def _goes_by_rows(conv: Conv2dGeometry) -> bool:
    """Whether windows along rows are faster than whole windows; with few channels they are not."""
    return conv.R > 1 and conv.C // conv.groups > FEW_CHANNELS
