"""Max, average and global average pooling, forward and input gradient."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from gpucnn.backends.interface.arrays import Array, ArrayOperations
from gpucnn.errors import ShapeError
from gpucnn.operations.geometry import Padding, Pair, Pool2dGeometry, Shape, pool2d_geometry


def argmax_dtype(problem: Pool2dGeometry) -> np.dtype[np.unsignedinteger]:
    """The smallest of uint8 and uint16 that can name every element of the window.

    Raises:
        ShapeError: a window of more elements than uint16 has numbers.
    """
    elements = problem.R * problem.S
    if elements > 65536:
        raise ShapeError(f"a window of {problem.R}×{problem.S} has over 65536 elements")
    return np.dtype(np.uint8 if elements <= 256 else np.uint16)


def _check_images(what: str, shape: Shape) -> None:
    if len(shape) != 4 or min(shape) < 1:
        raise ShapeError(f"{what} {shape}; global pooling takes (N, H, W, C), none empty")


class PoolingOperations(ArrayOperations):
    """Pooling over windows of (R, S); x is (N, H, W, C), y is (N, P, Q, C).

    All raise ShapeError where the window does not fit, or lies wholly in the padding.
    """

    def max_pool2d_forward(
        self, x: Array, window: Pair = (2, 2), stride: Pair = (2, 2), padding: Padding = (0, 0)
    ) -> tuple[Array, Array]:
        """The maximum of each window, and where it was.

        The first of equal values wins, in the order of r, then s; padding never wins; NaN wins
        over any number, the first of several.

        Returns:
            y (N, P, Q, C), and argmax of the same shape: r·S + s of the winner, as uint8 where
            the window has at most 256 elements, else uint16.
        """
        problem = pool2d_geometry(x.shape, window, stride, padding)
        self._check("x", x)
        y = self.empty(problem.y_shape)
        argmax = self.empty(problem.y_shape, argmax_dtype(problem))
        self._max_pool2d_forward(problem, x, y, argmax)
        return y, argmax

    def max_pool2d_input_grad(
        self,
        dy: Array,
        argmax: Array,
        x_shape: Shape,
        window: Pair = (2, 2),
        stride: Pair = (2, 2),
        padding: Padding = (0, 0),
    ) -> Array:
        """Routes dy (N, P, Q, C) to the winners: dx of ``x_shape``; overlaps add."""
        problem = pool2d_geometry(tuple(x_shape), window, stride, padding)
        self._check("dy", dy, problem.y_shape)
        self._check("argmax", argmax, problem.y_shape, argmax_dtype(problem))
        dx = self.empty(problem.x_shape)
        self._max_pool2d_input_grad(problem, dy, argmax, dx)
        return dx

    def avg_pool2d_forward(
        self, x: Array, window: Pair = (2, 2), stride: Pair = (2, 2), padding: Padding = (0, 0)
    ) -> Array:
        """The mean over each window, y (N, P, Q, C). Padding counts, as zeros."""
        problem = pool2d_geometry(x.shape, window, stride, padding)
        self._check("x", x)
        y = self.empty(problem.y_shape)
        self._avg_pool2d_forward(problem, x, y)
        return y

    def avg_pool2d_input_grad(
        self,
        dy: Array,
        x_shape: Shape,
        window: Pair = (2, 2),
        stride: Pair = (2, 2),
        padding: Padding = (0, 0),
    ) -> Array:
        """Spreads dy (N, P, Q, C) evenly over its windows: dx of ``x_shape``."""
        problem = pool2d_geometry(tuple(x_shape), window, stride, padding)
        self._check("dy", dy, problem.y_shape)
        dx = self.empty(problem.x_shape)
        self._avg_pool2d_input_grad(problem, dy, dx)
        return dx

    def global_avg_pool2d_forward(self, x: Array) -> Array:
        """The mean over H and W: x (N, H, W, C) to y (N, C)."""
        _check_images("x has shape", x.shape)
        self._check("x", x)
        y = self.empty((x.shape[0], x.shape[3]))
        self._global_avg_pool2d_forward(x, y)
        return y

    def global_avg_pool2d_input_grad(self, dy: Array, x_shape: Shape) -> Array:
        """Spreads dy (N, C) evenly over H and W: dx of ``x_shape``."""
        _check_images("x_shape is", x_shape)
        N, _, _, C = x_shape
        self._check("dy", dy, (N, C))
        dx = self.empty(tuple(x_shape))
        self._global_avg_pool2d_input_grad(dy, dx)
        return dx

    @abstractmethod
    def _max_pool2d_forward(
        self, problem: Pool2dGeometry, x: Array, y: Array, argmax: Array
    ) -> None: ...

    @abstractmethod
    def _max_pool2d_input_grad(
        self, problem: Pool2dGeometry, dy: Array, argmax: Array, dx: Array
    ) -> None: ...

    @abstractmethod
    def _avg_pool2d_forward(self, problem: Pool2dGeometry, x: Array, y: Array) -> None: ...

    @abstractmethod
    def _avg_pool2d_input_grad(self, problem: Pool2dGeometry, dy: Array, dx: Array) -> None: ...

    @abstractmethod
    def _global_avg_pool2d_forward(self, x: Array, y: Array) -> None: ...

    @abstractmethod
    def _global_avg_pool2d_input_grad(self, dy: Array, dx: Array) -> None: ...
