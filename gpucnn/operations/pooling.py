"""Max and average pooling over windows, forward and input gradient.

x is (N, H, W, C), y is (N, P, Q, C), and windows are (R, S).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gpucnn.errors import ShapeError
from gpucnn.operations.geometry import Padding, Pair, Pool2dGeometry, Sides, pool2d_geometry
from gpucnn.operations.in_torch import tensor_beside
from gpucnn.operations.pooling_windows import (
    draw_maximands,
    draw_sizes,
    gather,
    maxima,
    options_of,
    output_shape,
    windows,
)
from gpucnn.operations.problem import (
    Arguments,
    Expectation,
    Operand,
    Problem,
    Shape,
    Timed,
    as_text,
)
from gpucnn.operations.sampling import Generator, normal, speckled
from gpucnn.operations.tracked import Tracked, stack

_Layer: TypeAlias = tuple[str, str, Shape, int, int, int]
"""Name and group of a shape worth timing; x_shape, window, stride and padding."""

_AWKWARD: tuple[tuple[Shape, Pair, Pair, Padding], ...] = (
    ((256, 4, 4, 512), (4, 4), (4, 4), (0, 0)),  # the whole image
    ((3, 13, 17, 5), (3, 2), (2, 3), ((1, 1), (0, 1))),
    ((2, 40, 40, 3), (17, 17), (4, 4), (0, 0)),
)
"""x_shape, window, stride and padding of what is compiled although nobody would time it."""


@dataclass(frozen=True)
class WindowPooling(Problem):
    """Pooling over windows.

    Attributes:
        sizes: all sizes, consistent.
    """

    sizes: Pool2dGeometry
    layers: ClassVar[tuple[_Layer, ...]]
    """Shapes worth timing."""

    @property
    def text(self) -> str:
        """Such as "64×112×112×64, 3×3/2"."""
        sizes = self.sizes
        return f"{as_text(sizes.x_shape)}, {sizes.R}×{sizes.S}/{sizes.stride[0]}"

    @classmethod
    def timed(cls) -> Iterable[Timed]:
        """Those of well-known networks."""
        for name, group, x_shape, window, stride, sides in cls.layers:
            sizes = pool2d_geometry(x_shape, (window,) * 2, (stride,) * 2, (sides,) * 2)
            problem = cls(sizes)
            yield Timed(name, group, problem, values=problem._values())

    @classmethod
    def built(cls) -> Iterable[Problem]:
        """A whole image, unequal strides and padding, a window of over 256 elements."""
        return [cls(pool2d_geometry(*arguments)) for arguments in _AWKWARD]

    def _values(self) -> Mapping[str, Callable[[NDArray[np.float32]], NDArray[Any]]]:
        return {}

    @property
    def _in_torchs_order(self) -> tuple[Pair, Pair, Pair]:
        """Window, stride and padding, which PyTorch takes the same on both sides."""
        (top, _), (left, _) = self.sizes.padding
        return (self.sizes.R, self.sizes.S), self.sizes.stride, (top, left)


@dataclass(frozen=True)
class MaxPooling(WindowPooling):
    """The maximum of each window, and where it was.

    Raises:
        ShapeError: a window of more elements than uint16 has numbers.
    """

    layers = (
        ("quick-pool", "quick", (4, 16, 16, 32), 2, 2, 0),
        ("resnet-pool", "telling", (64, 112, 112, 64), 3, 2, 1),
        ("resnet9-pool", "cifar", (512, 32, 32, 128), 2, 2, 0),
        ("lenet-pool", "lenet", (128, 28, 28, 32), 2, 2, 0),
    )

    def __post_init__(self) -> None:
        if self.sizes.R * self.sizes.S > 65536:
            raise ShapeError(f"a window of {self.sizes.R}×{self.sizes.S} has over 65536 elements")

    @property
    def argmax_dtype(self) -> np.dtype[Any]:
        """The smallest of uint8 and uint16 that can name every element of the window."""
        return np.dtype(np.uint8 if self.sizes.R * self.sizes.S <= 256 else np.uint16)


class MaxPool2dForward(MaxPooling):
    """y and argmax: the maximum of each window, and r·S + s of its first place."""

    operation = "max_pool2d_forward"
    takes, gives = ("x",), ("y", "argmax")

    def _operands(self) -> Iterable[Operand]:
        yield Operand(self.sizes.x_shape, self.dtypes.storage)
        yield Operand(self.sizes.y_shape, self.dtypes.result)
        yield Operand(self.sizes.y_shape, self.argmax_dtype)

    @property
    def flops(self) -> int:
        """A comparison for each element of each window."""
        return math.prod(self.sizes.y_shape) * self.sizes.R * self.sizes.S

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """With ties, zeros of both signs, NaN and infinities; every tenth has −∞ only."""
        sizes = draw_sizes(rng, number)
        return {"x": draw_maximands(rng, number, sizes.x_shape), **options_of(sizes)}

    @staticmethod
    def reference(
        x: Tracked, window: Pair, stride: Pair, padding: Sides
    ) -> Mapping[str, NDArray[Any]]:
        """A choice, which rounds nothing."""
        y, argmax = maxima(x.value, window, stride, padding)
        return {"y": y, "argmax": argmax}

    def in_torch(self, torch: Any, x: Any) -> Any:
        """The same in PyTorch, whose indices count the pixels of the image."""
        return torch.ops.aten.max_pool2d_with_indices(x, *self._in_torchs_order)


class MaxPool2dInputGrad(MaxPooling):
    """dx: each element of dy goes to the pixel that won; sums if windows overlap."""

    operation = "max_pool2d_input_grad"
    takes, gives = ("dy", "argmax"), ("dx",)

    def _operands(self) -> Iterable[Operand]:
        yield Operand(self.sizes.y_shape, self.dtypes.storage)
        yield Operand(self.sizes.y_shape, self.argmax_dtype)
        yield Operand(self.sizes.x_shape, self.dtypes.result)

    @property
    def flops(self) -> int:
        """An addition for each window."""
        return math.prod(self.sizes.y_shape)

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """With the winners of such maximands as the forward pass has."""
        sizes = draw_sizes(rng, number)
        x = draw_maximands(rng, number, sizes.x_shape)
        options = options_of(sizes)
        _, argmax = maxima(x, **options)
        dy = speckled(number, normal(rng, *sizes.y_shape))
        dtype = MaxPool2dInputGrad(sizes).argmax_dtype
        return {"dy": dy, "argmax": argmax.astype(dtype), "x_shape": sizes.x_shape, **options}

    @staticmethod
    def reference(
        dy: Tracked,
        argmax: NDArray[np.unsignedinteger],
        x_shape: Shape,
        window: Pair,
        stride: Pair,
        padding: Sides,
    ) -> Expectation:
        """What arrives alone is not rounded."""

        def gathered(n: int, p: list[int], q: list[int], numbers: list[int]) -> Tracked:
            won = argmax[n, p, q] == np.array(numbers)[:, None]
            total = dy[n, p, q].where(won, 0.0).sum(0)
            return total.where(won.sum(0) > 1, total.value)

        return {"dx": gather(dy.dtype, x_shape, window, stride, padding, gathered)}

    def _values(self) -> Mapping[str, Callable[[NDArray[np.float32]], NDArray[Any]]]:
        return {"argmax": self._winners}

    def _winners(self, drawn: NDArray[np.float32]) -> NDArray[Any]:
        """A pixel of each window, none of the padding, by normally distributed numbers."""
        sizes = self.sizes
        (top, _), (left, _) = sizes.padding
        row = np.arange(sizes.P)[:, None, None] * sizes.stride[0] - top
        column = np.arange(sizes.Q)[:, None] * sizes.stride[1] - left
        first_r, first_s = np.maximum(-row, 0), np.maximum(-column, 0)
        height = np.minimum(sizes.H - row, sizes.R) - first_r
        width = np.minimum(sizes.W - column, sizes.S) - first_s
        share = abs(drawn) * 1000 % 1
        place = np.minimum((share * (height * width)).astype(np.int64), height * width - 1)
        winners: NDArray[Any] = (first_r + place // width) * sizes.S + first_s + place % width
        return winners

    def prepare_torch(self, torch: Any, *tensors: Any) -> Sequence[Any]:
        """dy, room for x, and the winners as PyTorch counts them: h·W + w."""
        dy, argmax = tensors
        sizes, winner = self.sizes, argmax.long()
        (top, _), (left, _) = sizes.padding
        row = torch.arange(sizes.P, device=dy.device)[:, None] * sizes.stride[0] - top
        column = torch.arange(sizes.Q, device=dy.device) * sizes.stride[1] - left
        indices = (row + winner // sizes.S) * sizes.W + column + winner % sizes.S
        return dy, tensor_beside(torch, dy, sizes.x_shape), indices

    def in_torch(self, torch: Any, dy: Any, x: Any, indices: Any) -> Any:
        """The same in PyTorch."""
        return torch.ops.aten.max_pool2d_with_indices_backward(
            dy, x, *self._in_torchs_order, (1, 1), False, indices
        )


class AveragePooling(WindowPooling):
    """The mean over each window; padding counts, as zeros."""

    layers = (
        ("quick-average", "quick", (4, 16, 16, 32), 3, 2, 1),
        ("resnet50d-shortcut", "telling", (64, 56, 56, 256), 2, 2, 0),
        ("lenet-average", "lenet", (128, 28, 28, 32), 2, 2, 0),
    )


class AvgPool2dForward(AveragePooling):
    """y: the sum over each window divided by R·S."""

    operation = "avg_pool2d_forward"
    takes, gives = ("x",), ("y",)

    def _operands(self) -> Iterable[Operand]:
        yield Operand(self.sizes.x_shape, self.dtypes.storage)
        yield Operand(self.sizes.y_shape, self.dtypes.result)

    @property
    def flops(self) -> int:
        """As many additions less one, and the factor, for each window."""
        return math.prod(self.sizes.y_shape) * self.sizes.R * self.sizes.S

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """Windows of all kinds."""
        sizes = draw_sizes(rng, number)
        return {"x": speckled(number, normal(rng, *sizes.x_shape)), **options_of(sizes)}

    @staticmethod
    def reference(x: Tracked, window: Pair, stride: Pair, padding: Sides) -> Expectation:
        """The divisor is the window's size, whatever of it is padding."""
        means = []
        for n in range(x.shape[0]):
            for _, inside in windows(x.shape, window, stride, padding):
                _, h, w = zip(*inside, strict=True)
                means.append(x[n, h, w].sum(0) / float(window[0] * window[1]))
        return {"y": stack(means).reshape(*output_shape(x.shape, window, stride, padding))}

    def in_torch(self, torch: Any, x: Any) -> Any:
        """The same in PyTorch."""
        return torch.nn.functional.avg_pool2d(x, *self._in_torchs_order)


