"""Inverted dropout: what is kept is scaled by 1/(1 − rate), so that inference does nothing.

Masks depend on the seed, the layer, the step and the element alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.operations.problem import (
    Arguments,
    Expectation,
    Operand,
    Problem,
    Shape,
    Timed,
    as_text,
)
from gpucnn.operations.sampling import Generator, chosen, integer, normal, shape
from gpucnn.operations.tracked import Tracked

_MASK = np.dtype(np.uint8)
_OFFSETS = (0, 1, 2, 3, 4, 2**32 - 2, 2**34 - 1025)
"""Where a batch begins in a stream: at any word of a block, and where a counter's word carries."""
_RATES = (0.0, 0.1, 0.5, 0.9)
_TIMED: Mapping[str, float] = {"rate": 0.2, "seed": 0, "stream": 0, "step": 0, "offset": 0}
_QUANTILE = -0.8416
"""A fifth of normally distributed numbers are below it."""
_MAPS = (
    ("quick-other-map", "quick", (4, 16, 16, 32)),
    ("resnet50-other-map-56", "telling", (64, 56, 56, 256)),
    ("lenet-dropout", "lenet", (128, 1, 1, 128)),
    ("mobilenet-dropout", "mobilenet", (64, 1, 1, 1024)),
)
"""Names, groups and shapes worth timing."""


def _kept(drawn: NDArray[np.float32]) -> NDArray[Any]:
    return np.asarray(drawn > _QUANTILE)


@dataclass(frozen=True)
class Dropout(Problem):
    """Of arrays of one shape, with a mask of bytes: 1 where an element is kept.

    Attributes:
        shape: of all arrays.
    """

    shape: Shape

    @property
    def flops(self) -> int:
        """What is kept is scaled; the random words are made of integers, which do not count."""
        return math.prod(self.shape)

    @property
    def text(self) -> str:
        """The shape."""
        return as_text(self.shape)

    @classmethod
    def timed(cls) -> Iterable[Timed]:
        """A fifth is dropped."""
        numbers = {name: _TIMED[name] for name in cls.numbers}
        values = {"mask": _kept} if "mask" in cls.takes else {}
        for name, group, size in _MAPS:
            yield Timed(name, group, cls(size), numbers, values)


class DropoutForward(Dropout):
    """y = x · mask / (1 − rate), and the mask.

    Element i is dropped if the Philox word at position ``offset + i`` of (seed, stream, step) is
    below rate · 2³². The mask is a factor, so that a NaN that is dropped still shows.
    """

    operation = "dropout_forward"
    takes, gives = ("x",), ("y", "mask")
    numbers = ("rate", "seed", "stream", "step", "offset")

    def _operands(self) -> Iterable[Operand]:
        yield Operand(self.shape, self.dtypes.storage)
        yield Operand(self.shape, self.dtypes.result)
        yield Operand(self.shape, _MASK)

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """Keys of all sizes, at places where a counter carries."""
        return {
            "x": normal(rng, *shape(rng, number)),
            "rate": chosen(rng, *_RATES),
            "seed": integer(rng, 0, 2**63 - 1),
            "stream": integer(rng, 0, 2**32 - 1),
            "step": integer(rng, 0, 2**32 - 1),
            "offset": _OFFSETS[number % len(_OFFSETS)],
        }

    @staticmethod
    def reference(
        x: Tracked, rate: float, seed: int, stream: int, step: int, offset: int
    ) -> Expectation:
        """The mask is exact."""
        mask = naive_mask(math.prod(x.shape), rate, seed, stream, step, offset).reshape(x.shape)
        return {"y": _scaled(x, mask, rate), "mask": mask}

    @staticmethod
    def in_torch(torch: Any, x: Any, rate: float, **_key: float) -> Any:
        """The same in PyTorch, by other random numbers."""
        return torch.ops.aten.native_dropout(x, rate, True)


class DropoutInputGrad(Dropout):
    """dx = dy · mask / (1 − rate)."""

    operation = "dropout_input_grad"
    takes, gives, numbers = ("dy", "mask"), ("dx",), ("rate",)

    def _operands(self) -> Iterable[Operand]:
        yield Operand(self.shape, self.dtypes.storage)
        yield Operand(self.shape, _MASK)
        yield Operand(self.shape, self.dtypes.result)

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """With any mask."""
        dy = normal(rng, *shape(rng, number))
        mask = rng.integers(0, 2, dy.shape, np.uint8)
        return {"dy": dy, "mask": mask, "rate": chosen(rng, *_RATES)}

    @staticmethod
    def reference(dy: Tracked, mask: NDArray[np.uint8], rate: float) -> Expectation:
        """From the formula."""
        return {"dx": _scaled(dy, mask, rate)}

    def prepare_torch(self, torch: Any, *tensors: Any) -> Sequence[Any]:
        """With a mask of truth values."""
        dy, mask = tensors
        return dy, mask.bool()

    @staticmethod
    def in_torch(torch: Any, dy: Any, mask: Any, rate: float) -> Any:
        """The same in PyTorch."""
        return torch.ops.aten.native_dropout_backward(dy, mask, 1.0 / (1.0 - rate))


def _scaled(x: Tracked, mask: NDArray[np.uint8], rate: float) -> Tracked:
    """What is dropped is not rounded: 0, or NaN if it is not finite."""
    scaled = x * (1.0 / (1.0 - rate))
    return scaled.where(mask == 1, 0.0 * scaled.value)


def naive_mask(
    count: int, rate: float, seed: int, stream: int, step: int, offset: int
) -> NDArray[np.uint8]:
    """The mask of ``count`` elements, block after block, in integers of any length."""
    words: list[int] = []
    for block in range(offset // 4, (offset + count - 1) // 4 + 1):
        counter = (block % 2**32, block >> 32, step, stream)
        words += philox_block(counter, (seed % 2**32, seed >> 32))
    return np.array([word >= rate * 2**32 for word in words[offset % 4 :][:count]], np.uint8)


def philox_block(counter: tuple[int, int, int, int], key: tuple[int, int]) -> list[int]:
    """The four words of one block of Philox 4x32-10 (Salmon et al. 2011), step by step.

    Args:
        counter: four words of 32 bits, the lowest first.
        key: two.
    """
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(10):
        a, b = c0 * 0xD2511F53, c2 * 0xCD9E8D57
        c0, c1, c2, c3 = (b >> 32) ^ c1 ^ k0, b % 2**32, (a >> 32) ^ c3 ^ k1, a % 2**32
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return [c0, c1, c2, c3]
