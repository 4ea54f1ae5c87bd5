"""Max, average and global average pooling, forward and input gradient."""

from __future__ import annotations

from gpucnn.backends.interface.arrays import Array, ArrayOperations
from gpucnn.operations import global_pooling, pooling
from gpucnn.operations.geometry import Padding, Pair, Shape, pool2d_geometry


class PoolingOperations(ArrayOperations):
    """Pooling over windows of (R, S); x is (N, H, W, C), y is (N, P, Q, C).

    All raise ShapeError if the window does not fit, or lies wholly in the padding.
    """

    def max_pool2d_forward(
        self, x: Array, window: Pair = (2, 2), stride: Pair = (2, 2), padding: Padding = (0, 0)
    ) -> tuple[Array, Array]:
        """The maximum of each window, and where it was.

        The first of equal values wins, in the order of r, then s; padding never wins; NaN wins
        over any number, the first of several.

        Returns:
            y (N, P, Q, C), and argmax of the same shape: r·S + s of the winner, as uint8 if the
            window has at most 256 elements, else uint16.
        """
        sizes = pool2d_geometry(self._shape("x", x), window, stride, padding)
        y, argmax = self.run(pooling.MaxPool2dForward.of(self.dtypes, sizes), x, None, None)
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
        sizes = pool2d_geometry(tuple(x_shape), window, stride, padding)
        problem = pooling.MaxPool2dInputGrad.of(self.dtypes, sizes)
        return self.run(problem, dy, argmax, None)[0]

    def avg_pool2d_forward(
        self, x: Array, window: Pair = (2, 2), stride: Pair = (2, 2), padding: Padding = (0, 0)
    ) -> Array:
        """The mean over each window, y (N, P, Q, C). Padding counts, as zeros."""
        sizes = pool2d_geometry(self._shape("x", x), window, stride, padding)
        return self.run(pooling.AvgPool2dForward.of(self.dtypes, sizes), x, None)[0]

    def avg_pool2d_input_grad(
        self,
        dy: Array,
        x_shape: Shape,
        window: Pair = (2, 2),
        stride: Pair = (2, 2),
        padding: Padding = (0, 0),
    ) -> Array:
        """Spreads dy (N, P, Q, C) evenly over its windows: dx of ``x_shape``."""
        sizes = pool2d_geometry(tuple(x_shape), window, stride, padding)
        return self.run(pooling.AvgPool2dInputGrad.of(self.dtypes, sizes), dy, None)[0]

    def global_avg_pool2d_forward(self, x: Array) -> Array:
        """The mean over H and W: x (N, H, W, C) to y (N, C)."""
        problem = global_pooling.GlobalAvgPool2dForward.of(self.dtypes, self._shape("x", x))
        return self.run(problem, x, None)[0]

    def global_avg_pool2d_input_grad(self, dy: Array, x_shape: Shape) -> Array:
        """Spreads dy (N, C) evenly over H and W: dx of ``x_shape``."""
        problem = global_pooling.GlobalAvgPool2dInputGrad.of(self.dtypes, tuple(x_shape))
        return self.run(problem, dy, None)[0]
