"""Launches of depthwise convolution."""

from __future__ import annotations

import numpy as np

from gpucnn.backends.interface.arrays import Array
from gpucnn.backends.kernel_backend.convolution_constants import conv2d_constants
from gpucnn.backends.kernel_backend.epilogue import NO_EPILOGUE, Epilogue
from gpucnn.backends.kernel_backend.slices import KernelSlices
from gpucnn.launch.elementwise import THREADS, WARP
from gpucnn.launch.launch import as_int
from gpucnn.launch.slices import cut
from gpucnn.operations.geometry import Conv2dGeometry, ceil_divide

_FILE = "conv2d_depthwise.cu"
_STRIP = 4
"""Neighbouring pixels that a thread computes, about."""
_BLOCKS = 4096
"""Enough blocks to fill a GPU; beyond that a block takes several images."""
_WIDEST = 8
"""Columns of a filter at most for a thread to take several channels: it keeps a row of what its
strip reads, of each of them, in registers."""


class KernelConvolutionDepthwise(KernelSlices):
    """The three passes where every channel is a group of its own, with one filter."""

    def _forward_depthwise(
        self, problem: Conv2dGeometry, x: Array, w: Array, epilogue: Epilogue, y: Array
    ) -> None:
        self._launch_strips(
            problem,
            "conv2d_depthwise_forward",
            (problem.P, problem.Q),
            (x, w, epilogue.bias, epilogue.residual, y, as_int(problem.N, "N")),
            epilogue,
        )

    def _input_grad_depthwise(
        self, problem: Conv2dGeometry, dy: Array, w: Array, dx: Array
    ) -> None:
        self._launch_strips(
            problem,
            "conv2d_depthwise_input_grad",
            (problem.H, problem.W),
            (dy, w, dx, as_int(problem.N, "N")),
        )

    def _launch_strips(
        self,
        problem: Conv2dGeometry,
        function: str,
        size: tuple[int, int],
        arguments: tuple[object, ...],
        epilogue: Epilogue = NO_EPILOGUE,
    ) -> None:
        """A thread a strip of the results, which have this size (height, width)."""
        width = 4 if problem.C % 4 == 0 and problem.S <= _WIDEST else 1
        lanes = _lanes(problem.C // width)
        strips = THREADS // lanes
        stride = problem.stride[1]
        strip = stride * max(1, _STRIP // stride)
        blocks = ceil_divide(problem.C, lanes * width)
        blocks *= ceil_divide(size[0] * ceil_divide(size[1], strip), strips)
        self._launch(
            _FILE,
            function,
            (blocks, min(problem.N, ceil_divide(_BLOCKS, blocks))),
            arguments,
            (lanes, strips),
            **conv2d_constants(problem),
            **epilogue.constants,
            WIDTH=width,
            LANES=lanes,
            STRIPS=strips,
            STRIP=strip,
        )

    def _filter_grad_depthwise(
        self, problem: Conv2dGeometry, x: Array, dy: Array, dw: Array
    ) -> None:
        lanes = _lanes(problem.C)
        block_rows = THREADS // lanes
        blocks = ceil_divide(problem.C, lanes)
        rows = problem.N * problem.P
        slices = cut(rows, blocks, self.device.machine, block_rows)
        partial = self._partial_sums(slices, dw)
        self._launch(
            "conv2d_depthwise_filter_grad.cu",
            "conv2d_depthwise_filter_grad",
            (blocks, slices.count),
            (x, dy, partial, np.int64(rows), np.int64(slices.length)),
            (lanes, block_rows),
            **conv2d_constants(problem),
            LANES=lanes,
            ROWS=block_rows,
        )
        self._sum_slices(slices, partial, dw)


def _lanes(vectors: int) -> int:
    """Threads along the channels: a power of two, a warp at most."""
    return min(WARP, 1 << (vectors - 1).bit_length())
