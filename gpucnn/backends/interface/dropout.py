"""Dropout with masks that depend on the seed, the layer, the step and the element only."""

from __future__ import annotations

from gpucnn.backends.interface.arrays import Array, ArrayOperations
from gpucnn.errors import ShapeError
from gpucnn.operations.dropout import DropoutForward, DropoutInputGrad


class DropoutOperations(ArrayOperations):
    """Inverted dropout: what is kept is scaled by 1/(1 − rate), so inference does nothing."""

    def dropout_forward(
        self, x: Array, rate: float, seed: int, stream: int, step: int, offset: int = 0
    ) -> tuple[Array, Array]:
        """y = x · mask / (1 − rate), and the mask (uint8, 1 where kept) like x.

        Element i is dropped if the Philox word at position ``offset + i`` of (seed, stream, step)
        is below rate · 2³². ``offset`` is the place of x's first element in the global batch.

        Raises:
            ShapeError: a rate outside [0, 1).
        """
        _check_rate(rate)
        problem = DropoutForward.of(self.dtypes, self._shape("x", x))
        key = {"seed": seed, "stream": stream, "step": step, "offset": offset}
        y, mask = self.run(problem, x, None, None, rate=rate, **key)
        return y, mask

    def dropout_input_grad(self, dy: Array, mask: Array, rate: float) -> Array:
        """dx = dy · mask / (1 − rate).

        Raises:
            ShapeError: a rate outside [0, 1).
        """
        _check_rate(rate)
        problem = DropoutInputGrad.of(self.dtypes, self._shape("dy", dy))
        return self.run(problem, dy, mask, None, rate=rate)[0]


def _check_rate(rate: float) -> None:
    if not 0.0 <= rate < 1.0:
        raise ShapeError(f"dropout rate is {rate}; it must be at least 0 and below 1")
