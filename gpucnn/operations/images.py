"""Batches of bytes: what they have in common, and taking some images of many."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

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
from gpucnn.operations.sampling import Generator, integer

Drawn: TypeAlias = NDArray[np.float32]
Values: TypeAlias = Mapping[str, Callable[[Drawn], NDArray[Any]]]

BYTE = np.dtype(np.uint8)
"""Of images."""
BATCHES = (
    ("quick-batch", "quick", (16, 16, 16, 3)),
    ("resnet-batch", "telling", (64, 224, 224, 3)),
    ("resnet9-batch", "cifar", (512, 32, 32, 3)),
    ("lenet-batch", "lenet", (128, 28, 28, 1)),
)
"""Names, groups and shapes worth timing."""
_INDEX = np.dtype(np.int64)
_TO_CHOOSE_FROM = 4
"""Times as many images as are taken, in what is timed."""


def check_images(shape: Shape) -> None:
    """Raises ShapeError for what is no batch of images."""
    if len(shape) != 4:
        raise ShapeError(f"images have shape {shape}; expected (N, H, W, C)")


def grey_values(drawn: Drawn) -> NDArray[Any]:
    """Bytes about 128, of normally distributed numbers."""
    return np.asarray(np.rint(128.0 + 64.0 * drawn).clip(0.0, 255.0))


def _some_of_all(drawn: Drawn) -> NDArray[Any]:
    """As many indices, none of them twice."""
    order = np.random.default_rng(0).permutation(_TO_CHOOSE_FROM * drawn.size)
    return order[: drawn.size]


@dataclass(frozen=True)
class TakeImages(Problem):
    """y[n] = images[indices[n]].

    Attributes:
        images: shape of all images, (M, H, W, C).
        indices: shape of the indices, (N,).

    Raises:
        ShapeError: other shapes.
    """

    operation = "take_images"
    takes, gives = ("images", "indices"), ("y",)
    images: Shape
    indices: Shape

    def __post_init__(self) -> None:
        check_images(self.images)
        if len(self.indices) != 1:
            raise ShapeError(f"indices have shape {self.indices}; expected (N,)")

    @property
    def taken(self) -> Shape:
        """The shape of y, (N, H, W, C)."""
        return *self.indices, *self.images[1:]

    def _operands(self) -> Iterable[Operand]:
        yield Operand(self.images, BYTE)
        yield Operand(self.indices, _INDEX)
        yield Operand(self.taken, BYTE)

    @property
    def flops(self) -> int:
        """None: bytes are copied."""
        return 0

    @property
    def traffic(self) -> int:
        """Only the images that are taken are read."""
        return self.by_name["indices"].bytes + 2 * self.by_name["y"].bytes

    @property
    def text(self) -> str:
        """The shape of y."""
        return as_text(self.taken)

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """Images of a multiple of 16 bytes, of 4, and of neither; some taken twice."""
        H, W, C = ((4, 4, 3), (2, 3, 2), (5, 3, 1), (32, 33, 16))[number % 4]
        M = integer(rng, 1, 6)
        return {
            "images": rng.integers(0, 256, (M, H, W, C), np.uint8),
            "indices": rng.integers(0, M, integer(rng, 1, 8)),
        }

    @staticmethod
    def reference(images: NDArray[np.uint8], indices: NDArray[np.int64]) -> Expectation:
        """One by one."""
        return {"y": np.stack([images[index] for index in indices])}

    @classmethod
    def timed(cls) -> Iterable[Timed]:
        """A training batch, from some more images."""
        values: Values = {"images": grey_values, "indices": _some_of_all}
        for name, group, (N, *image) in BATCHES:
            problem = cls((_TO_CHOOSE_FROM * N, *image), (N,))
            yield Timed(name, group, problem, values=values)

    @staticmethod
    def in_torch(torch: Any, images: Any, indices: Any) -> Any:
        """The same in PyTorch."""
        return torch.index_select(images, 0, indices)
