"""Launches of max, average and global average pooling."""

from __future__ import annotations

from gpucnn.backends.geometry import Pool2dGeometry
from gpucnn.backends.interface.arrays import Array
from gpucnn.backends.interface.pooling import PoolingOperations
from gpucnn.backends.kernel_backend.arrays import KernelArrays, as_int, image_grid


class KernelPooling(KernelArrays, PoolingOperations):
    """A thread an element of the result, which it gathers; images along the grid's y."""

    def _max_pool2d_forward(
        self, problem: Pool2dGeometry, x: Array, y: Array, argmax: Array
    ) -> None:
        self._launch(
            "max_pool2d.cu",
            "max_pool2d_forward",
            image_grid(problem.P * problem.Q * problem.C, problem.N),
            (x, y, argmax, as_int(problem.N, "N")),
            **_constants(problem),
        )

    def _max_pool2d_input_grad(
        self, problem: Pool2dGeometry, dy: Array, argmax: Array, dx: Array
    ) -> None:
        self._launch(
            "max_pool2d.cu",
            "max_pool2d_input_grad",
            image_grid(problem.H * problem.W * problem.C, problem.N),
            (dy, argmax, dx, as_int(problem.N, "N")),
            **_constants(problem),
        )


def _constants(problem: Pool2dGeometry) -> dict[str, int]:
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
