"""What a benchmark times: one operation at one shape, in gpucnn and in PyTorch."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

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
        """Floating-point operations; a multiply-add is two; a comparison, a root, an exp one."""

    @property
    @abstractmethod
    def traffic(self) -> int:
        """The fewest bytes that it moves: every input read once, every result written once."""

    @abstractmethod
    def input_shapes(self) -> Sequence[Shape]:
        """The shapes of its inputs, all of them FP32; integers come as whole numbers."""

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


@dataclass(frozen=True)
class ImageProblem(Problem):
    """On x (N, size, size, C)."""

    name: str
    N: int
    size: int
    C: int

    @property
    def x_shape(self) -> Shape:
        """(N, size, size, C)."""
        return self.N, self.size, self.size, self.C

    @property
    def shape_text(self) -> str:
        """Such as "64×56×56×64"."""
        return "×".join(map(str, self.x_shape))

    @property
    def elements(self) -> int:
        """Of x."""
        return math.prod(self.x_shape)


@dataclass(frozen=True)
class VectorProblem(Problem):
    """On all parameters of a network, or on their gradients, as one vector.

    Attributes:
        vectors_read: vectors of that length.
        vectors_written: likewise.
        operations_each: floating-point operations for each parameter.
    """

    name: str
    parameters: int
    vectors_read: ClassVar[int] = 1
    vectors_written: ClassVar[int] = 1
    operations_each: ClassVar[int]

    @property
    def shape_text(self) -> str:
        """Such as "11,689,512 parameters"."""
        return f"{self.parameters:,} parameters"

    @property
    def flops(self) -> int:
        """As many for each parameter."""
        return self.operations_each * self.parameters

    @property
    def traffic(self) -> int:
        """The vectors; a norm or a guard is nothing beside them."""
        return (self.vectors_read + self.vectors_written) * total_bytes((self.parameters,))

    def input_shapes(self) -> Sequence[Shape]:
        """The vectors that are read."""
        return ((self.parameters,),) * self.vectors_read


def total_bytes(*shapes: Shape) -> int:
    """Bytes of FP32 arrays of these shapes."""
    return FLOAT_BYTES * sum(math.prod(shape) for shape in shapes)


def as_integers(backend: Backend, array: Array, dtype: DTypeLike) -> Array:
    """An input of whole numbers as integers of this dtype: before the run, and by the host."""
    return backend.asarray(backend.to_numpy(array).astype(dtype))


def tensor_beside(torch: Any, tensor: Any, shape: Shape) -> Any:
    """An uninitialised (N, C, H, W) for ``shape`` (N, H, W, C), in another tensor's format.

    PyTorch's gradients ask for their forward pass's inputs, where only the shape and the format
    count.
    """
    N, H, W, C = shape
    channels_last = tensor.is_contiguous(memory_format=torch.channels_last)
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    return tensor.new_empty((N, C, H, W)).contiguous(memory_format=memory_format)
