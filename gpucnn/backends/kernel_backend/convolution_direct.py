"""Launches of convolution straight from its formula: a thread an element."""

from __future__ import annotations

import numpy as np

from gpucnn.backends.interface.arrays import Array
from gpucnn.backends.kernel_backend.arrays import image_grid
from gpucnn.backends.kernel_backend.convolution_constants import conv2d_constants
from gpucnn.backends.kernel_backend.epilogue import Epilogue
from gpucnn.backends.kernel_backend.slices import KernelSlices
from gpucnn.launch.elementwise import THREADS
from gpucnn.launch.launch import as_int
from gpucnn.launch.slices import cut
from gpucnn.operations.geometry import Conv2dGeometry, ceil_divide

_SHORTEST_SLICE = 4
"""Rows of dy that a slice of the filter gradient has at least."""


class KernelConvolutionDirect(KernelSlices):
    """The three passes for any problem."""

    def _forward_direct(
        self, problem: Conv2dGeometry, x: Array, w: Array, epilogue: Epilogue, y: Array
    ) -> None:
        self._launch(
            "conv2d_forward.cu",
            "conv2d_forward_direct",
            image_grid(problem.P * problem.Q * problem.K, problem.N),
            (x, w, epilogue.bias, epilogue.residual, y, as_int(problem.N, "N")),
            **conv2d_constants(problem),
            **epilogue.constants,
        )

    def _input_grad_direct(self, problem: Conv2dGeometry, dy: Array, w: Array, dx: Array) -> None:
        self._launch(
            "conv2d_input_grad.cu",
            "conv2d_input_grad_direct",
            image_grid(problem.H * problem.W * problem.C, problem.N),
            (dy, w, dx, as_int(problem.N, "N")),
            **conv2d_constants(problem),
        )

    def _filter_grad_direct(self, problem: Conv2dGeometry, x: Array, dy: Array, dw: Array) -> None:
        rows = problem.N * problem.P
        blocks = ceil_divide(dw.size, THREADS)
        slices = cut(rows, blocks, self.device.machine, _SHORTEST_SLICE)
        partial = self._partial_sums(slices, dw)
        self._launch(
            "conv2d_filter_grad.cu",
            "conv2d_filter_grad_direct",
            (blocks, slices.count),
            (x, dy, partial, np.int64(rows), np.int64(slices.length)),
            **conv2d_constants(problem),
        )
        self._sum_slices(slices, partial, dw)
