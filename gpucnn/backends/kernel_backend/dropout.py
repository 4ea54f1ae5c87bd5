"""Launches of dropout."""

from __future__ import annotations

import math

import numpy as np

from gpucnn.backends.interface.arrays import Array
from gpucnn.backends.interface.dropout import DropoutOperations
from gpucnn.backends.kernel_backend.arrays import KernelArrays

_FILE = "dropout.cu"


class KernelDropout(KernelArrays, DropoutOperations):
    """Four neighbouring elements a thread, which are the words of one Philox block or of two."""

    def _dropout_forward(
        self,
        x: Array,
        rate: float,
        seed: int,
        stream: int,
        step: int,
        offset: int,
        y: Array,
        mask: Array,
    ) -> None:
        arguments = (
            x,
            y,
            mask,
            np.uint64(math.ceil(rate * 2**32)),
            _scale(rate),
            np.uint64(seed & 0xFFFFFFFFFFFFFFFF),
            np.uint32(stream),
            np.uint32(step & 0xFFFFFFFF),
            np.uint64(offset),
        )
        self._launch_elements(_FILE, "dropout_forward", x.size, arguments)

    def _dropout_input_grad(self, dy: Array, mask: Array, rate: float, dx: Array) -> None:
        arguments = (dy, mask, _scale(rate), dx)
        self._launch_elements(_FILE, "dropout_input_grad", dy.size, arguments)


def _scale(rate: float) -> np.float32:
    return np.float32(1.0 / (1.0 - rate))
