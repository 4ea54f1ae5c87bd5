"""A network: layers bound to a backend, their parameters in two flat vectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from numpy.typing import NDArray

from gpucnn import init
from gpucnn.backends.base import Backend
from gpucnn.backends.interface.arrays import Array
from gpucnn.errors import CheckpointError, ShapeError
from gpucnn.layers.base import Buffer, Context, Layer, Parameter, Shape
from gpucnn.layers.containers import Sequential
from gpucnn.layers.dropout import Dropout
from gpucnn.layers.fusion import fuse_layers
from gpucnn.layers.learning import aligned, arrange, set_rate_factors
from gpucnn.layers.size import check_size
from gpucnn.processor import total_memory
from gpucnn.random import Stream


def declare_layers(layers: list[Layer], input_shape: Shape, context: Context) -> Sequential:
    """Layers that know their parameters and the shapes of what they give, as one; without memory.

    Args:
        layers: the layers in order.
        input_shape: (H, W, C) of the images.
        context: what they share; the last layer must give as many outputs as it has classes.

    Raises:
        ShapeError: a layer cannot take what the one before gives, with its name and the shapes.
    """
    body = Sequential(layers)
    body.attach(context, "")
    output_shape = body.declare(input_shape)
    if output_shape != (context.classes,):
        raise ShapeError(
            f"the model gives outputs of shape {output_shape}, but the data has "
            f"{context.classes} classes, or numbers to predict; end with a "
            f'"linear" layer with features = "classes"'
        )
    return body


def plain_layers(body: Layer) -> Iterator[Layer]:
    """Those within that are not made of others, in the order of the forward pass."""
    return (layer for layer in body.walk() if not any(layer.children()))


def named_parameters(body: Layer) -> dict[str, Parameter]:
    """All parameters within by name ("0.conv2d.weight"), in the order of the forward pass."""
    return {
        f"{layer.name}.{name}": parameter
        for layer in body.walk()
        for name, parameter in layer.parameters.items()
    }


class Network:
    """Layers ready to run.

    All parameters lie in ``values``, those that learn first, and the gradients of these in
    ``gradients``, which ends with them. Both are vectors in the backend's dtype, so that an
    optimizer steps over whole ``segments`` at once. The gaps that alignment leaves are zero and
    stay so. ``values`` is the beginning of ``stored``, which also has the buffers.

    Args:
        layers: the layers in order; they belong to this network from now on.
        input_shape: (H, W, C) of the images.
        classes: how many the data has or, in a regression, how many numbers are predicted; the last
            layer must give as many outputs.
        backend: where it runs.
        seed: of the initial weights and of dropout.
        fuse: whether fused layers take the place of their parts. It changes neither names nor
            initial weights.
        draw_weights: whether weights get their initial values; otherwise they are zero.
        rate_factors: what the learning rate of parameters is multiplied by, by pattern
            (``learning.set_rate_factors``); 0 freezes.

    Attributes:
        backend, input_shape: as given.
        output_shape: (classes,).
        body: all layers, as one.
        context: what they share: the backend, the seed, training or inference, the step.
        values, gradients: the vectors.
        segments: what of the vectors learns at which rate, and whether it decays.

    Raises:
        ConfigError: a pattern matches nothing, or all is frozen.
        ShapeError: a layer cannot take what the one before gives, with its name and the shapes;
            or no memory could hold the parameters, or the output of a layer.
    """

    def __init__(
        self,
        layers: list[Layer],
        input_shape: Shape,
        classes: int,
        backend: Backend,
        seed: int = 0,
        fuse: bool = True,
        draw_weights: bool = True,
        rate_factors: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self.backend = backend
        self.input_shape = input_shape
        self.context = Context(backend, seed, classes)
        self.body = declare_layers(layers, input_shape, self.context)
        self.output_shape = self.body.output_shape
        check_size(self.body, backend.dtype.itemsize, total_memory())
        set_rate_factors(self.parameters(), rate_factors)
        self.body.skip_input_grad()
        if fuse:
            fuse_layers(self.body)
        dropouts = (layer for layer in self.plain_layers() if isinstance(layer, Dropout))
        for index, dropout in enumerate(dropouts):
            dropout.index = index
        self._allocate()
        if draw_weights:
            self._draw_weights(seed)
        self._fill_constants()

    def _allocate(self) -> None:
        parameters = list(self.parameters().values())
        starts, total, self.segments = arrange(parameters)
        self._places: list[tuple[Parameter, slice]] = [
            (parameter, slice(start, start + parameter.size))
            for start, parameter in zip(starts, parameters, strict=True)
        ]
        trained = total
        self._buffer_places: list[tuple[Buffer, slice]] = []
        for buffer in self.buffers().values():
            self._buffer_places.append((buffer, slice(total, total + buffer.size)))
            total += aligned(buffer.size)
        self.stored = self.backend.zeros((total,))
        self.values = self.stored[:trained]
        self.gradients = self.backend.zeros((self.segments[-1].stop if self.segments else 0,))
        self._learning = [each for each in self._places if each[0].learns]
        self._keep_values_in(self.stored)
        self._write_gradients_to(self.gradients)
        for layer in self.plain_layers():
            for parameter in layer.parameters.values():
                if not (parameter.learns or layer.is_frozen):
                    parameter.gradient = self.backend.zeros(parameter.shape)

    def _keep_values_in(self, vector: Array) -> None:
        places: list[tuple[Parameter | Buffer, slice]] = [*self._places, *self._buffer_places]
        for entry, place in places:
            entry.value = vector[place].reshape(entry.shape)

    def _write_gradients_to(self, vector: Array) -> None:
        for parameter, place in self._learning:
            parameter.gradient = vector[place].reshape(parameter.shape)

    def _draw_weights(self, seed: int) -> None:
        for index, parameter in enumerate(self.parameters().values()):
            if isinstance(parameter.initialiser, str):
                stream = Stream.INITIAL_WEIGHTS.of_layer(index)
                drawn = init.draw(parameter.initialiser, parameter.shape, seed, stream)
                self.backend.write(parameter.value, drawn)

    def _fill_constants(self) -> None:
        for parameter in self.parameters().values():
            if not isinstance(parameter.initialiser, str):
                self.backend.write(parameter.value, parameter.initialiser)
        for buffer in self.buffers().values():
            self.backend.write(buffer.value, buffer.initial)

    @contextmanager
    def using(self, stored: Array) -> Iterator[None]:
        """Inside a ``with`` block, parameters and buffers are those in another vector.

        Args:
            stored: as the network's own, such as an average of it.
        """
        self._keep_values_in(stored)
        try:
            yield
        finally:
            self._keep_values_in(self.stored)

    def plain_layers(self) -> Iterator[Layer]:
        """Those that are not made of others, in the order of the forward pass."""
        return plain_layers(self.body)

    def parameters(self) -> dict[str, Parameter]:
        """All parameters by name ("0.conv2d.weight"), in the order of the forward pass."""
        return named_parameters(self.body)

    def buffers(self) -> dict[str, Buffer]:
        """All buffers by name."""
        return {
            f"{layer.name}.{name}": buffer
            for layer in self.body.walk()
            for name, buffer in layer.buffers.items()
        }

    def parameter_count(self) -> int:
        """The number of trained values."""
        return sum(parameter.size for parameter in self.parameters().values())

    def train(self) -> None:
        """Layers that tell training from inference do training from here on."""
        self.context.training = True

    def infer(self) -> None:
        """Layers that tell training from inference do inference from here on."""
        self.context.training = False

    def begin_step(self, step: int, first_sample: int = 0) -> None:
        """Sets what dropout masks depend on: the step, and the batch's place in the global one."""
        self.context.step, self.context.first_sample = step, first_sample

    def forward(self, x: Array) -> Array:
        """Scores (N, classes) of a batch (N, H, W, C)."""
        return self.body.forward(x)

    def backward(self, dscores: Array, into: Array | None = None) -> None:
        """Fills all gradients, from the gradient of the scores.

        Args:
            dscores: (N, classes), for the scores of the last ``forward``.
            into: a vector to write them into in place of ``gradients``, zero in the gaps.
        """
        if into is None:
            self.body.backward(dscores)
            return
        self._write_gradients_to(into)
        try:
            self.body.backward(dscores)
        finally:
            self._write_gradients_to(self.gradients)

    def state(self) -> dict[str, NDArray[Any]]:
        """Parameters and buffers by name, on the host."""
        arrays: dict[str, Parameter | Buffer] = {**self.parameters(), **self.buffers()}
        return {name: self.backend.to_numpy(entry.value) for name, entry in arrays.items()}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Sets parameters and buffers from what ``state`` returned.

        Raises:
            CheckpointError: a name is missing or not of this model, or a shape or dtype differs.
        """
        own: dict[str, Parameter | Buffer] = {**self.parameters(), **self.buffers()}
        for name in sorted(own.keys() ^ state.keys()):
            whose = "the model has no" if name in state else "the checkpoint lacks"
            raise CheckpointError(f'{whose} "{name}"; it was made with another model')
        for name, entry in own.items():
            saved = state[name]
            if saved.shape != entry.shape or saved.dtype != self.backend.dtype:
                raise CheckpointError(
                    f'"{name}" is {saved.dtype} {saved.shape} in the checkpoint and '
                    f"{self.backend.dtype} {entry.shape} in the model"
                )
        for name, entry in own.items():
            self.backend.write(entry.value, state[name])
