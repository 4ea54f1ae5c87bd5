"""Layers made of layers: one after another, and around a shortcut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gpucnn.backends.interface.arrays import Array
from gpucnn.errors import ShapeError
from gpucnn.layers.activation import ReLU
from gpucnn.layers.base import Context, Layer, Shape, layers


@layers.register("sequential")
class Sequential(Layer):
    """Layers one after another.

    Args:
        layers: in the order of the forward pass.
    """

    kind = "sequential"

    def __init__(self, layers: list[Layer]) -> None:
        super().__init__()
        self.layers = list(layers)
        self.keeps_output = not self.layers or self.layers[-1].keeps_output
        self.passes_gradient = not self.layers or self.layers[0].passes_gradient

    def children(self) -> Iterator[tuple[str, Layer]]:
        """Named by place and kind: "0.conv2d"."""
        for index, layer in enumerate(self.layers):
            yield f"{index}.{layer.kind}", layer

    def attach(self, context: Context, name: str) -> None:
        """Also lets layers overwrite what no one reads again: inputs, and gradients."""
        super().attach(context, name)
        for before, layer in zip(self.layers, self.layers[1:], strict=False):
            before.owns_gradient = not layer.passes_gradient
            if isinstance(layer, ReLU):
                layer.in_place = not before.keeps_output

    def _declare(self, input_shape: Shape) -> Shape:
        """Through all layers."""
        for layer in self.layers:
            input_shape = layer.declare(input_shape)
        return input_shape

    def forward(self, x: Array) -> Array:
        """First to last."""
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dy: Array) -> Array:
        """Last to first: the chain rule. Ends where nothing earlier learns."""
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
            if dy is None:
                break
        return dy

    def skip_input_grad(self) -> None:
        """Nothing before the first layer with parameters needs a gradient."""
        super().skip_input_grad()
        for layer in self.layers:
            layer.skip_input_grad()
            if any(part.parameters for part in layer.walk()):
                break


@layers.register("residual")
class Residual(Layer):
    """y = body(x) + shortcut(x).

    Args:
        body: the layers of the branch that learns the difference.
        shortcut: layers of the other branch, a projection where the body changes the shape; none
            for the identity.
    """

    kind = "residual"

    def __init__(self, body: list[Layer], shortcut: Sequence[Layer] = ()) -> None:
        super().__init__()
        self.body = Sequential(list(body))
        self.shortcut = Sequential(list(shortcut))

    def children(self) -> Iterator[tuple[str, Layer]]:
        """The two branches."""
        yield "body", self.body
        if self.shortcut.layers:
            yield "shortcut", self.shortcut

    def _declare(self, input_shape: Shape) -> Shape:
        """Both branches must agree."""
        output = self.body.declare(input_shape)
        other = self.shortcut.declare(input_shape)
        if output != other:
            raise ShapeError(
                f'layer "{self.name}": for inputs of shape {input_shape} the body gives {output} '
                f"but the shortcut {other}; give it a shortcut (a projection) that gives {output}"
            )
        return output

    def forward(self, x: Array) -> Array:
        """The sum of both branches."""
        shortcut = self.shortcut.forward(x)
        return self.backend.add(self.body.forward(x), shortcut)

    def backward(self, dy: Array) -> Array:
        """The same dy enters both branches; their gradients add."""
        through_body = self.body.backward(dy)
        through_shortcut = self.shortcut.backward(dy)
        return self.backend.add(through_body, through_shortcut)
