"""The moving average of a network's values, which follows them from step to step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.operations.guard import GUARD, draw_guard, is_refused
from gpucnn.operations.optimizer import NETWORKS, Vectors
from gpucnn.operations.problem import Arguments, Expectation, Operand, Timed
from gpucnn.operations.sampling import Generator, chosen, length, normal, speckled
from gpucnn.operations.tracked import Tracked

_SHARE = 1e-3


@dataclass(frozen=True)
class UpdateAverage(Vectors):
    """average ← average + share · (values − average), so that what is equal stays as it is.

    Attributes:
        has_guard: whether a guard may forbid it.
    """

    operation = "update_average"
    takes, changes, numbers = ("average", "values", "guard"), ("average",), ("share",)
    flops_each = 3

    has_guard: bool = False

    def _operands(self) -> Iterable[Operand | None]:
        vector = Operand(self.shape, self.dtypes.storage)
        return vector, vector, GUARD if self.has_guard else None

    @classmethod
    def timed(cls) -> Iterable[Timed]:
        """All parameters of well-known networks."""
        for name, group, n in NETWORKS:
            yield Timed(name, group, cls((n,)), {"share": _SHARE})

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """Shares from all to hardly anything."""
        n = length(rng, number)
        return {
            "average": normal(rng, n),
            "values": speckled(number, normal(rng, n)),
            "share": chosen(rng, 1.0, 0.8, _SHARE, 1e-6),
            "guard": draw_guard(rng),
        }

    @staticmethod
    def reference(
        average: Tracked, values: Tracked, share: float, guard: NDArray[np.int32] | None = None
    ) -> Expectation:
        """From the formula."""
        if is_refused(guard):
            return {}
        return {"average": average + share * (values - average)}

    @staticmethod
    def in_torch(_torch: Any, average: Any, values: Any, share: float) -> Any:
        """The same in PyTorch."""
        return average.lerp_(values, share)