class AvgPool2dInputGrad(AveragePooling):
    """dx: each element of dy in equal parts to all of its window."""

    operation = "avg_pool2d_input_grad"
    takes, gives = ("dy",), ("dx",)

    def _operands(self) -> Iterable[Operand]:
        yield Operand(self.sizes.y_shape, self.dtypes.storage)
        yield Operand(self.sizes.x_shape, self.dtypes.result)

    @property
    def flops(self) -> int:
        """The factor, and an addition for each element of each window."""
        return math.prod(self.sizes.y_shape) * (self.sizes.R * self.sizes.S + 1)

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """Windows of all kinds."""
        sizes = draw_sizes(rng, number)
        dy = speckled(number, normal(rng, *sizes.y_shape))
        return {"dy": dy, "x_shape": sizes.x_shape, **options_of(sizes)}

    @staticmethod
    def reference(
        dy: Tracked, x_shape: Shape, window: Pair, stride: Pair, padding: Sides
    ) -> Expectation:
        """The sum over all windows that hold a pixel."""

        def gathered(n: int, p: list[int], q: list[int], _numbers: list[int]) -> Tracked:
            return dy[n, p, q].sum(0) / float(window[0] * window[1])

        return {"dx": gather(dy.dtype, x_shape, window, stride, padding, gathered)}

    def prepare_torch(self, torch: Any, *tensors: Any) -> Sequence[Any]:
        """dy, and room for x."""
        (dy,) = tensors
        return dy, tensor_beside(torch, dy, self.sizes.x_shape)

    def in_torch(self, torch: Any, dy: Any, x: Any) -> Any:
        """The same in PyTorch."""
        return torch.ops.aten.avg_pool2d_backward(dy, x, *self._in_torchs_order, False, True, None)
