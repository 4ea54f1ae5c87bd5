"""The launch that guards a step."""

from __future__ import annotations

import numpy as np

from gpucnn.backends.interface.arrays import Array
from gpucnn.backends.interface.guard import GuardOperations
from gpucnn.backends.kernel_backend.arrays import KernelArrays
from gpucnn.launch.elementwise import THREADS
from gpucnn.launch.launch import as_int


class KernelGuard(KernelArrays, GuardOperations):
    """One block over all losses."""

    def _guard_step(self, guard: Array, norm: Array, losses: Array, step: int) -> None:
        count = as_int(losses.size, "losses")
        self._launch(
            "guard.cu",
            "guard_step",
            (1,),
            (guard, norm, losses, np.int32(step), count),
            (THREADS,),
            THREADS=THREADS,
        )
