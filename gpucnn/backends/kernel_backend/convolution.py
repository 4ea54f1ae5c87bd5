"""Launches of convolution's three passes, by whichever variant does the problem best."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpucnn.backends.geometry import Conv2dGeometry
from gpucnn.backends.interface.arrays import Array
from gpucnn.backends.interface.convolution import ConvolutionOperations
from gpucnn.backends.kernel_backend.arrays import THREADS, as_int, ceil_divide, image_grid
from gpucnn.backends.kernel_backend.slices import KernelSlices
from gpucnn.backends.variants import Variant, conv2d_variants, cut
from gpucnn.errors import ShapeError

_DIRECT_ROWS = 4
"""Rows of dy that a slice of the direct filter gradient has at least."""


class KernelConvolution(KernelSlices, ConvolutionOperations):
    """Convolution by kernels.

    Attributes:
        variant: the variant to use, for tests and measurements; None chooses one by the problem.
    """

    variant: Variant | None = None

    def _conv2d_forward(
        self, problem: Conv2dGeometry, x: Array, w: Array, bias: Array | None, y: Array
    ) -> None:
        self._chosen(problem)
        self._launch(
            "conv2d_forward.cu",
            "conv2d_forward_direct",
            image_grid(problem.P * problem.Q * problem.K, problem.N),
            (x, w, bias, None, y, as_int(problem.N, "N")),
            **_constants(problem),
            **_epilogue(bias),
        )

    def _conv2d_input_grad(self, problem: Conv2dGeometry, dy: Array, w: Array, dx: Array) -> None:
        self._chosen(problem)
        self._launch(
            "conv2d_input_grad.cu",
            "conv2d_input_grad_direct",
            image_grid(problem.H * problem.W * problem.C, problem.N),
            (dy, w, dx, as_int(problem.N, "N")),
            **_constants(problem),
        )

    def _conv2d_filter_grad(self, problem: Conv2dGeometry, x: Array, dy: Array, dw: Array) -> None:
        self._chosen(problem)
        rows = problem.N * problem.P
        blocks = ceil_divide(dw.size, THREADS)
        slices = cut(rows, blocks, _DIRECT_ROWS)
        partial = self._partial_sums(slices, dw)
        self._launch(
            "conv2d_filter_grad.cu",
            "conv2d_filter_grad_direct",
            (blocks, slices.count),
            (x, dy, partial, np.int64(rows), np.int64(slices.length)),
            **_constants(problem),
        )
        self._sum_slices(slices, partial, dw)

    def _chosen(self, problem: Conv2dGeometry) -> Variant:
        """The variant to use.

        Raises:
            ShapeError: the one that was asked for cannot do the problem.
        """
        able = conv2d_variants(problem)
        if self.variant is None:
            return able[0]
        if self.variant not in able:
            raise ShapeError(f"the variant {self.variant} cannot do {problem}")
        return self.variant


def _epilogue(bias: Array | None) -> dict[str, Any]:
    """The constants of include/epilogue.cuh."""
    return {"HAS_BIAS": bias is not None, "HAS_RESIDUAL": False, "RELU": False}


def _constants(problem: Conv2dGeometry) -> dict[str, Any]:
    """What the kernels know at compile time; the offsets within an image must fit an int."""
    as_int(problem.H * problem.W * problem.C, "H·W·C")
    as_int(problem.P * problem.Q * problem.K, "P·Q·K")
    as_int(problem.K * problem.R * problem.S * (problem.C // problem.groups), "K·R·S·C/groups")
    (top, _), (left, _) = problem.padding
    return {
        "H": problem.H,
        "W": problem.W,
        "C": problem.C,
        "K": problem.K,
        "R": problem.R,
        "S": problem.S,
        "P": problem.P,
        "Q": problem.Q,
        "STRIDE_H": problem.stride[0],
        "STRIDE_W": problem.stride[1],
        "PAD_H": top,
        "PAD_W": left,
        "DILATION_H": problem.dilation[0],
        "DILATION_W": problem.dilation[1],
        "GROUPS": problem.groups,
    }
