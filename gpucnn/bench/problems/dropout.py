"""Dropout to time, forward and input gradient."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from gpucnn.bench.problems.base import Input, Problem, as_text, total_bytes

RATE = 0.2
_QUANTILE = -0.8416
"""A fifth of normally distributed numbers are below it."""


def passes(name: str, N: int, size: int, C: int) -> tuple[Problem, ...]:
    """Of x (N, size, size, C), a fifth of which is dropped."""
    shape = (N, size, size, C)
    mask = Input(shape, lambda drawn: drawn > _QUANTILE, np.uint8, "bool")
    problem = partial(
        Problem,
        name=name,
        shape_text=as_text(shape),
        # What is kept is scaled; the random words are made of integers, which do not count.
        flops=math.prod(shape),
        traffic=total_bytes(shape, shape) + math.prod(shape),  # a byte of mask for each element
    )
    return (
        problem(
            operation="dropout_forward",
            inputs={"x": Input(shape)},
            options={"rate": RATE, "seed": 0, "stream": 0, "step": 0},
            torch=lambda torch, x: torch.ops.aten.native_dropout(x, RATE, True),
        ),
        problem(
            operation="dropout_input_grad",
            inputs={"dy": Input(shape), "mask": mask},
            options={"rate": RATE},
            torch=lambda torch, dy, mask: torch.ops.aten.native_dropout_backward(
                dy, mask, 1.0 / (1.0 - RATE)
            ),
        ),
    )
