"""What linear layers and biases need, to time: matrix products, and sums over all but channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gpucnn.backends.base import Backend
from gpucnn.backends.geometry import Shape
from gpucnn.backends.interface.arrays import Array
from gpucnn.bench.problems.base import ImageProblem, Problem, total_bytes
from gpucnn.bench.timing import Run


@dataclass(frozen=True)
class MatrixProduct(Problem):
    """op(a) · op(b), an (M, N) matrix with inner length K, and a bias for each row, or none."""

    operation = "matmul"
    name: str
    M: int
    N: int
    K: int
    transpose_a: bool = False
    transpose_b: bool = False
    has_bias: bool = False

    @property
    def shape_text(self) -> str:
        """Such as "256×1000×2048, aᵀ·b", and "+ bias" where there is one."""
        a, b = "aᵀ" if self.transpose_a else "a", "bᵀ" if self.transpose_b else "b"
        bias = " + bias" if self.has_bias else ""
        return f"{self.M}×{self.N}×{self.K}, {a}·{b}{bias}"

    @property
    def flops(self) -> int:
        """Two for each product of elements, and one for each result with a bias."""
        return 2 * self.M * self.N * self.K + self.has_bias * self.M * self.N

    @property
    def traffic(self) -> int:
        """Both matrices, the bias and the product."""
        return total_bytes(*self.input_shapes(), (self.M, self.N))

    def input_shapes(self) -> Sequence[Shape]:
        """a and b, as they lie in memory, and the bias."""
        a = (self.K, self.M) if self.transpose_a else (self.M, self.K)
        b = (self.N, self.K) if self.transpose_b else (self.K, self.N)
        return (a, b, (self.N,)) if self.has_bias else (a, b)

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """The product."""
        a, b, *rest = arrays
        bias = rest[0] if rest else None
        return lambda: backend.matmul(a, b, self.transpose_a, self.transpose_b, bias)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """The product."""
        a, b, *bias = tensors
        a, b = a.t() if self.transpose_a else a, b.t() if self.transpose_b else b
        if bias:
            return lambda: torch.addmm(bias[0], a, b)
        return lambda: torch.mm(a, b)


class ChannelSum(ImageProblem):
    """Σ over all axes of x (N, size, size, C) but the last: the gradient of a bias."""

    operation = "channel_sum"

    @property
    def flops(self) -> int:
        """An addition for each element."""
        return self.elements

    @property
    def traffic(self) -> int:
        """x and the sums."""
        return total_bytes(self.x_shape, (self.C,))

    def input_shapes(self) -> Sequence[Shape]:
        """x."""
        return (self.x_shape,)

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """The sums."""
        (x,) = arrays
        return lambda: backend.channel_sum(x)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """The sums."""
        (x,) = tensors
        return lambda: torch.sum(x, (0, 2, 3))


def linear(name: str, batch: int, inputs: int, outputs: int) -> tuple[Problem, ...]:
    """A linear layer: y = x·wᵀ, also with its bias, dx = dy·w, dw = dyᵀ·x and the bias's sums."""
    return (
        MatrixProduct(f"{name}-forward", batch, outputs, inputs, transpose_b=True),
        MatrixProduct(f"{name}-bias", batch, outputs, inputs, transpose_b=True, has_bias=True),
        MatrixProduct(f"{name}-input-grad", batch, inputs, outputs),
        MatrixProduct(f"{name}-filter-grad", outputs, inputs, batch, transpose_a=True),
        ChannelSum(f"{name}-bias-grad", batch, 1, outputs),
    )
