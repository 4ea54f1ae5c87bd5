"""Launches of convolution's three passes, by whichever variant does the problem best."""

from __future__ import annotations

import numpy as np

from gpucnn.backends.geometry import Conv2dGeometry
from gpucnn.backends.interface.arrays import Array
from gpucnn.backends.interface.convolution import ConvolutionOperations
from gpucnn.backends.kernel_backend.arrays import THREADS, as_int, ceil_divide, image_grid
from gpucnn.backends.kernel_backend.convolution_constants import (
    conv2d_constants,
    epilogue_constants,
)
from gpucnn.backends.kernel_backend.convolution_gemm import KernelConvolutionGemm
from gpucnn.backends.variants import Pass, Variant, conv2d_variants, cut
from gpucnn.errors import ShapeError

_DIRECT_ROWS = 4
"""Rows of dy that a slice of the direct filter gradient has at least."""


class KernelConvolution(KernelConvolutionGemm, ConvolutionOperations):
    """Convolution by kernels.

    Attributes:
        variant: the variant to use, for tests and measurements; None chooses one by the problem.
    """

    variant: Variant | None = None

    def _conv2d_forward(
        self, problem: Conv2dGeometry, x: Array, w: Array, bias: Array | None, y: Array
    ) -> None:
        if self._variant(problem, Pass.FORWARD) is Variant.GEMM:
            self._forward_gemm(problem, x, w, bias, y)
            return
        self._launch(
            "conv2d_forward.cu",
            "conv2d_forward_direct",
            image_grid(problem.P * problem.Q * problem.K, problem.N),
            (x, w, bias, None, y, as_int(problem.N, "N")),
            **conv2d_constants(problem),
            **epilogue_constants(bias),
        )

    def _conv2d_input_grad(self, problem: Conv2dGeometry, dy: Array, w: Array, dx: Array) -> None:
        if self._variant(problem, Pass.INPUT_GRAD) is Variant.GEMM:
            self._input_grad_gemm(problem, dy, w, dx)
            return
        self._launch(
            "conv2d_input_grad.cu",
            "conv2d_input_grad_direct",
            image_grid(problem.H * problem.W * problem.C, problem.N),
            (dy, w, dx, as_int(problem.N, "N")),
            **conv2d_constants(problem),
        )

    def _conv2d_filter_grad(self, problem: Conv2dGeometry, x: Array, dy: Array, dw: Array) -> None:
        if self._variant(problem, Pass.FILTER_GRAD) is Variant.GEMM:
            self._filter_grad_gemm(problem, x, dy, dw)
            return
        rows = problem.N * problem.P
        blocks = ceil_divide(dw.size, THREADS)
        slices = cut(rows, blocks, _DIRECT_ROWS)
        partial = self._partial_sums(slices, dw)
        self._launch(
            "conv2d_filter_grad.cu",
            "conv2d_filter_grad_direct",
            (blocks, slices.count),
            (x, dy, partial, np.int64(rows), np.int64(slices.length)),
            **conv2d_constants(problem),
        )
        self._sum_slices(slices, partial, dw)

    def _variant(self, problem: Conv2dGeometry, which: Pass) -> Variant:
        """The variant to use.

        Raises:
            ShapeError: the one that was asked for cannot do the problem.
        """
        able = conv2d_variants(problem, which)
        if self.variant is None:
            return able[0]
        if self.variant not in able:
            raise ShapeError(f"the variant {self.variant} cannot do {problem}")
        return self.variant
