"""Dropout with masks that depend on the seed, the layer, the step and the element only."""

from __future__ import annotations

from abc import abstractmethod

from gpucnn.backends.interface.arrays import Array, ArrayOperations
from gpucnn.errors import ShapeError


class DropoutOperations(ArrayOperations):
    """Inverted dropout: what is kept is scaled by 1/(1 − rate), so inference does nothing."""

    def dropout_forward(
        self, x: Array, rate: float, seed: int, stream: int, step: int, offset: int = 0
    ) -> tuple[Array, Array]:
        """y = x · mask / (1 − rate), and the mask (uint8, 1 where kept) like x.

        Element i is dropped where the Philox word at position ``offset + i`` of (seed, stream,
        step) is below rate · 2³². ``offset`` is the place of x's first element in the global
        batch.

        Raises:
            ShapeError: a rate outside [0, 1).
        """
        self._check("x", x)
        _check_rate(rate)
        y, mask = self.empty(x.shape), self.empty(x.shape, "uint8")
        self._dropout_forward(x, rate, seed, stream, step, offset, y, mask)
        return y, mask

    def dropout_input_grad(self, dy: Array, mask: Array, rate: float) -> Array:
        """dx = dy · mask / (1 − rate)."""
        self._check("dy", dy)
        self._check("mask", mask, dy.shape, "uint8")
        _check_rate(rate)
        dx = self.empty(dy.shape)
        self._dropout_input_grad(dy, mask, rate, dx)
        return dx

    @abstractmethod
    def _dropout_forward(
        self,
        x: Array,
        rate: float,
        seed: int,
        stream: int,
        step: int,
        offset: int,
        y: Array,
        mask: Array,
    ) -> None: ...

    @abstractmethod
    def _dropout_input_grad(self, dy: Array, mask: Array, rate: float, dx: Array) -> None: ...


def _check_rate(rate: float) -> None:
    if not 0.0 <= rate < 1.0:
        raise ShapeError(f"dropout rate is {rate}; it must be at least 0 and below 1")
