"""What a benchmark times: one operation at one shape, in gpucnn and in PyTorch."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.base import Backend
from gpucnn.backends.geometry import Shape
from gpucnn.backends.interface.arrays import Array
from gpucnn.backends.variants import Variant
from gpucnn.bench.random_inputs import random_array
from gpucnn.bench.timing import Run

FLOAT_BYTES = 4


class Problem(ABC):
    """One operation at one shape.

    Attributes:
        operation: its name in the backend's interface.
        name: the network and the layer that it is from, such as "resnet18-3x3-56".
    """

    operation: ClassVar[str]
    name: str

    @property
    @abstractmethod
    def shape_text(self) -> str:
        """The shape, as a table shows it."""

    @property
    @abstractmethod
    def flops(self) -> int:
        """Floating-point operations; a multiply-add is two, a comparison one."""

    @property
    @abstractmethod
    def traffic(self) -> int:
        """The fewest bytes that it moves: every input read once, every result written once."""

    @abstractmethod
    def input_shapes(self) -> Sequence[Shape]:
        """The shapes of its inputs, all of them FP32."""

    def inputs(self) -> list[NDArray[np.float32]]:
        """Random inputs, the same at each call; images are (N, H, W, C)."""
        generator = np.random.default_rng(0)
        return [random_array(generator, shape) for shape in self.input_shapes()]

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The kernels that can do it, the chosen one first; empty where there is only one."""
        return ()

    @abstractmethod
    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """A run on a backend that returns the results: an array, or a tuple of them."""

    @abstractmethod
    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """The same in PyTorch: images, and filters, are tensors (N, C, H, W)."""


def total_bytes(*shapes: Shape) -> int:
    """Bytes of FP32 arrays of these shapes."""
    return FLOAT_BYTES * sum(math.prod(shape) for shape in shapes)
