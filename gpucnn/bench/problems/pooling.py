"""Max and average pooling to time, forward and input gradient."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

from gpucnn.backends.base import Backend
from gpucnn.backends.interface.arrays import Array
from gpucnn.bench.problems.base import Input, Problem, as_text, tensor_beside, total_bytes
from gpucnn.operations.geometry import Pool2dGeometry, pool2d_geometry


def max_pooling(
    name: str, N: int, size: int, C: int, window: int, stride: int, padding: int = 0
) -> tuple[Problem, ...]:
    """Of x (N, size, size, C) over windows of (window, window)."""
    sizes, options = _windows((N, size, size, C), window, stride, padding)
    x, y, results = sizes.x_shape, sizes.y_shape, math.prod(sizes.y_shape)
    places = tuple(options.values())

    def prepare(backend: Backend, x: Array, dy: Array) -> Mapping[str, Array]:
        return {"dy": dy, "argmax": backend.max_pool2d_forward(x, **options)[1]}

    def torch_prepare(torch: Any, x: Any, dy: Any) -> tuple[Any, ...]:
        return dy, x, torch.ops.aten.max_pool2d_with_indices(x, *places)[1]

    problem = partial(
        Problem,
        name=name,
        shape_text=_text(sizes),
        traffic=total_bytes(x, y) + results,  # a byte for each winner
    )
    return (
        problem(
            operation="max_pool2d_forward",
            inputs={"x": Input(x)},
            options=options,
            flops=results * window**2,
            torch=lambda torch, x: torch.ops.aten.max_pool2d_with_indices(x, *places),
        ),
        problem(
            operation="max_pool2d_input_grad",
            inputs={"x": Input(x), "dy": Input(y)},
            options={"x_shape": x, **options},
            flops=results,
            prepare=prepare,
            torch_prepare=torch_prepare,
            torch=lambda torch, dy, x, indices: torch.ops.aten.max_pool2d_with_indices_backward(
                dy, x, *places, (1, 1), False, indices
            ),
        ),
    )


def average_pooling(
    name: str, N: int, size: int, C: int, window: int, stride: int, padding: int = 0
) -> tuple[Problem, ...]:
    """Of x (N, size, size, C) over windows of (window, window); padding counts, as zeros."""
    sizes, options = _windows((N, size, size, C), window, stride, padding)
    x, y, results = sizes.x_shape, sizes.y_shape, math.prod(sizes.y_shape)
    places = tuple(options.values())
    problem = partial(Problem, name=name, shape_text=_text(sizes), traffic=total_bytes(x, y))
    return (
        problem(
            operation="avg_pool2d_forward",
            inputs={"x": Input(x)},
            options=options,
            flops=results * window**2,
            torch=lambda torch, x: torch.nn.functional.avg_pool2d(x, *places),
        ),
        problem(
            operation="avg_pool2d_input_grad",
            inputs={"dy": Input(y)},
            options={"x_shape": x, **options},
            flops=results * (window**2 + 1),
            torch_prepare=lambda torch, dy: (dy, tensor_beside(torch, dy, x)),
            torch=lambda torch, dy, x: torch.ops.aten.avg_pool2d_backward(
                dy, x, *places, False, True, None
            ),
        ),
    )


def global_average_pooling(name: str, N: int, size: int, C: int) -> tuple[Problem, ...]:
    """The mean of each channel of an image of x (N, size, size, C)."""
    x, y = (N, size, size, C), (N, C)
    problem = partial(Problem, name=name, shape_text=as_text(x), traffic=total_bytes(x, y))
    return (
        problem(
            operation="global_avg_pool2d_forward",
            inputs={"x": Input(x)},
            flops=math.prod(x),
            torch=lambda torch, x: torch.mean(x, (2, 3)),
        ),
        problem(
            operation="global_avg_pool2d_input_grad",
            inputs={"dy": Input(y)},
            options={"x_shape": x},
            flops=math.prod(y),
            # As PyTorch's automatic differentiation makes it: a view that is divided.
            torch=lambda _, dy: dy[:, :, None, None].expand(-1, -1, size, size) / size**2,
        ),
    )


def _windows(
    x_shape: tuple[int, ...], window: int, stride: int, padding: int
) -> tuple[Pool2dGeometry, dict[str, Any]]:
    """All sizes, and the options that lead to them, in the order in which PyTorch takes them."""
    options = {"window": (window,) * 2, "stride": (stride,) * 2, "padding": (padding,) * 2}
    return pool2d_geometry(x_shape, **options), options


def _text(sizes: Pool2dGeometry) -> str:
    """Such as "64×112×112×64, 3×3/2"."""
    return f"{as_text(sizes.x_shape)}, {sizes.R}×{sizes.S}/{sizes.stride[0]}"
