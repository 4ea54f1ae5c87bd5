"""What is launched if several kernels can do the work: the plan decides, or else a test."""

from __future__ import annotations

from dataclasses import dataclass

from gpucnn.launch.slices import SHORTEST_SLICE
from gpucnn.launch.tiles import GemmTile
from gpucnn.launch.variants import Variant


@dataclass(frozen=True)
class Choice:
    """What is not left to the problem and the machine.

    Attributes:
        variant: of convolutions; None chooses one by the problem.
        tile: of matrix products; None chooses one by the problem.
        shortest_slice: terms that a slice of the sums of a convolution's product has at least.
    """

    variant: Variant | None = None
    tile: GemmTile | None = None
    shortest_slice: int = SHORTEST_SLICE


AUTOMATIC = Choice()
