"""What linear layers and biases need: the matrix product, and sums over all axes but the last."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.errors import ShapeError
from gpucnn.operations.problem import (
    Arguments,
    Expectation,
    Operand,
    Problem,
    Shape,
    Timed,
    as_text,
)
from gpucnn.operations.sampling import (
    CHANNELS,
    MANY_CHANNELS,
    Generator,
    chosen,
    integer,
    normal,
    rows_of,
    speckled,
)
from gpucnn.operations.shard_sums import sum_shards
from gpucnn.operations.shards import (
    Shards,
    check_shards,
    cut_batch,
    cut_rows,
    drawn_shards,
    shards_text,
)
from gpucnn.operations.tracked import Tracked, stack

_SIZES = (1, 2, 3, 5, 8, 17, 31, 32, 33, 64, 65, 100, 130)
_LAYERS = (
    ("quick-linear", "quick", 32, 128, 64),
    ("resnet50-linear", "telling", 64, 2048, 1000),
    ("lenet-linear", "lenet", 128, 3136, 128),
)
"""Names, groups, batches, inputs and outputs of linear layers worth timing."""
_MAPS = (
    ("quick-bias-grad", "quick", (4, 16, 16, 32)),
    ("lenet-5x5-bias-grad", "lenet", (128, 14, 14, 64)),
)
"""Names, groups and shapes of gradients of convolutions with a bias."""


@dataclass(frozen=True)
class Matmul(Problem):
    """op(a) · op(b) + bias, where op transposes if asked to, and then a ReLU if asked for.

    Attributes:
        a: the shape (M, K), or (K, M) if it is transposed.
        b: the shape (K, N), or (N, K) if it is transposed.
        transpose_a, transpose_b: whether to transpose them.
        has_bias: whether a bias (N,) is added to each row.
        relu: whether values below 0 become 0; NaN stays NaN.
        shards: of the samples that a transposed a and b have a row each of (``operations.shards``).
    """

    operation = "matmul"
    takes, gives = ("a", "b", "bias"), ("product",)

    a: Shape
    b: Shape
    transpose_a: bool = False
    transpose_b: bool = False
    has_bias: bool = False
    relu: bool = False
    shards: int = 1

    def __post_init__(self) -> None:
        check_shards(self.shards)
        if self.shards > 1 and not self.transpose_a:
            raise ShapeError(
                f"shards is {self.shards}, and a is not transposed; only the sums of a transposed "
                f"a run over the samples of a batch"
            )
        if len(self.a) != 2 or len(self.b) != 2:
            raise ShapeError(f"matmul takes two matrices, not shapes {self.a} and {self.b}")
        *_, inner_a = self.sizes
        inner_b = self.b[1 if self.transpose_b else 0]
        if inner_a != inner_b:
            raise ShapeError(
                f"matmul of {self.a} and {self.b} (transposed: {self.transpose_a}, "
                f"{self.transpose_b}): inner lengths {inner_a} and {inner_b} differ"
            )

    @property
    def sizes(self) -> tuple[int, int, int]:
        """M, N and K: rows and columns of the product, and the inner length."""
        M, K = self.a[::-1] if self.transpose_a else self.a
        return M, self.b[0 if self.transpose_b else 1], K

    @property
    def batch_shards(self) -> Shards:
        """The inner length in shards."""
        return cut_batch(self.sizes[2], self.shards)

    def _operands(self) -> Iterable[Operand | None]:
        M, N, _ = self.sizes
        storage = self.dtypes.storage
        yield Operand(self.a, storage)
        yield Operand(self.b, storage)
        yield Operand((N,), storage) if self.has_bias else None
        yield Operand((M, N), self.dtypes.result)

    @property
    def flops(self) -> int:
        """A multiply-add a term; an addition for the bias and a comparison for the ReLU."""
        M, N, K = self.sizes
        return M * N * (2 * K + self.has_bias + self.relu)

    @property
    def text(self) -> str:
        """M, N and K, and the formula."""
        a, b = "aᵀ" if self.transpose_a else "a", "bᵀ" if self.transpose_b else "b"
        end = f"{' + bias' if self.has_bias else ''}{', ReLU' if self.relu else ''}"
        return f"{as_text(self.sizes)}, {a}·{b}{end}{shards_text(self.shards)}"

    @classmethod
    def timed(cls) -> Iterable[Timed]:
        """Linear layers: y = x·wᵀ, also with its bias, dx = dy·w and dw = dyᵀ·x."""
        for name, group, batch, inputs, outputs in _LAYERS:
            x, w, y = (batch, inputs), (outputs, inputs), (batch, outputs)
            for end, problem in (
                ("forward", cls(x, w, transpose_b=True)),
                ("bias", cls(x, w, transpose_b=True, has_bias=True)),
                ("input-grad", cls(y, w)),
                ("filter-grad", cls(y, x, transpose_a=True)),
            ):
                yield Timed(f"{name}-{end}", group, problem)

    @classmethod
    def built(cls) -> Iterable[Problem]:
        """Both ways round, with rows that are moved as vectors and rows that are not."""
        flags = (False, True)
        sizes = ((64, 128, 256), (3, 5, 7))
        for (M, N, K), transpose_a, transpose_b in product(sizes, flags, flags):
            a = (K, M) if transpose_a else (M, K)
            b = (N, K) if transpose_b else (K, N)
            yield cls(a, b, transpose_a, transpose_b, has_bias=True)

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """Every third inner length is long, so that the sum may be cut into slices.

        If a is transposed, those sums have two shards of that length, so of many slices.

        All four transpositions are among the first four problems, and among the odd ones, which
        may be those of other tiles.
        """
        M, N, K = (chosen(rng, *_SIZES) for _ in range(3))
        is_long = number % 3 == 2
        if is_long:
            M, N, K = chosen(rng, 1, 3, 17), chosen(rng, 1, 5, 32), integer(rng, 512, 1500)
        transpose_a, transpose_b = number % 4 in (1, 2), number % 8 in (2, 3, 4, 5)
        a = speckled(number, normal(rng, *((K, M) if transpose_a else (M, K))))
        b = normal(rng, *((N, K) if transpose_b else (K, N)))
        shards = drawn_shards(number) if transpose_a else 1
        if is_long and transpose_a:
            shards, a, b = 2, _there_and_back(a, 0), _there_and_back(b, int(transpose_b))
        return {
            "a": a,
            "b": b,
            "transpose_a": transpose_a,
            "transpose_b": transpose_b,
            "bias": normal(rng, N) if rng.random() < 0.5 else None,
            "relu": bool(number & 4),
            "shards": shards,
        }

    @staticmethod
    def reference(
        a: Tracked,
        b: Tracked,
        transpose_a: bool = False,
        transpose_b: bool = False,
        bias: Tracked | None = None,
        relu: bool = False,
        shards: int = 1,
    ) -> Expectation:
        """Row by row. max(c, 0) is never further off than c."""
        left, right = a.transpose() if transpose_a else a, b.transpose() if transpose_b else b
        rows = []
        for i in range(len(left)):
            row = sum_shards(len(right), shards, partial(_dot, left[i], right))
            rows.append(row if bias is None else row + bias)
        sums = stack(rows)
        value = np.where(sums.value < 0.0, 0.0, sums.value) if relu else sums.value
        return {"product": Tracked(value, sums.error, dtype=sums.dtype)}

    def prepare_torch(self, _torch: Any, *tensors: Any) -> Sequence[Any]:
        """The ReLU, the bias, if there is one, and the factors as they are multiplied."""
        a, b, *bias = tensors
        return (
            self.relu,
            *bias,
            a.t() if self.transpose_a else a,
            b.t() if self.transpose_b else b,
        )

    @staticmethod
    def in_torch(torch: Any, relu: bool, *inputs: Any) -> Any:
        """The same in PyTorch; a bias is the first of three inputs."""
        y = torch.addmm(*inputs) if len(inputs) == 3 else torch.mm(*inputs)
        return torch.relu_(y) if relu else y


def _there_and_back(array: NDArray[Any], axis: int) -> NDArray[Any]:
    """An array, and after it along an axis the same in reverse."""
    return np.concatenate([array, np.flip(array, axis)], axis)


def _dot(row: Tracked, matrix: Tracked, terms: slice) -> Tracked:
    """The part of row · matrix that these terms of the sums are."""
    return row[terms].dot(matrix[terms])


@dataclass(frozen=True)
class ChannelSum(Problem):
    """Σ over all axes of x (…, C) but the last: (C,). The gradient of a bias.

    Attributes:
        shape: of x.
        shards: of the first axis (``operations.shards``).
    """

    operation = "channel_sum"
    takes, gives = ("x",), ("total",)

    shape: Shape
    shards: int = 1

    def __post_init__(self) -> None:
        check_shards(self.shards)
        if not self.shape or self.shape[-1] < 1:
            raise ShapeError(f"x has shape {self.shape}; expected (…, C), C at least 1")

    @property
    def row_shards(self) -> Shards:
        """The rows of C values in shards."""
        return cut_rows(self.shape, self.shards)

    def _operands(self) -> Iterable[Operand]:
        yield Operand(self.shape, self.dtypes.storage)
        yield Operand(self.shape[-1:], self.dtypes.result)

    @property
    def flops(self) -> int:
        """An addition an element."""
        return math.prod(self.shape)

    @property
    def text(self) -> str:
        """The shape of x."""
        return as_text(self.shape) + shards_text(self.shards)

    @classmethod
    def timed(cls) -> Iterable[Timed]:
        """The biases of linear layers, and of convolutions."""
        for name, group, batch, _, outputs in _LAYERS:
            yield Timed(f"{name}-bias-grad", group, cls((batch, 1, 1, outputs)))
        for name, group, shape in _MAPS:
            yield Timed(name, group, cls(shape))

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """Few rows and many, of each number of channels."""
        C = (*CHANNELS, MANY_CHANNELS)[number % 6]
        x = speckled(number, normal(rng, rows_of(rng, number, C), 1, C))
        return {"x": x, "shards": drawn_shards(number)}

    @staticmethod
    def reference(x: Tracked, shards: int = 1) -> Expectation:
        """Each channel's sum, in any order within a shard."""
        C = x.shape[-1]
        return {"total": sum_shards(len(x), shards, lambda images: x[images].reshape(-1, C).sum(0))}

    @staticmethod
    def in_torch(torch: Any, x: Any) -> Any:
        """The same in PyTorch."""
        return torch.sum(x, (0, 2, 3))
