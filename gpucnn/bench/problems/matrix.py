"""Matrix products to time: a linear layer's forward pass and its two gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gpucnn.backends.base import Backend
from gpucnn.backends.geometry import Shape
from gpucnn.backends.interface.arrays import Array
from gpucnn.bench.problems.base import Problem, total_bytes
from gpucnn.bench.timing import Run


@dataclass(frozen=True)
class MatrixProduct(Problem):
    """op(a) · op(b), an (M, N) matrix with inner length K."""

    operation = "matmul"
    name: str
    M: int
    N: int
    K: int
    transpose_a: bool = False
    transpose_b: bool = False

    @property
    def shape_text(self) -> str:
        """Such as "256×1000×2048, aᵀ·b"."""
        a, b = "aᵀ" if self.transpose_a else "a", "bᵀ" if self.transpose_b else "b"
        return f"{self.M}×{self.N}×{self.K}, {a}·{b}"

    @property
    def flops(self) -> int:
        """Two for each product of elements."""
        return 2 * self.M * self.N * self.K

    @property
    def traffic(self) -> int:
        """Both matrices and their product."""
        return total_bytes((self.M, self.K), (self.K, self.N), (self.M, self.N))

    def input_shapes(self) -> Sequence[Shape]:
        """a and b, as they lie in memory."""
        a = (self.K, self.M) if self.transpose_a else (self.M, self.K)
        b = (self.N, self.K) if self.transpose_b else (self.K, self.N)
        return a, b

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """The product."""
        a, b = arrays
        return lambda: backend.matmul(a, b, self.transpose_a, self.transpose_b)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """The product."""
        a, b = tensors
        a, b = a.t() if self.transpose_a else a, b.t() if self.transpose_b else b
        return lambda: torch.mm(a, b)


def linear(name: str, batch: int, inputs: int, outputs: int) -> tuple[MatrixProduct, ...]:
    """The three products of a linear layer: y = x·wᵀ, dx = dy·w, dw = dyᵀ·x."""
    return (
        MatrixProduct(f"{name}-forward", batch, outputs, inputs, transpose_b=True),
        MatrixProduct(f"{name}-input-grad", batch, inputs, outputs),
        MatrixProduct(f"{name}-filter-grad", outputs, inputs, batch, transpose_a=True),
    )
