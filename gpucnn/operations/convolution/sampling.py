"""Sizes of convolutions that are drawn at random: every end of an image, tile and block."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from gpucnn.operations.geometry import Conv2dGeometry, Pair, Sides, conv2d_geometry
from gpucnn.operations.sampling import CHANNELS, Generator, chosen, integer, padding

_MOST_TAPS = 6000
"""N·P·Q·R·S, so that naive loops are quick enough."""
_MOST_MULTIPLY_ADDS = 1_000_000
_MOST_ATTEMPTS = 50
"""Sizes that are drawn for the same channels before other channels are drawn."""
_CHANNELS = (*CHANNELS, 130)
"""The last is more than a tile of a matrix product has."""
_AT_ONE_END: tuple[Sides, ...] = (
    ((1, 0), (0, 0)),
    ((0, 1), (0, 0)),
    ((0, 0), (1, 0)),
    ((0, 0), (0, 1)),
)


@dataclass(frozen=True)
class _Axis:
    """Height or width of a problem."""

    size: int
    window: int
    stride: int
    dilation: int
    padding: Pair


def draw_sizes(rng: Generator, number: int) -> Conv2dGeometry:
    """Sizes of a convolution: all pairs of channels and filters are in the first 54 of a series.

    Every fifth is padded by one pixel at one end alone, each end in turn. Of ten, one has filters
    of 1×1, one has filters of 7×7, one has images of 1×1, and one has rows of x or y that are whole
    tiles or steps of a product. Of thirty, two are products of whole tiles of channels and of
    filters, and of several tiles of pixels.
    """
    if number % 30 in (3, 24):
        return conv2d_geometry((1, 12, 11, 64), (128, 1, 1, 64), (1, 1), (0, 0), (1, 1), 1)
    channels = _channels(rng, number)
    for attempt in itertools.count(1):
        if attempt % _MOST_ATTEMPTS == 0:
            channels = _channels(rng, integer(rng, 0, 99))
        C, K, groups = channels
        axes = _axes(rng, number)
        heights, widths = axes
        problem = conv2d_geometry(
            (chosen(rng, 1, 1, 2, 3), heights.size, widths.size, C),
            (K, heights.window, widths.window, C // groups),
            (heights.stride, widths.stride),
            _sides(axes),
            (heights.dilation, widths.dilation),
            groups,
        )
        taps = problem.N * problem.P * problem.Q * problem.R * problem.S
        if taps <= _MOST_TAPS and problem.multiply_adds <= _MOST_MULTIPLY_ADDS:
            break
    return problem


def _channels(rng: Generator, number: int) -> tuple[int, int, int]:
    """C, K and groups; every third problem has several groups.

    Every sixth is depthwise, and every other one of these has as many channels as a block. Every
    twelfth has groups of several channels.
    """
    if number % 3:
        # Seven is coprime to the number of pairs: each comes once, and neighbours differ in both.
        pair = 7 * (number - number // 3 - 1) % len(_CHANNELS) ** 2
        return _CHANNELS[pair % len(_CHANNELS)], _CHANNELS[pair // len(_CHANNELS)], 1
    groups = chosen(rng, 2, 3, 5, 8, 17, 35, 64, 132)
    wider = (3, 1), (2, 3), (4, 4)
    per_group = chosen(rng, (1, 1), (1, 1), (1, 2), *wider)
    if number % 6 == 0:
        per_group = (1, 1)
    if number % 12 == 9:
        per_group = chosen(rng, *wider)
    if number % 12 == 6:
        groups = 64
    return groups * per_group[0], groups * per_group[1], groups


def _axes(rng: Generator, number: int) -> tuple[_Axis, _Axis]:
    match number % 10:
        case 4 | 9:
            rows, columns = _AT_ONE_END[number // 5 % 4]
            return _exact_axis(rng, rows), _exact_axis(rng, columns)
        case 0:
            return _axis(rng, 1), _axis(rng, 1)
        case 5:
            return _axis(rng, 7), _axis(rng, 7)
        case 2:
            return _pixel_axis(rng), _pixel_axis(rng)
        case 7 if number % 20 == 7:
            return _axis(rng, integer(rng, 1, 3)), _stepping_axis(rng)
        case 7:
            # Rows of 16 pixels, an odd number of them: under this stride the residues have one
            # row more and one row fewer, and all are whole tiles.
            rows = 2 * chosen(rng, 1, 2, 4, 8) + 1
            return _Axis(rows, 2, 2, 1, (0, 1)), _Axis(16, 3, 1, 1, (0, 0))
    return _axis(rng, 1 + number % 7), _axis(rng, integer(rng, 1, 7))


def _axis(rng: Generator, window: int) -> _Axis:
    dilation = chosen(rng, 1, 1, 2, 3)
    extent = (window - 1) * dilation + 1
    sides = padding(rng, extent)
    rest = chosen(rng, 0, 1, integer(rng, 0, 6), integer(rng, 0, 20))
    size = max(1, extent - sum(sides)) + rest
    return _Axis(size, window, chosen(rng, 1, 1, 2, 3, 4), dilation, sides)


def _pixel_axis(rng: Generator) -> _Axis:
    """An axis of one pixel, the rest of the window being padding."""
    window, dilation = integer(rng, 1, 7), chosen(rng, 1, 1, 2, 3)
    rest = (window - 1) * dilation
    before = integer(rng, 0, rest)
    return _Axis(1, window, chosen(rng, 1, 1, 2, 3, 4), dilation, (before, rest - before))


def _stepping_axis(rng: Generator) -> _Axis:
    """An axis along which there are 16 or 32 outputs."""
    window, dilation, stride = integer(rng, 1, 3), chosen(rng, 1, 2), chosen(rng, 1, 1, 2)
    extent = (window - 1) * dilation + 1
    sides = padding(rng, extent)
    size = (chosen(rng, 16, 32) - 1) * stride + extent - sum(sides)
    return _Axis(size, window, stride, dilation, sides)


def _exact_axis(rng: Generator, sides: Pair) -> _Axis:
    """An axis with this padding, whose last window ends where the padding does."""
    window, dilation = integer(rng, 1, 7), chosen(rng, 1, 1, 2, 3)
    stride = chosen(rng, 1, 1, 2, 3, 4)
    size = (window - 1) * dilation + 1 + stride * integer(rng, 1, 6) - sum(sides)
    return _Axis(size, window, stride, dilation, sides)


def _sides(axes: tuple[_Axis, _Axis]) -> Sides:
    return axes[0].padding, axes[1].padding
