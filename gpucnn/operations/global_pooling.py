"""Global average pooling: the mean of each channel over an image, and its input gradient."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

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
    speckled,
)
from gpucnn.operations.tracked import Tracked, stack

_LAYERS = (
    ("quick-global-average", "quick", (4, 16, 16, 32)),
    ("resnet50-global-average", "telling", (64, 7, 7, 2048)),
    ("resnet18-global-average", "imagenet", (64, 7, 7, 512)),
    ("mobilenet-global-average", "mobilenet", (64, 7, 7, 1024)),
)


def _draw_shape(rng: Generator, number: int) -> tuple[int, int, int, int]:
    """Every fifth has more pixels than one chunk, every tenth more images than there are blocks."""
    if number % 10 == 6:
        return integer(rng, 1025, 1100), 1, integer(rng, 1, 3), 1
    C = (*CHANNELS, MANY_CHANNELS)[number % 6]
    H, W = integer(rng, 1, 9), integer(rng, 1, max(1, 60 // C))
    if number % 5 == 3:
        H, W = 9, 500 // C
    return chosen(rng, 1, 2, 3), H, W, C


@dataclass(frozen=True)
class GlobalAveragePooling(Problem):
    """Between x (N, H, W, C) and y (N, C).

    Attributes:
        x_shape: none of it empty.
    """

    x_shape: Shape
    given: ClassVar[str]
    """How the shape is given, for messages."""

    def __post_init__(self) -> None:
        if len(self.x_shape) != 4 or min(self.x_shape) < 1:
            raise ShapeError(
                f"{self.given} {self.x_shape}; global pooling takes (N, H, W, C), none empty"
            )

    @property
    def text(self) -> str:
        """The shape of x."""
        return as_text(self.x_shape)

    @classmethod
    def timed(cls) -> Iterable[Timed]:
        """Before the last layer of well-known networks."""
        for name, group, x_shape in _LAYERS:
            yield Timed(name, group, cls(x_shape))


class GlobalAvgPool2dForward(GlobalAveragePooling):
    """y: the mean over H and W."""

    operation = "global_avg_pool2d_forward"
    takes, gives = ("x",), ("y",)
    given = "x has shape"

    def _operands(self) -> Iterable[Operand]:
        N, _, _, C = self.x_shape
        yield Operand(self.x_shape, self.dtypes.storage)
        yield Operand((N, C), self.dtypes.result)

    @property
    def flops(self) -> int:
        """An addition for each element."""
        return math.prod(self.x_shape)

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """From one pixel to more than a block takes."""
        return {"x": speckled(number, normal(rng, *_draw_shape(rng, number)))}

    @staticmethod
    def reference(x: Tracked) -> Expectation:
        """The sum of an image's pixels, divided by their number."""
        N, H, W, C = x.shape
        return {"y": x.reshape(N, H * W, C).sum(1) / float(H * W)}

    @staticmethod
    def in_torch(torch: Any, x: Any) -> Any:
        """The same in PyTorch."""
        return torch.mean(x, (2, 3))


class GlobalAvgPool2dInputGrad(GlobalAveragePooling):
    """dx: each element of dy in equal parts to all pixels of its image."""

    operation = "global_avg_pool2d_input_grad"
    takes, gives = ("dy",), ("dx",)
    given = "x_shape is"

    def _operands(self) -> Iterable[Operand]:
        N, _, _, C = self.x_shape
        yield Operand((N, C), self.dtypes.storage)
        yield Operand(self.x_shape, self.dtypes.result)

    @property
    def flops(self) -> int:
        """The factor, for each element of dy."""
        N, _, _, C = self.x_shape
        return N * C

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """From one pixel to more than a block takes."""
        x_shape = _draw_shape(rng, number)
        return {"dy": speckled(number, normal(rng, x_shape[0], x_shape[3])), "x_shape": x_shape}

    @staticmethod
    def reference(dy: Tracked, x_shape: Shape) -> Expectation:
        """A pixel's share is the same for all."""
        _, H, W, _ = x_shape
        shares = dy / float(H * W)
        return {"dx": stack([shares] * (H * W)).transpose(1, 0, 2).reshape(*x_shape)}

    def in_torch(self, torch: Any, dy: Any) -> Any:
        """The same in PyTorch, as its automatic differentiation does it: a view is divided."""
        _, H, W, _ = self.x_shape
        return dy[:, :, None, None].expand(-1, -1, H, W) / (H * W)
