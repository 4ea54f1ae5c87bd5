"""The matrix product, and sums over all axes but the last."""

from __future__ import annotations

from gpucnn.backends.interface.arrays import Array, ArrayOperations
from gpucnn.operations.geometry import as_integer
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
        *,
        shards: int = 1,
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
            shards: of the K samples that a transposed a has in its rows (``operations.shards``).

        Raises:
            ShapeError: not matrices, inner lengths that differ, or several shards and an a that is
                not transposed.
        """
        problem = Matmul.of(
            self.dtypes,
            self._shape("a", a),
            self._shape("b", b),
            bool(transpose_a),
            bool(transpose_b),
            bias is not None,
            bool(relu),
            as_integer(shards, "shards"),
        )
        return self.run(problem, a, b, bias, out)[0]

    def channel_sum(self, x: Array, out: Array | None = None, *, shards: int = 1) -> Array:
        """Σ over all axes of x (…, C) but the last: (C,). The gradient of a bias.

        Args:
            x: what to sum.
            out: where to write the result, or None for a new array.
            shards: of the first axis (``operations.shards``).

        Raises:
            ShapeError: no channels, or an ``out`` of another shape.
        """
        shape = self._shape("x", x)
        problem = ChannelSum.of(self.dtypes, shape, as_integer(shards, "shards"))
        return self.run(problem, x, out)[0]
