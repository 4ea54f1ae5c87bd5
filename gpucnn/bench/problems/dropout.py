"""Dropout to time, forward and input gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.base import Backend
from gpucnn.backends.geometry import Shape
from gpucnn.backends.interface.arrays import Array
from gpucnn.bench.problems.base import ImageProblem, as_integers, total_bytes
from gpucnn.bench.timing import Run

RATE = 0.2
_QUANTILE = -0.8416
"""A fifth of normally distributed numbers are below it."""


class Dropout(ImageProblem):
    """Drops a fifth of x (N, size, size, C)."""

    @property
    def flops(self) -> int:
        """What is kept is scaled; the random words are made of integers, which do not count."""
        return self.elements

    @property
    def traffic(self) -> int:
        """x, y and a byte of mask for each element; dy, dx and the same for the gradient."""
        return total_bytes(self.x_shape, self.x_shape) + self.elements


class DropoutForward(Dropout):
    """y, and the mask."""

    operation = "dropout_forward"

    def input_shapes(self) -> Sequence[Shape]:
        """x."""
        return (self.x_shape,)

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """y and the mask; always of the same step."""
        (x,) = arrays
        return lambda: backend.dropout_forward(x, RATE, seed=0, stream=0, step=0)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """y and the mask, by PyTorch's random numbers."""
        (x,) = tensors
        return lambda: torch.ops.aten.native_dropout(x, RATE, True)


class DropoutInputGrad(Dropout):
    """dx, from dy and the mask."""

    operation = "dropout_input_grad"

    def input_shapes(self) -> Sequence[Shape]:
        """dy and the mask."""
        return self.x_shape, self.x_shape

    def inputs(self) -> list[NDArray[np.float32]]:
        """The mask is 1 where an element was kept."""
        dy, drawn = super().inputs()
        return [dy, (drawn > _QUANTILE).astype(np.float32)]

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """dx."""
        dy, mask = arrays[0], as_integers(backend, arrays[1], np.uint8)
        return lambda: backend.dropout_input_grad(dy, mask, RATE)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """dx; PyTorch's mask is of Booleans."""
        dy, mask = tensors[0], tensors[1].bool()
        return lambda: torch.ops.aten.native_dropout_backward(dy, mask, 1.0 / (1.0 - RATE))


PASSES = (DropoutForward, DropoutInputGrad)
