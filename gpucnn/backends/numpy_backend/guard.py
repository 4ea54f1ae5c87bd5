"""The guard of a step, on the host: one look at the losses."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.numpy_backend.implementations import implements
from gpucnn.backends.numpy_backend.pieces import NumpyArrays
from gpucnn.operations.guard import GuardStep


@implements(GuardStep)
def _guard_step(
    _: NumpyArrays,
    _problem: GuardStep,
    guard: NDArray[Any],
    norm: NDArray[Any],
    losses: NDArray[Any],
    step: int,
) -> None:
    if guard[0] == 0 and not (np.isfinite(norm[0]) and np.isfinite(losses).all()):
        guard[0] = step
