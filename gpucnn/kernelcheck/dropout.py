"""Problems of dropout."""

from __future__ import annotations

import numpy as np

from gpucnn.backends.base import Backend
from gpucnn.kernelcheck.problem import Arguments, Bounds, Operation
from gpucnn.kernelcheck.running_error import sum_bound
from gpucnn.operations.sampling import Generator, chosen, integer, normal, shape

_OFFSETS = (0, 1, 2, 3, 4, 2**32 - 2, 2**34 - 1025)
"""Where a batch begins in a stream: at any word of a block, and where a counter's word carries."""


def _draw_forward(rng: Generator, number: int) -> Arguments:
    return {
        "x": normal(rng, *shape(rng, number)),
        "rate": chosen(rng, 0.0, 0.1, 0.5, 0.9),
        "seed": integer(rng, 0, 2**63 - 1),
        "stream": integer(rng, 0, 2**32 - 1),
        "step": integer(rng, 0, 2**32 - 1),
        "offset": _OFFSETS[number % len(_OFFSETS)],
    }


def _draw_input_grad(rng: Generator, number: int) -> Arguments:
    dy = normal(rng, *shape(rng, number))
    mask = rng.integers(0, 2, dy.shape, np.uint8)
    return {"dy": dy, "mask": mask, "rate": chosen(rng, 0.0, 0.1, 0.5, 0.9)}


def _forward_bounds(a: Arguments, exact: Backend) -> Bounds:
    y, _ = exact.dropout_forward(**a)
    return {"y": sum_bound(2, abs(y))}


def _input_grad_bounds(a: Arguments, exact: Backend) -> Bounds:
    return {"dx": sum_bound(2, abs(exact.dropout_input_grad(**a)))}


OPERATIONS = (
    Operation("dropout_forward", ("y", "mask"), _draw_forward, _forward_bounds),
    Operation("dropout_input_grad", ("dx",), _draw_input_grad, _input_grad_bounds),
)
