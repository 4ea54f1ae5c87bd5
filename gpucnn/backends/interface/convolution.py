"""Two-dimensional convolution (cross-correlation): forward and both gradients.

With stride u, padding b (before), dilation d, and one group:

    y[n,p,q,k]  = Σ_{r,s,c} x[n, p·u − b + r·d, q·u − b + s·d, c] · w[k,r,s,c] + bias[k]
    dx[n,h,w,c] = Σ_{r,s,k} dy[n,p,q,k] · w[k,r,s,c]   over p·u − b + r·d = h, q·u − b + s·d = w
    dw[k,r,s,c] = Σ_{n,p,q} dy[n,p,q,k] · x[n, p·u − b + r·d, q·u − b + s·d, c]

With groups, filter k reads the C/groups channels of group k // (K/groups) only. Forward can go on
with y, where that saves passes over memory: y = max(y + residual, 0).
"""

from __future__ import annotations

from abc import abstractmethod

from gpucnn.backends.interface.arrays import Array, ArrayOperations
from gpucnn.operations.geometry import Conv2dGeometry, Padding, Pair, Shape, conv2d_geometry


class ConvolutionOperations(ArrayOperations):
    """Convolution in NHWC with KRSC filters.

    All three take ``stride`` and ``dilation`` as pairs (height, width), ``padding`` as a pair or
    as ((top, bottom), (left, right)), and ``groups`` that divides C and K. All raise ShapeError,
    with the values, where the arguments do not fit.
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
            residual: (N, P, Q, K), added behind the bias, or None.
            relu: whether values below 0 become 0 at the end; NaN stays NaN.
        """
        problem = conv2d_geometry(x.shape, w.shape, stride, padding, dilation, groups)
        self._check("x", x)
        self._check("w", w)
        if bias is not None:
            self._check("bias", bias, (problem.K,))
        if residual is not None:
            self._check("residual", residual, problem.y_shape)
        y = self.empty(problem.y_shape)
        self._conv2d_forward(problem, x, w, bias, residual, relu, y)
        return y

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
        problem = conv2d_geometry(tuple(x_shape), w.shape, stride, padding, dilation, groups)
        self._check("dy", dy, problem.y_shape)
        self._check("w", w)
        dx = self.empty(problem.x_shape)
        self._conv2d_input_grad(problem, dy, w, dx)
        return dx

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
    ) -> Array:
        """Filter gradient: x (N, H, W, C) and dy (N, P, Q, K) to dw of ``w_shape``.

        Written to ``out`` where it is given. The sum over N·P·Q runs in a fixed order.
        """
        problem = conv2d_geometry(x.shape, tuple(w_shape), stride, padding, dilation, groups)
        self._check("x", x)
        self._check("dy", dy, problem.y_shape)
        dw = self._result(out, problem.w_shape)
        self._conv2d_filter_grad(problem, x, dy, dw)
        return dw

    @abstractmethod
    def _conv2d_forward(
        self,
        problem: Conv2dGeometry,
        x: Array,
        w: Array,
        bias: Array | None,
        residual: Array | None,
        relu: bool,
        y: Array,
    ) -> None: ...

    @abstractmethod
    def _conv2d_input_grad(
        self, problem: Conv2dGeometry, dy: Array, w: Array, dx: Array
    ) -> None: ...

    @abstractmethod
    def _conv2d_filter_grad(
        self, problem: Conv2dGeometry, x: Array, dy: Array, dw: Array
    ) -> None: ...
