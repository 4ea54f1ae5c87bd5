"""The windows of poolings: how they are drawn, and naive loops over them.

The loops know the arguments of an operation alone; they share nothing with the sizes that problems
derive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gpucnn.errors import ShapeError
from gpucnn.operations.geometry import Pair, Pool2dGeometry, Sides, pool2d_geometry
from gpucnn.operations.problem import Arguments, Shape
from gpucnn.operations.sampling import (
    CHANNELS,
    SPECIAL,
    Generator,
    chosen,
    integer,
    normal,
    padding,
)
from gpucnn.operations.tracked import Floats, Tracked, stack

Gathered: TypeAlias = Callable[[int, list[int], list[int], list[int]], Tracked]
"""What a pixel of image n gets from windows (p, q), of each of which it is the element of a number:
called with n, and lists of p, q and the numbers."""

_MOST_TAPS = 20000
"""N·P·Q·R·S·C of what is drawn."""
_TIED = (-2.0, -1.0, 0.0, -0.0, 1.0)
"""Few different values, so that most windows have ties; the two zeros are equal."""
_WIDE = ((16, 16), (17, 17), (2, 129), (257, 1))
"""Windows of 256 elements, whose argmax still fits a byte, and of just more and many more."""


@dataclass(frozen=True)
class _Axis:
    """Height or width of a problem."""

    size: int
    stride: int
    padding: Pair


def _axis(rng: Generator, window: int) -> _Axis:
    sides = padding(rng, window)
    size = max(1, window - sum(sides)) + integer(rng, 0, 6)
    return _Axis(size, integer(rng, 1, 4), sides)


def draw_sizes(rng: Generator, number: int) -> Pool2dGeometry:
    """Sizes of a pooling; every tenth has a window of 256 elements or more."""
    while True:
        C = (*CHANNELS, 8)[number % 6]
        window = (integer(rng, 1, 7), integer(rng, 1, 7))
        if number % 10 == 9:
            window = chosen(rng, *_WIDE)
        heights, widths = _axis(rng, window[0]), _axis(rng, window[1])
        x_shape = (chosen(rng, 1, 1, 2, 3), heights.size, widths.size, C)
        stride = (heights.stride, widths.stride)
        try:
            sizes = pool2d_geometry(x_shape, window, stride, (heights.padding, widths.padding))
        except ShapeError:  # a window wholly in the padding
            continue
        if np.prod(sizes.y_shape) * sizes.R * sizes.S <= _MOST_TAPS:
            return sizes


def options_of(sizes: Pool2dGeometry) -> Arguments:
    """The arguments of an operation beside its arrays."""
    return {"window": (sizes.R, sizes.S), "stride": sizes.stride, "padding": sizes.padding}


def draw_maximands(rng: Generator, number: int, shape: Shape) -> NDArray[np.float32]:
    """Random numbers, ties, or ties with NaN and infinities; every tenth is −∞ throughout."""
    if number % 10 == 8:
        return np.full(shape, -np.inf, np.float32)
    if number % 3 == 0:
        return normal(rng, *shape)
    return rng.choice(_TIED if number % 3 == 1 else (*_TIED, *SPECIAL), shape).astype(np.float32)


def _starts(size: int, extent: int, step: int, sides: Pair) -> list[int]:
    """Where windows begin along an axis: the padding is below 0 and from ``size`` on."""
    starts, start = [], -sides[0]
    while start + extent <= size + sides[1]:
        starts.append(start)
        start += step
    return starts


def output_shape(x_shape: Shape, window: Pair, stride: Pair, padding: Sides) -> Shape:
    """(N, P, Q, C), by counting windows."""
    N, H, W, C = x_shape
    rows = _starts(H, window[0], stride[0], padding[0])
    columns = _starts(W, window[1], stride[1], padding[1])
    return N, len(rows), len(columns), C


def windows(
    x_shape: Shape, window: Pair, stride: Pair, padding: Sides
) -> Iterator[tuple[Pair, list[tuple[int, int, int]]]]:
    """Each (p, q), with those elements of its window that are no padding: (r·S + s, h, w)."""
    _, H, W, _ = x_shape
    R, S = window
    for p, top in enumerate(_starts(H, R, stride[0], padding[0])):
        for q, left in enumerate(_starts(W, S, stride[1], padding[1])):
            inside = [
                (r * S + s, top + r, left + s)
                for r in range(R)
                for s in range(S)
                if 0 <= top + r < H and 0 <= left + s < W
            ]
            yield (p, q), inside


def maxima(
    x: Floats | NDArray[np.float32], window: Pair, stride: Pair, padding: Sides
) -> tuple[Floats, NDArray[np.int64]]:
    """The first of a window's largest elements, or its first NaN, and the element's number."""
    shape = output_shape(x.shape, window, stride, padding)
    y, argmax = np.empty(shape), np.empty(shape, np.int64)
    for (p, q), inside in windows(x.shape, window, stride, padding):
        for n in range(shape[0]):
            best, winner = y[n, p, q], argmax[n, p, q]
            for place, (number, h, w) in enumerate(inside):
                value = x[n, h, w]
                is_better = (value > best) | ((value != value) & (best == best))
                wins = is_better if place else np.ones(value.shape, np.bool_)
                best[wins], winner[wins] = value[wins], number
    return y, argmax


def gather(
    dtype: np.dtype[np.floating],
    x_shape: Shape,
    window: Pair,
    stride: Pair,
    padding: Sides,
    gathered: Gathered,
) -> Tracked:
    """For each pixel what is gathered from the windows that hold it: (N, H, W, C)."""
    N, H, W, C = x_shape
    holding: dict[Pair, list[tuple[int, int, int]]] = {}
    for (p, q), inside in windows(x_shape, window, stride, padding):
        for number, h, w in inside:
            holding.setdefault((h, w), []).append((p, q, number))
    pixels = []
    for n in range(N):
        for h in range(H):
            for w in range(W):
                if (h, w) in holding:
                    places = zip(*holding[h, w], strict=True)
                    pixels.append(gathered(n, *map(list, places)))
                else:
                    pixels.append(Tracked(np.zeros(C), dtype=dtype))
    return stack(pixels).reshape(*x_shape)
