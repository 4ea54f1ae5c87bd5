"""The input gradient of a convolution as R·S matrix products, one for each tap of the filter.

Each product is added to the pixels that its tap had read, so no zero of a stride or a padding is
multiplied. Both lie in scratch memory with the images behind the pixels, (rows, columns, n,
channels): what is added for neighbouring images is then one run, however few the channels are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.numpy_backend.convolution.windows import PIECE_BYTES, channels_of_groups
from gpucnn.backends.numpy_backend.taps import taps
from gpucnn.backends.numpy_backend.workers import Workers, even_slices
from gpucnn.operations.geometry import Conv2dGeometry


def input_grad(
    workers: Workers,
    conv: Conv2dGeometry,
    dy: NDArray[Any],
    w: NDArray[Any],
    dx: NDArray[Any],
) -> None:
    """dx of the convolution."""
    filters = _by_tap(conv, w)
    pieces = _pieces(conv, dy.itemsize)
    pointwise = _is_pointwise(conv)

    def piece(number: int) -> None:
        images = pieces[number]
        for group, (inputs, outputs) in enumerate(channels_of_groups(conv)):
            gradient, target = dy[images, :, :, outputs], dx[images, :, :, inputs]
            if pointwise:
                np.matmul(_matrix(gradient), filters[group, 0], out=_matrix(target))
            else:
                _add_up(workers, conv, gradient, filters[group], target)

    workers.run(piece, len(pieces))


def _add_up(
    workers: Workers,
    conv: Conv2dGeometry,
    dy: NDArray[Any],
    filters: NDArray[Any],
    dx: NDArray[Any],
) -> None:
    """dx of a piece and a group, of which the filters are (R·S, K/groups, C/groups)."""
    source, target = _pixels_first(dy), _pixels_first(dx)
    gradient = workers.scratch("gradient", source.shape, dy.dtype)
    total = workers.scratch("total", target.shape, dx.dtype)
    product = workers.scratch("product", (*source.shape[:3], dx.shape[-1]), dx.dtype)
    gradient[...] = source
    total.fill(0)
    for tap in taps(conv):
        _, rows, columns = tap.outputs
        np.matmul(_matrix(gradient[rows]), filters[tap.number], out=_matrix(product[rows]))
        total[tap.pixels[1:]] += product[rows, columns]
    target[...] = total


def _is_pointwise(conv: Conv2dGeometry) -> bool:
    """Whether each window is a pixel, and each pixel a window: there is nothing to add up."""
    unpadded = conv.padding == ((0, 0), (0, 0))
    return (conv.R, conv.S) == conv.stride == (1, 1) and unpadded


def _matrix(array: NDArray[Any]) -> NDArray[Any]:
    """The view whose rows are the last axis."""
    return array.reshape(-1, array.shape[-1])


def _by_tap(conv: Conv2dGeometry, w: NDArray[Any]) -> NDArray[Any]:
    """Filters as a matrix a tap: (groups, R·S, K/groups, C/groups)."""
    C, K = conv.C // conv.groups, conv.K // conv.groups
    by_group = w.reshape(conv.groups, K, conv.R * conv.S, C)
    return np.ascontiguousarray(by_group.transpose(0, 2, 1, 3))


def _pixels_first(images: NDArray[Any]) -> NDArray[Any]:
    """The view (H, W, n, C) of (n, H, W, C)."""
    return images.transpose(1, 2, 0, 3)


def _pieces(conv: Conv2dGeometry, itemsize: int) -> list[slice]:
    """The batch in pieces that fit the cache, if possible: dx, dy and a product, of a group."""
    inputs, outputs = conv.H * conv.W * conv.C, conv.P * conv.Q * conv.K
    product = conv.P * conv.Q * conv.C
    image_bytes = (inputs + outputs + product) // conv.groups * itemsize
    return even_slices(conv.N, PIECE_BYTES // image_bytes)
