"""Launches of max, average and global average pooling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from gpucnn.backends.devices.device import Argument
from gpucnn.backends.interface.arrays import Array
from gpucnn.backends.interface.pooling import PoolingOperations
from gpucnn.backends.kernel_backend.arrays import KernelArrays, image_grid
from gpucnn.launch.channel_rows import Chunks, channel_block, channel_width
from gpucnn.launch.elementwise import THREADS
from gpucnn.launch.launch import as_int
from gpucnn.operations.geometry import Pool2dGeometry, ceil_divide

_GLOBAL = "global_avg_pool2d.cu"
_BLOCKS = 1024
"""Enough blocks to fill a GPU; beyond that a block takes several images."""


class KernelPooling(KernelArrays, PoolingOperations):
    """A thread a few channels of a pixel of the result, which it gathers; images along y."""

    def _max_pool2d_forward(
        self, problem: Pool2dGeometry, x: Array, y: Array, argmax: Array
    ) -> None:
        pixels = problem.P * problem.Q
        self._launch_pixels("max_pool2d.cu", "max_pool2d_forward", problem, pixels, (x, y, argmax))

    def _max_pool2d_input_grad(
        self, problem: Pool2dGeometry, dy: Array, argmax: Array, dx: Array
    ) -> None:
        pixels, arguments = problem.H * problem.W, (dy, argmax, dx)
        self._launch_pixels("max_pool2d.cu", "max_pool2d_input_grad", problem, pixels, arguments)

    def _avg_pool2d_forward(self, problem: Pool2dGeometry, x: Array, y: Array) -> None:
        pixels = problem.P * problem.Q
        self._launch_pixels("avg_pool2d.cu", "avg_pool2d_forward", problem, pixels, (x, y))

    def _avg_pool2d_input_grad(self, problem: Pool2dGeometry, dy: Array, dx: Array) -> None:
        pixels = problem.H * problem.W
        self._launch_pixels("avg_pool2d.cu", "avg_pool2d_input_grad", problem, pixels, (dy, dx))

    def _global_avg_pool2d_forward(self, x: Array, y: Array) -> None:
        N, H, W, C = x.shape
        factor = 1.0 / (H * W)
        chunks = channel_block(C).chunks_to_sum(H * W)
        if chunks.count == 1:
            self._global("global_avg_pool2d_forward", (x, y), factor, chunks, N, C)
            return
        partial = self.empty((N, chunks.count, C))
        self._global("global_avg_pool2d_forward", (x, partial), 1.0, chunks, N, C)
        join = Chunks(chunks.count, chunks.count, 1)
        self._global("global_avg_pool2d_forward", (partial, y), factor, join, N, C)

    def _global_avg_pool2d_input_grad(self, dy: Array, dx: Array) -> None:
        N, H, W, C = dx.shape
        chunks = channel_block(C).chunks_to_map(H * W)
        self._global("global_avg_pool2d_input_grad", (dy, dx), 1.0 / (H * W), chunks, N, C)

    def _launch_pixels(
        self,
        file: str,
        function: str,
        problem: Pool2dGeometry,
        pixels: int,
        arrays: Sequence[Argument],
    ) -> None:
        """A thread for each vector of channels in so many pixels of each image."""
        width = channel_width(problem.C)
        self._launch(
            file,
            function,
            image_grid(pixels * (problem.C // width), problem.N),
            (*arrays, as_int(problem.N, "N")),
            (THREADS,),
            WIDTH=width,
            **_constants(problem),
        )

    def _global(
        self,
        function: str,
        arrays: Sequence[Argument],
        factor: float,
        chunks: Chunks,
        N: int,
        C: int,
    ) -> None:
        """Columns of channels along x, images along y, chunks of their pixels along z."""
        block = channel_block(as_int(C, "C").item())
        images = min(N, ceil_divide(_BLOCKS, block.columns * chunks.count))
        self._launch(
            _GLOBAL,
            function,
            (block.columns, images, chunks.count),
            (*arrays, np.float32(factor), *chunks.arguments, as_int(N, "N")),
            block.shape,
            **block.constants,
        )


@lru_cache(maxsize=4096)
def _constants(problem: Pool2dGeometry) -> Mapping[str, int]:
    """What the kernels know at compile time; the offsets within an image must fit an int."""
    as_int(problem.H * problem.W * problem.C, "H·W·C")
    as_int(problem.P * problem.Q * problem.C, "P·Q·C")
    (top, _), (left, _) = problem.padding
    return {
        "H": problem.H,
        "W": problem.W,
        "C": problem.C,
        "R": problem.R,
        "S": problem.S,
        "P": problem.P,
        "Q": problem.Q,
        "STRIDE_H": problem.stride[0],
        "STRIDE_W": problem.stride[1],
        "PAD_H": top,
        "PAD_W": left,
    }
