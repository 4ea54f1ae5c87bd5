"""Layers made of layers: one after another, and around a shortcut."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TypeAlias

from gpucnn.backends.interface.arrays import Array
from gpucnn.errors import ShapeError
from gpucnn.layers.activation import ReLU
from gpucnn.layers.base import Context, Layer, Shape, layers

Observer: TypeAlias = Callable[[Layer, Array], object]
"""Called with a layer and its output, before the next layer may overwrite it."""


@layers.register("sequential")
class Sequential(Layer):
    """Layers one after another.

    Args:
        layers: in the order of the forward pass.

    Attributes:
        layers: as they were given, with the names, the parameters and the shapes.
        steps: what runs: the layers themselves, or fused layers in place of some of them.
        observer: called after each step's ``forward``; None for none.
    """

    kind = "sequential"

    def __init__(self, layers: list[Layer]) -> None:
        super().__init__()
        self.layers = list(layers)
        self.steps = self.layers
        self.observer: Observer | None = None
        self.keeps_output = not self.layers or self.layers[-1].keeps_output
        self.passes_gradient = not self.layers or self.layers[0].passes_gradient

    def children(self) -> Iterator[tuple[str, Layer]]:
        """Named by place and kind: "0.conv2d"."""
        for index, layer in enumerate(self.layers):
            yield f"{index}.{layer.kind}", layer

    def attach(self, context: Context, name: str) -> None:
        """Also runs the layers one by one, until ``run`` says otherwise."""
        super().attach(context, name)
        self.run(self.layers)

    def run(self, steps: list[Layer]) -> None:
        """Sets ``steps``, and lets them overwrite inputs and gradients that no one reads again."""
        self.steps = steps
        for before, step in pairwise(steps):
            before.owns_gradient = not step.passes_gradient
            if isinstance(step, ReLU):
                step.in_place = not before.keeps_output

    def _declare(self, input_shape: Shape) -> Shape:
        """Through all layers."""
        for layer in self.layers:
            input_shape = layer.declare(input_shape)
        return input_shape

    def forward(self, x: Array) -> Array:
        """First to last."""
        for step in self.steps:
            x = step.forward(x)
            if self.observer is not None:
                self.observer(step, x)
        return x

    def backward(self, dy: Array) -> Array | None:
        """Last to first: the chain rule. It ends where no earlier layer learns."""
        for step in reversed(self.steps):
            if not step.needs_backward:
                return None
            dx = step.backward(dy)
            if dx is None:
                return None
            dy = dx
        return dy

    def skip_input_grad(self) -> None:
        """Nothing before the first layer that learns needs a gradient."""
        super().skip_input_grad()
        for layer in self.layers:
            layer.skip_input_grad()
            if layer.learns:
                break


@layers.register("residual")
class Residual(Layer):
    """y = body(x) + shortcut(x).

    Args:
        body: the layers of the branch that learns the difference.
        shortcut: layers of the other branch, a projection if the body changes the shape; none for
            the identity.
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

    def backward(self, dy: Array) -> Array | None:
        """The same dy enters both branches; their gradients add."""
        return self.add_gradients(self.body, dy, dy)

    def add_gradients(self, body: Sequential, dbody: Array, dshortcut: Array) -> Array | None:
        """The gradient of x through both branches; None if nothing before the block learns.

        Args:
            body: the branch, or the steps of it that are not a part of what calls this.
            dbody: the gradient of what ``body`` gives.
            dshortcut: the gradient of what the shortcut gives.
        """
        if self.needs_input_grad:
            through_body = body.input_grad(dbody)
            through_shortcut = self.shortcut.input_grad(dshortcut)
            return self.backend.add(through_body, through_shortcut)
        for branch, gradient in ((body, dbody), (self.shortcut, dshortcut)):
            branch.backward(gradient)
        return None

    def skip_input_grad(self) -> None:
        """Nor does anything before either branch learn."""
        super().skip_input_grad()
        self.body.skip_input_grad()
        self.shortcut.skip_input_grad()
