"""Convolutions to time: the three passes, and forward with a bias, a residual and a ReLU."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from gpucnn.bench.problems.base import (
    Input,
    Problem,
    as_text,
    end_in_torch,
    tensor_beside,
    total_bytes,
)
from gpucnn.launch.variants import Pass, conv2d_variants
from gpucnn.operations.geometry import Conv2dGeometry, conv2d_geometry


def passes(name: str, *sizes: int) -> tuple[Problem, ...]:
    """N, size, C, K, kernel, stride, padding, groups.

    Each pass takes as many operations, taps on the padding among them, and moves as many bytes:
    two of x, w and y are read, and the third is written.
    """
    geometry = _geometry(*sizes)
    x, w, y = (Input(shape) for shape in (geometry.x_shape, geometry.w_shape, geometry.y_shape))
    options = _options(geometry)
    problem = partial(
        Problem,
        name=name,
        shape_text=_text(geometry),
        flops=2 * geometry.multiply_adds,
        traffic=total_bytes(x.shape, w.shape, y.shape),
    )

    def backward(torch: Any, dy: Any, x: Any, w: Any, wanted: list[bool]) -> Any:
        """PyTorch's gradients of x, of w and of the bias, those that are wanted."""
        *sliding, groups = options.values()
        return torch.ops.aten.convolution_backward(
            dy, x, w, None, *sliding, False, [0, 0], groups, wanted
        )

    return (
        problem(
            operation="conv2d_forward",
            inputs={"x": x, "w": w},
            options=options,
            variants=conv2d_variants(geometry, Pass.FORWARD),
            torch=lambda torch, x, w: torch.nn.functional.conv2d(x, w, None, *options.values()),
        ),
        problem(
            operation="conv2d_input_grad",
            inputs={"dy": y, "w": w},
            options={"x_shape": x.shape, **options},
            variants=conv2d_variants(geometry, Pass.INPUT_GRAD),
            torch_prepare=lambda torch, dy, w: (dy, tensor_beside(torch, dy, x.shape), w),
            torch=lambda torch, dy, x, w: backward(torch, dy, x, w, [True, False, False])[0],
        ),
        problem(
            operation="conv2d_filter_grad",
            inputs={"x": x, "dy": y},
            options={"w_shape": w.shape, **options},
            variants=conv2d_variants(geometry, Pass.FILTER_GRAD),
            torch_prepare=lambda torch, x, dy: (dy, x, tensor_beside(torch, x, w.shape)),
            torch=lambda torch, dy, x, w: backward(torch, dy, x, w, [False, True, False])[1],
        ),
    )


def epilogues(name: str, *sizes: int) -> tuple[Problem, ...]:
    """As ``passes``: forward with a bias, then a ReLU, then the end of a residual block."""
    return (
        _with_epilogue(f"{name}-bias", sizes),
        _with_epilogue(f"{name}-bias-relu", sizes, relu=True),
        _with_epilogue(f"{name}-bias-add-relu", sizes, adds=True, relu=True),
    )


def _with_epilogue(
    name: str, sizes: tuple[int, ...], adds: bool = False, relu: bool = False
) -> Problem:
    """An addition, or a comparison, for each result and each part of the epilogue more."""
    geometry = _geometry(*sizes)
    x, w, y = geometry.x_shape, geometry.w_shape, geometry.y_shape
    behind = {"bias": (geometry.K,)} | ({"residual": y} if adds else {})
    options = _options(geometry)

    def torch_run(torch: Any, x: Any, w: Any, bias: Any, residual: Any = None) -> Any:
        y = torch.nn.functional.conv2d(x, w, bias, *options.values())
        return end_in_torch(torch, y, residual, relu)

    return Problem(
        operation="conv2d_forward",
        name=name,
        shape_text=", ".join([_text(geometry), *behind, *["ReLU"] * relu]),
        inputs={name: Input(shape) for name, shape in {"x": x, "w": w, **behind}.items()},
        options={**options, "relu": relu},
        flops=2 * geometry.multiply_adds + (len(behind) + relu) * math.prod(y),
        traffic=total_bytes(x, w, y, *behind.values()),
        variants=conv2d_variants(geometry, Pass.FORWARD),
        torch=torch_run,
    )


def _geometry(
    N: int,
    size: int,
    C: int,
    K: int,
    kernel: int,
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
) -> Conv2dGeometry:
    """Of x (N, size, size, C) with K filters of (kernel, kernel)."""
    x_shape, w_shape = (N, size, size, C), (K, kernel, kernel, C // groups)
    return conv2d_geometry(x_shape, w_shape, (stride, stride), (padding, padding), (1, 1), groups)


def _options(geometry: Conv2dGeometry) -> dict[str, Any]:
    """In the order in which PyTorch takes them; its padding is the same on both sides."""
    (top, _), (left, _) = geometry.padding
    return {
        "stride": geometry.stride,
        "padding": (top, left),
        "dilation": geometry.dilation,
        "groups": geometry.groups,
    }


def _text(geometry: Conv2dGeometry) -> str:
    """Such as "64×56×56×64, 64 of 3×3/2"."""
    stride = f"/{geometry.stride[0]}" if geometry.stride[0] > 1 else ""
    groups = f", {geometry.groups} groups" if geometry.groups > 1 else ""
    filters = f"{geometry.K} of {geometry.R}×{geometry.S}"
    return f"{as_text(geometry.x_shape)}, {filters}{stride}{groups}"
