"""The matrix product, and sums over all axes but the last."""

from __future__ import annotations

from abc import abstractmethod

from gpucnn.backends.interface.arrays import Array, ArrayOperations
from gpucnn.errors import ShapeError


class MatrixOperations(ArrayOperations):
    """What linear layers and biases need."""

    def matmul(
        self,
        a: Array,
        b: Array,
        transpose_a: bool = False,
        transpose_b: bool = False,
        bias: Array | None = None,
        relu: bool = False,
        out: Array | None = None,
    ) -> Array:
        """op(a) · op(b) + bias, where op transposes if asked to, and then a ReLU if asked for.

        Args:
            a: (M, K), or (K, M) if transposed.
            b: (K, N), or (N, K) if transposed.
            bias: (N,) added to each row, or None.
            relu: whether values below 0 become 0; NaN stays NaN.
            out: where to write the (M, N) result, or None for a new array.

        Raises:
            ShapeError: not matrices, or inner lengths that differ.
        """
        self._check("a", a)
        self._check("b", b)
        if a.ndim != 2 or b.ndim != 2:
            raise ShapeError(f"matmul takes two matrices, not shapes {a.shape} and {b.shape}")
        M, inner_a = a.shape[::-1] if transpose_a else a.shape
        inner_b, N = b.shape[::-1] if transpose_b else b.shape
        if inner_a != inner_b:
            raise ShapeError(
                f"matmul of {a.shape} and {b.shape} (transposed: {transpose_a}, {transpose_b}): "
                f"inner lengths {inner_a} and {inner_b} differ"
            )
        if bias is not None:
            self._check("bias", bias, (N,))
        product = self._result(out, (M, N))
        self._matmul(a, b, transpose_a, transpose_b, bias, relu, product)
        return product

    def channel_sum(self, x: Array, out: Array | None = None) -> Array:
        """Σ over all axes of x (…, C) but the last: (C,). The gradient of a bias.

        Raises:
            ShapeError: no channels, or an ``out`` of another shape.
        """
        self._check_has_channels("x", x)
        total = self._result(out, (x.shape[-1],))
        self._channel_sum(x, total)
        return total

    @abstractmethod
    def _matmul(
        self,
        a: Array,
        b: Array,
        transpose_a: bool,
        transpose_b: bool,
        bias: Array | None,
        relu: bool,
        product: Array,
    ) -> None: ...

    @abstractmethod
    def _channel_sum(self, x: Array, total: Array) -> None: ...
