"""Problems of max, average and global average pooling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.base import Backend
from gpucnn.backends.numpy_backend import NumpyBackend
from gpucnn.errors import ShapeError
from gpucnn.kernelcheck.problem import Arguments, Bounds, Operation, exactly
from gpucnn.kernelcheck.running_error import Floats, sum_bound
from gpucnn.operations.geometry import Pair, Pool2dGeometry, pool2d_geometry
from gpucnn.operations.sampling import (
    CHANNELS,
    MANY_CHANNELS,
    SPECIAL,
    Generator,
    chosen,
    integer,
    normal,
    padding,
    speckled,
)

_MOST_TAPS = 20000
"""N·P·Q·R·S·C."""
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


def draw_geometry(rng: Generator, number: int) -> Pool2dGeometry:
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
            problem = pool2d_geometry(x_shape, window, stride, (heights.padding, widths.padding))
        except ShapeError:  # a window wholly in the padding
            continue
        if np.prod(problem.y_shape) * problem.R * problem.S <= _MOST_TAPS:
            return problem


def _options(problem: Pool2dGeometry) -> Arguments:
    window = (problem.R, problem.S)
    return {"window": window, "stride": problem.stride, "padding": problem.padding}


def _maximands(rng: Generator, number: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    if number % 10 == 8:
        return np.full(shape, -np.inf, np.float32)
    if number % 3 == 0:
        return normal(rng, *shape)
    return rng.choice(_TIED if number % 3 == 1 else (*_TIED, *SPECIAL), shape).astype(np.float32)


def _draw_max_forward(rng: Generator, number: int) -> Arguments:
    problem = draw_geometry(rng, number)
    return {"x": _maximands(rng, number, problem.x_shape), **_options(problem)}


def _draw_max_input_grad(rng: Generator, number: int) -> Arguments:
    problem = draw_geometry(rng, number)
    x = _maximands(rng, number, problem.x_shape)
    options = _options(problem)
    _, argmax = NumpyBackend("fp32").max_pool2d_forward(x, **options)
    dy = speckled(number, normal(rng, *problem.y_shape))
    return {"dy": dy, "argmax": argmax, "x_shape": problem.x_shape, **options}


def _draw_avg_forward(rng: Generator, number: int) -> Arguments:
    problem = draw_geometry(rng, number)
    return {"x": speckled(number, normal(rng, *problem.x_shape)), **_options(problem)}


def _draw_avg_input_grad(rng: Generator, number: int) -> Arguments:
    problem = draw_geometry(rng, number)
    dy = speckled(number, normal(rng, *problem.y_shape))
    return {"dy": dy, "x_shape": problem.x_shape, **_options(problem)}


def _global_shape(rng: Generator, number: int) -> tuple[int, int, int, int]:
    """Every fifth has more pixels than one chunk, every tenth more images than there are blocks."""
    if number % 10 == 6:
        return integer(rng, 1025, 1100), 1, integer(rng, 1, 3), 1
    C = (*CHANNELS, MANY_CHANNELS)[number % 6]
    H, W = integer(rng, 1, 9), integer(rng, 1, max(1, 60 // C))
    if number % 5 == 3:
        H, W = 9, 500 // C
    return chosen(rng, 1, 2, 3), H, W, C


def _draw_global_forward(rng: Generator, number: int) -> Arguments:
    return {"x": speckled(number, normal(rng, *_global_shape(rng, number)))}


def _draw_global_input_grad(rng: Generator, number: int) -> Arguments:
    x_shape = _global_shape(rng, number)
    return {"dy": speckled(number, normal(rng, x_shape[0], x_shape[3])), "x_shape": x_shape}


def _window_size(a: Arguments) -> int:
    return int(np.prod(a["window"]))


def _windows_of_pixels(a: Arguments, exact: Backend) -> Floats:
    """How many windows hold each pixel."""
    options = {name: a[name] for name in ("x_shape", "window", "stride", "padding")}
    shares: Floats = exact.avg_pool2d_input_grad(np.ones_like(a["dy"]), **options)
    return np.round(shares * _window_size(a))


def _max_input_grad_bounds(a: Arguments, exact: Backend) -> Bounds:
    """The terms are not products: one alone is exact."""
    magnitudes = exact.max_pool2d_input_grad(**{**a, "dy": abs(a["dy"])})
    terms = exact.max_pool2d_input_grad(**{**a, "dy": np.ones_like(a["dy"])})
    return {"dx": sum_bound(np.maximum(terms - 1, 0), magnitudes)}


# The factor 1/(R·S) is rounded, and so is each product with it: two roundings more than terms.


def _avg_forward_bounds(a: Arguments, exact: Backend) -> Bounds:
    magnitudes = exact.avg_pool2d_forward(**{**a, "x": abs(a["x"])})
    shares = exact.avg_pool2d_forward(**{**a, "x": np.ones_like(a["x"])})
    return {"y": sum_bound(np.round(shares * _window_size(a)) + 2, magnitudes)}


def _avg_input_grad_bounds(a: Arguments, exact: Backend) -> Bounds:
    magnitudes = exact.avg_pool2d_input_grad(**{**a, "dy": abs(a["dy"])})
    return {"dx": sum_bound(_windows_of_pixels(a, exact) + 2, magnitudes)}


def _global_forward_bounds(a: Arguments, exact: Backend) -> Bounds:
    pixels = a["x"].shape[1] * a["x"].shape[2]
    return {"y": sum_bound(pixels + 2, exact.global_avg_pool2d_forward(abs(a["x"])))}


def _global_input_grad_bounds(a: Arguments, exact: Backend) -> Bounds:
    magnitudes = exact.global_avg_pool2d_input_grad(abs(a["dy"]), a["x_shape"])
    return {"dx": sum_bound(2, magnitudes)}


OPERATIONS = (
    Operation("max_pool2d_forward", ("y", "argmax"), _draw_max_forward, exactly),
    Operation("max_pool2d_input_grad", ("dx",), _draw_max_input_grad, _max_input_grad_bounds),
    Operation("avg_pool2d_forward", ("y",), _draw_avg_forward, _avg_forward_bounds),
    Operation("avg_pool2d_input_grad", ("dx",), _draw_avg_input_grad, _avg_input_grad_bounds),
    Operation("global_avg_pool2d_forward", ("y",), _draw_global_forward, _global_forward_bounds),
    Operation(
        "global_avg_pool2d_input_grad", ("dx",), _draw_global_input_grad, _global_input_grad_bounds
    ),
)
