"""What a layer is: parameters, a shape rule, forward and backward."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

from gpucnn.backends.base import Backend
from gpucnn.backends.interface.arrays import Array
from gpucnn.errors import ShapeError
from gpucnn.registry import Registry

Shape: TypeAlias = tuple[int, ...]
"""The shape of one sample, without the batch: (H, W, C), or (features,)."""

MOST_CHANNELS = 2**20
"""Of a convolution. Whether they fit into memory is checked by ``size.check_size``."""
LARGEST_WINDOW = 2**15
"""Of windows, strides, dilations and paddings, so that indices of kernels fit into 32 bits."""


@dataclass
class Context:
    """What all layers of a network share.

    Attributes:
        backend: runs the operations.
        seed: keys all randomness.
        classes: the number of classes of the data, or of the numbers to predict.
        training: whether layers that distinguish training from inference are training.
        step: the training step, which dropout masks depend on.
        first_sample: the place of the current batch in the global batch.
    """

    backend: Backend
    seed: int
    classes: int
    training: bool = False
    step: int = 0
    first_sample: int = 0


@dataclass
class Parameter:
    """What the optimizer changes. Its value and gradient are views of the network's vectors.

    Attributes:
        initialiser: a name of ``gpucnn.init``, or a constant to fill with.
        decay: whether weight decay applies to it (to weights, not to biases and scales).
        rate_factor: what the learning rate is multiplied by; 0 if it is frozen.
        gradient: of a parameter that learns. If it is frozen but its layer is not, a place of its
            own, which no one reads; there is none in a frozen layer.
    """

    shape: Shape
    initialiser: str | float
    decay: bool
    rate_factor: float = 1.0
    value: Array = field(init=False)
    gradient: Array = field(init=False)

    @property
    def size(self) -> int:
        """Its number of elements."""
        return math.prod(self.shape)

    @property
    def learns(self) -> bool:
        """Whether the optimizer changes it."""
        return self.rate_factor > 0.0


@dataclass
class Buffer:
    """State that is saved with the parameters but not trained: running statistics."""

    shape: Shape
    initial: float
    value: Array = field(init=False)

    @property
    def size(self) -> int:
        """Its number of elements."""
        return math.prod(self.shape)


class Layer(ABC):
    """A step of the network. A subclass keeps in ``forward`` what its ``backward`` needs.

    Attributes:
        kind: the layer's name in configs.
        keeps_output: whether ``backward`` reads this layer's output (or the output is the input
            itself), so that the next layer must not overwrite it.
        passes_gradient: whether ``backward`` may return dy itself, or a view of it, so that the
            layer before must not overwrite it.
        name: its path in the network.
        context: set by ``attach``.
        input_shape, output_shape, parameters, buffers: set by ``declare``.
        needs_input_grad: whether anything before it learns; else ``backward`` may return None.
        needs_backward: whether anything before it, or within it, learns; else ``backward`` need not
            be called.
        owns_gradient: whether ``backward`` may overwrite the dy it is given, because no one else
            reads it; set by the layer's container.
    """

    kind: ClassVar[str]
    keeps_output: bool = False
    passes_gradient: bool = False

    def __init__(self) -> None:
        self.name = ""
        self.context: Context
        self.input_shape: Shape
        self.output_shape: Shape
        self.parameters: dict[str, Parameter] = {}
        self.buffers: dict[str, Buffer] = {}
        self.needs_input_grad = self.needs_backward = True
        self.owns_gradient = False

    @property
    def backend(self) -> Backend:
        """The backend that runs the operations."""
        return self.context.backend

    def children(self) -> Iterator[tuple[str, Layer]]:
        """Layers within this one, with their names; none for a plain layer."""
        return iter(())

    def attach(self, context: Context, name: str) -> None:
        """Gives the layer, and those within, their context and their names."""
        self.context, self.name = context, name
        for child_name, child in self.children():
            child.attach(context, f"{name}.{child_name}" if name else child_name)

    def walk(self) -> Iterator[Layer]:
        """This layer and all within, in the order of the forward pass."""
        yield self
        for _, child in self.children():
            yield from child.walk()

    @property
    def is_frozen(self) -> bool:
        """Whether it has parameters of its own, and none of them learns."""
        own = self.parameters.values()
        return bool(own) and not any(parameter.learns for parameter in own)

    @property
    def learns(self) -> bool:
        """Whether a parameter of this layer, or of one within, learns."""
        return any(p.learns for part in self.walk() for p in part.parameters.values())

    def declare(self, input_shape: Shape) -> Shape:
        """Creates ``parameters`` and ``buffers`` for inputs of this shape; returns the output's.

        Raises:
            ShapeError: the layer cannot take such inputs, with its name and the shapes.
        """
        self.input_shape = input_shape
        self.output_shape = self._declare(input_shape)
        return self.output_shape

    @abstractmethod
    def _declare(self, input_shape: Shape) -> Shape: ...

    @abstractmethod
    def forward(self, x: Array) -> Array:
        """The layer's output for a batch x."""

    @abstractmethod
    def backward(self, dy: Array) -> Array | None:
        """Fills the parameters' gradients and returns the gradient of x.

        ``dy``, the gradient of the last ``forward``'s output, is changed only if the layer
        ``owns_gradient``. A layer that does not need its input's gradient may return None.
        """

    def input_grad(self, dy: Array) -> Array:
        """``backward`` of a layer whose input's gradient is needed."""
        dx = self.backward(dy)
        assert dx is not None, self.name
        return dx

    def skip_input_grad(self) -> None:
        """Called if nothing before this layer learns, once it is known what learns."""
        self.needs_input_grad, self.needs_backward = False, self.learns

    def multiply_adds(self) -> int:
        """Multiply-adds of the forward pass of one sample; 0 if there are hardly any."""
        return 0

    def refuse(self, shape: Shape, reason: str) -> ShapeError:
        """The error for inputs of a shape that the layer cannot take."""
        return ShapeError(f'layer "{self.name}" cannot take inputs of shape {shape}: {reason}')

    def take_image(self, shape: Shape) -> tuple[int, int, int]:
        """The input shape as (H, W, C); refuses another."""
        if len(shape) != 3:
            raise self.refuse(shape, "it needs images (H, W, C)")
        return shape[0], shape[1], shape[2]


def decode_layer(kind: type, value: Any) -> Any:
    """A layer within a table of a config: a table itself, or a ``Layer``.

    Raises:
        ConfigError: it is neither, or a table that describes no layer.
    """
    if isinstance(value, kind):
        return value
    return layers.create(value, "layer")


layers: Registry[Layer] = Registry("layer", key="type", decode=decode_layer)


def expand_to_pair(value: int | tuple[int, int]) -> tuple[int, int]:
    """One number for both axes, or a pair."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])
