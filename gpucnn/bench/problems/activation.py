"""Activations to time, and the sum of two branches."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from gpucnn.bench.problems.base import Input, Problem, as_text, total_bytes

_SLOPE = 0.01


def residual_maps(name: str, *sizes: int) -> tuple[Problem, ...]:
    """N, size, C: what a residual network has."""
    return (
        _map(
            "relu_forward", name, sizes, ("x",), 1,
            lambda torch, x: torch.relu(x),
        ),
        _map(
            "relu_input_grad", name, sizes, ("dy", "y"), 1,
            lambda torch, dy, y: torch.ops.aten.threshold_backward(dy, y, 0),
        ),
        _map(
            "add", name, sizes, ("a", "b"), 1,
            lambda torch, a, b: torch.add(a, b),
        ),
    )  # fmt: skip


def other_maps(name: str, *sizes: int) -> tuple[Problem, ...]:
    """N, size, C: what other networks have in the place of ReLU."""
    return (
        _map(
            "leaky_relu_forward", name, sizes, ("x",), 2,
            lambda torch, x: torch.nn.functional.leaky_relu(x, _SLOPE),
            slope=_SLOPE,
        ),
        _map(
            "leaky_relu_input_grad", name, sizes, ("dy", "x"), 2,
            lambda torch, dy, x: torch.ops.aten.leaky_relu_backward(dy, x, _SLOPE, False),
            slope=_SLOPE,
        ),
        _map(
            "sigmoid_forward", name, sizes, ("x",), 4,
            lambda torch, x: torch.sigmoid(x),
        ),
        _map(
            "sigmoid_input_grad", name, sizes, ("dy", "y"), 3,
            lambda torch, dy, y: torch.ops.aten.sigmoid_backward(dy, y),
        ),
        _map(
            "tanh_forward", name, sizes, ("x",), 1,
            lambda torch, x: torch.tanh(x),
        ),
        _map(
            "tanh_input_grad", name, sizes, ("dy", "y"), 3,
            lambda torch, dy, y: torch.ops.aten.tanh_backward(dy, y),
        ),
    )  # fmt: skip


def _map(
    operation: str,
    name: str,
    sizes: tuple[int, ...],
    inputs: tuple[str, ...],
    flops: int,
    torch: Callable[..., object],
    **options: Any,
) -> Problem:
    """The result (N, size, size, C) is like the inputs, and takes so many flops an element."""
    N, size, C = sizes
    shape = (N, size, size, C)
    return Problem(
        operation=operation,
        name=name,
        shape_text=as_text(shape),
        inputs={each: Input(shape) for each in inputs},
        options=options,
        flops=flops * math.prod(shape),
        traffic=(len(inputs) + 1) * total_bytes(shape),
        torch=torch,
    )
