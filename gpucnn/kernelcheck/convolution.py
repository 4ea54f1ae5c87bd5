"""Problems of convolution's three passes.

Each pass is linear in each of its two inputs, so what bounds the rounding errors of its sums is
the same pass over the absolute values.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gpucnn.backends.base import Backend
from gpucnn.kernelcheck.problem import Arguments, Bounds, Operation
from gpucnn.kernelcheck.running_error import sum_bound
from gpucnn.launch.tiles import TILES
from gpucnn.launch.variants import Pass, Variant, conv2d_variants
from gpucnn.operations.geometry import Conv2dGeometry, Pair, Sides, conv2d_geometry
from gpucnn.operations.sampling import (
    CHANNELS,
    Generator,
    chosen,
    integer,
    is_speckled,
    normal,
    padding,
    speckled,
)

_MOST_TAPS = 6000
"""N·P·Q·R·S: each problem is quickly done, by naive loops too."""
_MOST_MULTIPLY_ADDS = 1_000_000
_MOST_ATTEMPTS = 50
"""Sizes that are drawn for the same channels, before it is seen that these are too many."""
_CHANNELS = (*CHANNELS, 130)
"""Also more than a tile of a matrix product has."""
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


def draw_geometry(rng: Generator, number: int) -> Conv2dGeometry:
    """Sizes of a convolution: all pairs of channels and filters in a series' first 54.

    Every fifth is padded by one pixel at one end alone, each end in turn; of ten others one has
    filters of 1×1, one of 7×7, one has images of 1×1, and one has rows of x or y that are whole
    tiles or steps of a product. Of thirty two are products of whole tiles of channels and
    of filters, and of several tiles of pixels.
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
    """C, K and groups; every third problem has groups, as many as there are channels or fewer.

    Every sixth is depthwise, and of these every other has as many channels as a block. Every
    twelfth has groups of several channels.
    """
    if number % 3:
        # Seven is prime to the number of pairs, so all come, and neighbours differ in both.
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


def _options(problem: Conv2dGeometry) -> Arguments:
    return {
        "stride": problem.stride,
        "padding": problem.padding,
        "dilation": problem.dilation,
        "groups": problem.groups,
    }


# What is not finite is in one factor alone, the one that is padded with zeros: whether a tap on the
# padding multiplies, and 0 · ∞ is NaN, is each implementation's own business.


def _draw_forward(rng: Generator, number: int) -> Arguments:
    """With a ReLU wherever there are NaN: it must let them pass."""
    problem = draw_geometry(rng, number)
    bias = normal(rng, problem.K) if rng.random() < 0.5 else None
    residual = None
    if rng.random() < 0.5:
        residual = speckled(number, normal(rng, *problem.y_shape))
    x, w = speckled(number, normal(rng, *problem.x_shape)), normal(rng, *problem.w_shape)
    relu = chosen(rng, False, True) or is_speckled(number)
    epilogue = {"bias": bias, "residual": residual, "relu": relu}
    return {"x": x, "w": w, **epilogue, **_options(problem)}


def _draw_input_grad(rng: Generator, number: int) -> Arguments:
    problem = draw_geometry(rng, number)
    dy, w = speckled(number, normal(rng, *problem.y_shape)), normal(rng, *problem.w_shape)
    return {"dy": dy, "w": w, "x_shape": problem.x_shape, **_options(problem)}


def _draw_filter_grad(rng: Generator, number: int) -> Arguments:
    problem = draw_geometry(rng, number)
    x, dy = speckled(number, normal(rng, *problem.x_shape)), normal(rng, *problem.y_shape)
    return {"x": x, "dy": dy, "w_shape": problem.w_shape, **_options(problem)}


def _geometry(a: Arguments) -> Conv2dGeometry:
    x_shape = a["x_shape"] if "x_shape" in a else a["x"].shape
    w_shape = a["w_shape"] if "w_shape" in a else a["w"].shape
    return conv2d_geometry(x_shape, w_shape, a["stride"], a["padding"], a["dilation"], a["groups"])


def _able(which: Pass) -> Callable[[Arguments], tuple[Variant, ...]]:
    return lambda a: conv2d_variants(_geometry(a), which)


def _absolute(a: Arguments) -> Arguments:
    return {name: abs(v) if isinstance(v, np.ndarray) else v for name, v in a.items()}


def _forward_bounds(a: Arguments, exact: Backend) -> Bounds:
    problem = _geometry(a)
    terms = problem.R * problem.S * (problem.C // problem.groups)
    terms += (a["bias"] is not None) + (a["residual"] is not None)
    # max(y, 0) is never further off than y.
    return {"y": sum_bound(terms, exact.conv2d_forward(**_absolute(a)))}


def _input_grad_bounds(a: Arguments, exact: Backend) -> Bounds:
    problem = _geometry(a)
    terms = problem.R * problem.S * (problem.K // problem.groups)
    return {"dx": sum_bound(terms, exact.conv2d_input_grad(**_absolute(a)))}


def _filter_grad_bounds(a: Arguments, exact: Backend) -> Bounds:
    problem = _geometry(a)
    terms = problem.N * problem.P * problem.Q
    return {"dw": sum_bound(terms, exact.conv2d_filter_grad(**_absolute(a)))}


OPERATIONS = (
    Operation(
        "conv2d_forward",
        ("y",),
        _draw_forward,
        _forward_bounds,
        tuple(Variant),
        _able(Pass.FORWARD),
        {Variant.GEMM: TILES},
    ),
    Operation(
        "conv2d_input_grad",
        ("dx",),
        _draw_input_grad,
        _input_grad_bounds,
        tuple(Variant),
        _able(Pass.INPUT_GRAD),
        {Variant.GEMM: TILES},
    ),
    Operation(
        "conv2d_filter_grad",
        ("dw",),
        _draw_filter_grad,
        _filter_grad_bounds,
        tuple(Variant),
        _able(Pass.FILTER_GRAD),
        {Variant.GEMM: TILES},
    ),
)
