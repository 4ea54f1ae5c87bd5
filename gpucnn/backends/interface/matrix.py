"""The matrix product, and sums over all axes but the last."""

from __future__ import annotations

from gpucnn.backends.interface.arrays import Array, ArrayOperations
from gpucnn.operations.matrix import ChannelSum, Matmul


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
            transpose_a: whether op transposes a.
            transpose_b: whether op transposes b.
            bias: (N,) added to each row, or None.
            relu: whether values below 0 become 0; NaN stays NaN.
            out: where to write the (M, N) result, or None for a new array.

        Raises:
            ShapeError: not matrices, or inner lengths that differ.
        """
        problem = Matmul.of(
            self.dtypes,
            self._shape("a", a),
            self._shape("b", b),
            bool(transpose_a),
            bool(transpose_b),
            bias is not None,
            bool(relu),
        )
        return self.run(problem, a, b, bias, out)[0]

    def channel_sum(self, x: Array, out: Array | None = None) -> Array:
        """Σ over all axes of x (…, C) but the last: (C,). The gradient of a bias.

        Raises:
            ShapeError: no channels, or an ``out`` of another shape.
        """
        return self.run(ChannelSum.of(self.dtypes, self._shape("x", x)), x, out)[0]
