"""The guard of a step, on the host."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.interface.guard import GuardOperations
from gpucnn.backends.numpy_backend.arrays import NumpyArrays


class NumpyGuard(NumpyArrays, GuardOperations):
    """One look at the losses."""

    def _guard_step(
        self, guard: NDArray[Any], norm: NDArray[Any], losses: NDArray[Any], step: int
    ) -> None:
        if guard[0] == 0 and not (np.isfinite(norm[0]) and np.isfinite(losses).all()):
            guard[0] = step
