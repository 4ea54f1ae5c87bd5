"""The gradients of batch normalisation; ``normalisation`` has the formulas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gpucnn.errors import ShapeError
from gpucnn.operations.normalisation import (
    ENDS,
    EPSILON,
    BatchNormalisation,
    Values,
    draw_x,
    end_in_torch,
    like,
)
from gpucnn.operations.problem import Arguments, Expectation
from gpucnn.operations.sampling import Generator, normal
from gpucnn.operations.shard_sums import sum_shards
from gpucnn.operations.shards import drawn_shards
from gpucnn.operations.tracked import Tracked, stack


def _sum(values: Tracked, N: int, shards: int) -> Tracked:
    """The sum of a channel's values, which are those of N images."""
    by_image = values.reshape(N, -1)
    return sum_shards(N, shards, lambda images: by_image[images].reshape(-1).sum(0))


def _standardised(x: NDArray[np.float32]) -> NDArray[Any]:
    """With mean 0 and variance 1 in every channel."""
    rows = x.reshape(-1, x.shape[-1])
    standard: NDArray[Any] = (x - rows.mean(axis=0, dtype=np.float64)) / rows.std(
        axis=0, dtype=np.float64
    )
    return standard


class BatchNormGradients(BatchNormalisation):
    """The gradients; with a ReLU alone they need the shift, with a residual and a ReLU they need y.

    Where y was above 0 before a ReLU alone is computed again from x, by the arithmetic of the
    forward pass. A residual without a ReLU changes none of the gradients, and its own is dy.

    Raises:
        ShapeError: a residual without a ReLU.
    """

    operation = "batch_norm_gradients"
    takes = ("dy", "x", "scale", "mean", "inverse_std", "shift", "y")
    gives = ("dx", "dscale", "dshift", "dresidual")
    ends = ENDS
    passes = 5  # x and dy for the sums, and again for dx
    residual_passes = 2  # y for the sums, which leave dresidual to be read in place of dy
    # PyTorch works the statistics out of x, so they are known beforehand here.
    timed_values: ClassVar[Values] = {
        "x": _standardised,
        "mean": np.zeros_like,
        "inverse_std": lambda drawn: np.full_like(drawn, 1 / math.sqrt(1 + EPSILON)),
        "y": lambda drawn: np.maximum(drawn, 0),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.residual and not self.relu:
            raise ShapeError(
                "the gradients with a residual and without a ReLU are those without a residual, "
                "whose own gradient is dy"
            )

    def _absent(self) -> tuple[str, ...]:
        if self.residual:
            return ("shift",)
        return ("y", "dresidual") if self.relu else ("y", "dresidual", "shift")

    @property
    def flops(self) -> int:
        """Two sums, one of them of products of differences, and two multiply-adds.

        With a ReLU alone, y is computed again: a multiply-add and a comparison. With a residual
        too, it is compared.
        """
        return (8 + (1 if self.residual else 3 * self.relu)) * math.prod(self.shape)

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """Each end in turn, with all channels in a series' 18.

        Every other one writes dx over dy; with a residual, a third writes dx there, and another
        third dresidual.
        """
        residual, relu = ENDS[(number + number // 6) % 3]
        drawn = draw_x(rng, number)
        x = drawn["x"]
        rows = x.reshape(-1, x.shape[-1]).astype(np.float64)
        dy = normal(rng, *x.shape)
        arguments = {
            "dy": dy,
            "x": x,
            "scale": drawn["scale"],
            "mean": rows.mean(axis=0).astype(np.float32),
            "inverse_std": (1 / np.sqrt(rows.var(axis=0) + EPSILON)).astype(np.float32),
            "shards": drawn_shards(number),
        }
        if residual:
            arguments["y"] = np.maximum(normal(rng, *x.shape), 0)
            over_dy = ("dresidual", "dx", "")[number // 3 % 3]
        else:
            if relu:
                arguments["shift"] = normal(rng, x.shape[-1])
            over_dy = "dx" if number % 2 else ""
        return {**arguments, over_dy: dy} if over_dy else arguments

    @staticmethod
    def reference(
        dy: Tracked,
        x: Tracked,
        scale: Tracked,
        mean: Tracked,
        inverse_std: Tracked,
        shift: Tracked | None = None,
        y: Tracked | None = None,
        dx: Tracked | None = None,
        dresidual: Tracked | None = None,
        shards: int = 1,
    ) -> Expectation:
        """Channel by channel; if y is too near to 0 to tell, a ReLU may have passed it or not."""
        expected: dict[str, Tracked | NDArray[Any]] = {}
        if y is not None:
            dy = dy.where(y.value > 0, 0.0)
            expected["dresidual"] = dy.value
        dx_of, dscale, dshift = [], [], []
        C = x.shape[-1]
        M = float(x.value.size // C)
        for c in range(C):
            arriving = dy[..., c].reshape(-1)
            normal = (x[..., c].reshape(-1) - mean[c]) * inverse_std[c]
            if shift is not None:
                arriving = arriving.where_positive(normal * scale[c] + shift[c])
            dshift.append(_sum(arriving, len(x), shards))
            dscale.append(_sum(arriving * normal, len(x), shards))
            inner = arriving - dshift[c] / M - normal * (dscale[c] / M)
            dx_of.append(scale[c] * inverse_std[c] * inner)
        expected["dx"] = like(x, dx_of)
        return {**expected, "dscale": stack(dscale), "dshift": stack(dshift)}

    def prepare_torch(self, torch: Any, *tensors: Any) -> Sequence[Any]:
        """y, what it was made of, and dy, for PyTorch's automatic differentiation.

        The residual is what makes the given y of the normalised x.
        """
        dy, x, scale, _, _, shift_or_y = (*tensors, None)[:6]
        shift = torch.zeros_like(scale) if self.residual or not self.relu else shift_or_y

        def forward(x: Any, scale: Any, shift: Any) -> Any:
            return torch.nn.functional.batch_norm(x, None, None, scale, shift, True, 0.0, EPSILON)

        values = [x, scale, shift]
        if self.residual:
            values.append(shift_or_y - forward(*values))
        leaves = [value.detach().requires_grad_() for value in values]
        y = forward(*leaves[:3])
        return end_in_torch(torch, y, (*leaves, None)[3], self.relu), leaves, dy

    @staticmethod
    def in_torch(torch: Any, y: Any, leaves: Sequence[Any], dy: Any) -> Any:
        """By automatic differentiation, of x, scale, shift and the residual."""
        return torch.autograd.grad(y, leaves, dy, retain_graph=True)
