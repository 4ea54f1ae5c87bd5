"""Problems of the guard: losses and norms of which some are not finite."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpucnn.kernelcheck.problem import Arguments, Operation, exactly
from gpucnn.operations.sampling import Generator, chosen, integer, length, normal

_NOT_FINITE = (np.nan, np.inf, -np.inf)


def draw_guard(rng: Generator) -> NDArray[np.int32] | None:
    """None, one that lets a step pass, or one that refuses it."""
    value = chosen(rng, None, 0, 7)
    return None if value is None else np.array([value], np.int32)


def _draw_guard_step(rng: Generator, number: int) -> Arguments:
    """All finite, a loss that is not, or a norm, in turns; the guard is mostly 0."""
    losses, norm = abs(normal(rng, length(rng, number))), np.array([float(rng.random())])
    last = losses.size - 1
    if number % 3 == 1:
        losses[chosen(rng, 0, last, integer(rng, 0, last))] = chosen(rng, *_NOT_FINITE)
    elif number % 3 == 2:
        norm[0] = chosen(rng, *_NOT_FINITE)
    return {
        "guard": np.array([chosen(rng, 0, 0, 0, 3)], np.int32),
        "norm": norm,
        "losses": losses,
        "step": integer(rng, 1, 2**31 - 1),
    }


OPERATIONS = (Operation("guard_step", (), _draw_guard_step, exactly),)
