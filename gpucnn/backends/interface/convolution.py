"""Two-dimensional convolution in NHWC: forward and both gradients.

``operations.convolution.problems`` has the formulas.
"""

from __future__ import annotations

from gpucnn.backends.interface.arrays import Array, ArrayOperations
from gpucnn.operations.convolution import Conv2dFilterGrad, Conv2dForward, Conv2dInputGrad
from gpucnn.operations.geometry import Padding, Pair, Shape, as_integer


class ConvolutionOperations(ArrayOperations):
    """Convolution in NHWC with KRSC filters.

    All three take ``stride`` and ``dilation`` as pairs (height, width), ``padding`` as a pair or
    as ((top, bottom), (left, right)), and ``groups``, which divides C and K. All raise ShapeError,
    with the values, if the arguments do not fit.
    """

    def conv2d_forward(
        self,
        x: Array,
        w: Array,
        bias: Array | None = None,
        stride: Pair = (1, 1),
        padding: Padding = (0, 0),
        dilation: Pair = (1, 1),
        groups: int = 1,
        residual: Array | None = None,
        relu: bool = False,
    ) -> Array:
        """Forward: x (N, H, W, C) and w (K, R, S, C/groups) to y (N, P, Q, K).

        Args:
            x, w, stride, padding, dilation, groups: the convolution.
            bias: (K,), or None.
            residual: (N, P, Q, K), added after the bias, or None.
            relu: whether values below 0 become 0 at the end; NaN stays NaN.
        """
        problem = Conv2dForward.of_shapes(
            self.dtypes,
            self._shape("x", x),
            self._shape("w", w),
            stride,
            padding,
            dilation,
            groups,
            bias is not None,
            residual is not None,
            bool(relu),
        )
        return self.run(problem, x, w, bias, residual, None)[0]

    def conv2d_input_grad(
        self,
        dy: Array,
        w: Array,
        x_shape: Shape,
        stride: Pair = (1, 1),
        padding: Padding = (0, 0),
        dilation: Pair = (1, 1),
        groups: int = 1,
    ) -> Array:
        """Input gradient: dy (N, P, Q, K) and w (K, R, S, C/groups) to dx of ``x_shape``."""
        shapes = tuple(x_shape), self._shape("w", w)
        problem = Conv2dInputGrad.of_shapes(self.dtypes, *shapes, stride, padding, dilation, groups)
        return self.run(problem, dy, w, None)[0]

    def conv2d_filter_grad(
        self,
        x: Array,
        dy: Array,
        w_shape: Shape,
        stride: Pair = (1, 1),
        padding: Padding = (0, 0),
        dilation: Pair = (1, 1),
        groups: int = 1,
        out: Array | None = None,
        *,
        shards: int = 1,
    ) -> Array:
        """Filter gradient: x (N, H, W, C) and dy (N, P, Q, K) to dw of ``w_shape``.

        Written to ``out``, if it is given. The sum over N·P·Q runs in a fixed order, that of
        ``shards`` of the batch (``operations.shards``).
        """
        shapes = self._shape("x", x), tuple(w_shape)
        shards = as_integer(shards, "shards")
        problem = Conv2dFilterGrad.of_shapes(
            self.dtypes, *shapes, stride, padding, dilation, groups, shards
        )
        return self.run(problem, x, dy, out)[0]
