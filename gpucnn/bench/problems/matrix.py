"""What linear layers and biases need, to time: matrix products, and sums over all but channels."""

from __future__ import annotations

import math
from typing import Any

from gpucnn.bench.problems.base import Input, Problem, as_text, total_bytes


def linear(name: str, batch: int, inputs: int, outputs: int) -> tuple[Problem, ...]:
    """A linear layer: y = x·wᵀ, also with its bias, dx = dy·w, dw = dyᵀ·x and the bias's sums."""
    return (
        product(f"{name}-forward", batch, outputs, inputs, transpose_b=True),
        product(f"{name}-bias", batch, outputs, inputs, transpose_b=True, has_bias=True),
        product(f"{name}-input-grad", batch, inputs, outputs),
        product(f"{name}-filter-grad", outputs, inputs, batch, transpose_a=True),
        channel_sum(f"{name}-bias-grad", batch, 1, outputs),
    )


def product(
    name: str,
    M: int,
    N: int,
    K: int,
    transpose_a: bool = False,
    transpose_b: bool = False,
    has_bias: bool = False,
) -> Problem:
    """op(a) · op(b), an (M, N) matrix with inner length K, and a bias for each row, or none."""
    shapes = {
        "a": (K, M) if transpose_a else (M, K),
        "b": (N, K) if transpose_b else (K, N),
        **({"bias": (N,)} if has_bias else {}),
    }
    a_text, b_text = "aᵀ" if transpose_a else "a", "bᵀ" if transpose_b else "b"

    def torch_prepare(_torch: Any, a: Any, b: Any, *bias: Any) -> tuple[Any, ...]:
        return *bias, a.t() if transpose_a else a, b.t() if transpose_b else b

    return Problem(
        operation="matmul",
        name=name,
        shape_text=f"{M}×{N}×{K}, {a_text}·{b_text}{' + bias' if has_bias else ''}",
        inputs={each: Input(shape) for each, shape in shapes.items()},
        options={"transpose_a": transpose_a, "transpose_b": transpose_b},
        flops=2 * M * N * K + has_bias * M * N,
        traffic=total_bytes(*shapes.values(), (M, N)),
        torch_prepare=torch_prepare,
        torch=lambda torch, *inputs: (torch.addmm if has_bias else torch.mm)(*inputs),
    )


def channel_sum(name: str, N: int, size: int, C: int) -> Problem:
    """Σ over all axes of x (N, size, size, C) but the last: the gradient of a bias."""
    x = (N, size, size, C)
    return Problem(
        operation="channel_sum",
        name=name,
        shape_text=as_text(x),
        inputs={"x": Input(x)},
        flops=math.prod(x),
        traffic=total_bytes(x, (C,)),
        torch=lambda torch, x: torch.sum(x, (0, 2, 3)),
    )
