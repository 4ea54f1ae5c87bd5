"""Sliding windows as matrices: im2col over a few images at a time.

It is never made for a whole batch: a piece of a few images is a strided view copied into scratch
memory that stays in the core's cache, then multiplied.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from gpucnn.backends.numpy_backend.workers import Workers, even_slices
from gpucnn.operations.geometry import Conv2dGeometry, Pair

PIECE_BYTES = 3 * 1024 * 1024
"""What the windows of a piece may take: more than a core's nearest cache holds, but with smaller
pieces threads wait for each other's hold of the interpreter more than they save."""
FEW_CHANNELS = 4


def window_pieces(conv: Conv2dGeometry, itemsize: int, least: int = 1) -> list[slice]:
    """The batch in pieces of at least ``least`` images, whose windows fit the cache if possible."""
    elements = conv.P * conv.Q * conv.R * conv.S * conv.C
    return even_slices(conv.N, max(least, PIECE_BYTES // (elements * itemsize)))


def channels_of_groups(conv: Conv2dGeometry) -> Iterator[tuple[slice, slice]]:
    """The input and output channels of each group."""
    inputs, outputs = conv.C // conv.groups, conv.K // conv.groups
    for group in range(conv.groups):
        yield (
            slice(group * inputs, (group + 1) * inputs),
            slice(group * outputs, (group + 1) * outputs),
        )


def canvas_size(conv: Conv2dGeometry) -> Pair:
    """Rows and columns that hold the image behind its padding, and all that windows cover."""
    sizes = []
    for size, outputs, taps, stride, padding, dilation in (
        (conv.H, conv.P, conv.R, conv.stride[0], conv.padding[0],
         conv.dilation[0]),
        (conv.W, conv.Q, conv.S, conv.stride[1], conv.padding[1],
         conv.dilation[1]),
    ):  # fmt: skip
        covered = (outputs - 1) * stride + (taps - 1) * dilation + 1
        sizes.append(max(padding[0] + size, covered))
    return sizes[0], sizes[1]


def padded(workers: Workers, images: NDArray[Any], conv: Conv2dGeometry) -> NDArray[Any]:
    """Images (n, H, W, C) with zeros around them, (n, *canvas_size, C), in scratch memory.

    The images themselves where nothing is added.
    """
    n, H, W, C = images.shape
    height, width = canvas_size(conv)
    if (height, width) == (H, W):
        return images
    top, left = conv.padding[0][0], conv.padding[1][0]
    canvas = workers.scratch("padded", (n, height, width, C), images.dtype)
    canvas[:, :top] = 0
    canvas[:, top + H :] = 0
    canvas[:, top : top + H, :left] = 0
    canvas[:, top : top + H, left + W :] = 0
    canvas[:, top : top + H, left : left + W] = images
    return canvas


def window_view(canvas: NDArray[Any], conv: Conv2dGeometry) -> NDArray[Any]:
    """The windows of padded images, without a copy: (n, P, Q, R, S, C)."""
    image, row, column, channel = canvas.strides
    return as_strided(
        canvas,
        (canvas.shape[0], conv.P, conv.Q, conv.R, conv.S, canvas.shape[3]),
        (
            image,
            row * conv.stride[0],
            column * conv.stride[1],
            row * conv.dilation[0],
            column * conv.dilation[1],
            channel,
        ),
        writeable=False,
    )


def columns(workers: Workers, images: NDArray[Any], conv: Conv2dGeometry) -> NDArray[Any]:
    """The matrix of windows, (n·P·Q, R·S·C), of images (n, H, W, C).

    C may be the channels of one group only. Where they are few the copy runs along rows of
    pixels instead, and the matrix is the transposed view of what was copied; BLAS reads both
    alike.
    """
    canvas = padded(workers, images, conv)
    n, C = canvas.shape[0], canvas.shape[3]
    count, length = n * conv.P * conv.Q, conv.R * conv.S * C
    if length == C and conv.stride == (1, 1) and canvas.flags.c_contiguous:
        return canvas.reshape(count, C)
    view = window_view(canvas, conv)
    if C <= FEW_CHANNELS:
        view = view.transpose(3, 4, 5, 0, 1, 2)
        matrix = workers.scratch("columns", view.shape, images.dtype)
        np.copyto(matrix, view)
        return matrix.reshape(length, count).T
    matrix = workers.scratch("columns", view.shape, images.dtype)
    np.copyto(matrix, view)
    return matrix.reshape(count, length)


def tap_of(canvas: NDArray[Any], conv: Conv2dGeometry, r: int, s: int) -> NDArray[Any]:
    """The pixels of padded images that tap (r, s) reads: a view (n, P, Q, C)."""
    top, left = r * conv.dilation[0], s * conv.dilation[1]
    return canvas[
        :,
        top : top + (conv.P - 1) * conv.stride[0] + 1 : conv.stride[0],
        left : left + (conv.Q - 1) * conv.stride[1] + 1 : conv.stride[1],
    ]
