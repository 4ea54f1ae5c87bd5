"""Launches of convolution as a matrix product: its tiles, and the slices of its sums."""

from __future__ import annotations

import math

import numpy as np

from gpucnn.backends.interface.arrays import Array
from gpucnn.backends.kernel_backend.convolution_constants import conv2d_constants
from gpucnn.backends.kernel_backend.epilogue import Epilogue
from gpucnn.backends.kernel_backend.slices import KernelSlices
from gpucnn.launch.launch import as_int
from gpucnn.launch.slices import cut_product
from gpucnn.launch.tiles import MANY_ROWS, gemm_tile
from gpucnn.launch.variants import longest_slice
from gpucnn.operations.geometry import Conv2dGeometry, ceil_divide


class KernelConvolutionGemm(KernelSlices):
    """The three passes as implicit matrix products."""

    def _forward_gemm(
        self, problem: Conv2dGeometry, x: Array, w: Array, epilogue: Epilogue, y: Array
    ) -> None:
        channels, filters = problem.C // problem.groups, problem.K // problem.groups
        pixels, elements = problem.N * problem.P * problem.Q, problem.R * problem.S * channels
        tile = self.choice.tile or gemm_tile(MANY_ROWS, filters)
        blocks = tile.blocks(pixels, filters)
        slices = cut_product(
            elements, blocks * problem.groups, self.device.machine, self.choice.shortest_slice
        )
        partial = self._partial_sums(slices, y)
        self._launch(
            "conv2d_forward_gemm.cu",
            "conv2d_forward_gemm",
            (blocks, problem.groups, slices.count),
            (
                x,
                w,
                epilogue.bias,
                epilogue.residual,
                y,
                partial,
                np.int64(pixels),
                as_int(slices.length, "a slice"),
            ),
            (tile.threads,),
            **conv2d_constants(problem),
            **epilogue.constants,
            **tile.constants,
        )
        self._sum_slices(slices, partial, y, epilogue)

    def _input_grad_gemm(self, problem: Conv2dGeometry, dy: Array, w: Array, dx: Array) -> None:
        channels, filters = problem.C // problem.groups, problem.K // problem.groups
        rows, rows_of_class, taps_down = _classes(problem, 0)
        columns, columns_of_class, taps_right = _classes(problem, 1)
        classes = rows * columns
        tile = self.choice.tile or gemm_tile(MANY_ROWS, channels)
        blocks = tile.blocks(problem.N * rows_of_class * columns_of_class, channels)
        elements = taps_down * taps_right * filters
        slices = cut_product(
            elements,
            blocks * problem.groups * classes,
            self.device.machine,
            self.choice.shortest_slice,
        )
        partial = self._partial_sums(slices, dx)
        self._launch(
            "conv2d_input_grad_gemm.cu",
            "conv2d_input_grad_gemm",
            (blocks, problem.groups, slices.count * classes),
            (dy, w, dx, partial, np.int64(problem.N), as_int(slices.length, "a slice")),
            (tile.threads,),
            **conv2d_constants(problem),
            **tile.constants,
        )
        self._sum_slices(slices, partial, dx)

    def _filter_grad_gemm(self, problem: Conv2dGeometry, x: Array, dy: Array, dw: Array) -> None:
        channels, filters = problem.C // problem.groups, problem.K // problem.groups
        pixels, elements = problem.N * problem.P * problem.Q, problem.R * problem.S * channels
        tile = self.choice.tile or gemm_tile(filters, elements)
        blocks = tile.blocks(filters, elements)
        slices = cut_product(
            pixels,
            blocks * problem.groups,
            self.device.machine,
            self.choice.shortest_slice,
            longest_slice(problem),
        )
        partial = self._partial_sums(slices, dw)
        self._launch(
            "conv2d_filter_grad_gemm.cu",
            "conv2d_filter_grad_gemm",
            (blocks, problem.groups, slices.count),
            (x, dy, partial, np.int64(pixels), np.int32(slices.length)),
            (tile.threads,),
            **conv2d_constants(problem),
            **tile.constants,
        )
        self._sum_slices(slices, partial, dw)


def _classes(problem: Conv2dGeometry, axis: int) -> tuple[int, int, int]:
    """An axis as include/input_grad_axis.cuh divides it: classes, most pixels, most taps in one."""
    size, taps = (problem.H, problem.W)[axis], (problem.R, problem.S)[axis]
    stride, dilation = problem.stride[axis], problem.dilation[axis]
    period = stride // math.gcd(stride, dilation)
    return min(stride, size), ceil_divide(size, stride), ceil_divide(taps, period)
