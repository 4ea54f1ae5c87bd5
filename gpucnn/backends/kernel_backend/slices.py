"""Sums that are cut into slices: the workspace and the second pass that adds the slices up."""

from __future__ import annotations

import numpy as np

from gpucnn.backends.interface.arrays import Array
from gpucnn.backends.kernel_backend.arrays import KernelArrays
from gpucnn.backends.kernel_backend.epilogue import NO_EPILOGUE, Epilogue
from gpucnn.launch.elementwise import THREADS
from gpucnn.launch.launch import as_int
from gpucnn.launch.slices import Slices
from gpucnn.operations.geometry import ceil_divide

_MANY_ELEMENTS = 65_536
"""Enough that a thread each keeps a GPU busy."""
_LANES, _ROWS = 32, 16
"""Where there are fewer: a block's elements, and threads that share the slices of one."""


class KernelSlices(KernelArrays):
    """For the families whose large sums run through a workspace."""

    def _partial_sums(self, slices: Slices, result: Array) -> Array:
        """Where the first pass writes: the result itself, if the sums are whole."""
        return result if slices.count == 1 else self.empty((slices.count, *result.shape))

    def _sum_slices(
        self, slices: Slices, partial: Array, result: Array, epilogue: Epilogue = NO_EPILOGUE
    ) -> None:
        """Adds the slices up and finishes the sums; whole sums are finished already."""
        if slices.count == 1:
            return
        shared = result.size < _MANY_ELEMENTS and slices.count > _ROWS
        block = (_LANES, _ROWS) if shared else (THREADS,)
        self._launch(
            "sum_slices.cu",
            "sum_slices",
            (ceil_divide(result.size, block[0]),),
            (
                partial,
                epilogue.bias,
                epilogue.residual,
                result,
                np.int32(epilogue.relu),
                as_int(slices.count, "slices"),
                as_int(result.shape[-1], "channels"),
                np.int64(result.size),
            ),
            block,
        )
