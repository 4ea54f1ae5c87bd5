"""Which kernels are launched where several can do the work: the shapes decide, or else a test."""

from __future__ import annotations

from dataclasses import dataclass

from gpucnn.backends.slices import SHORTEST_SLICE
from gpucnn.backends.tiles import GemmTile
from gpucnn.backends.variants import Variant


@dataclass(frozen=True)
class Choice:
    """What is not left to the shapes.

    Attributes:
        variant: of convolutions; None chooses one by the problem.
        tile: of matrix products; None likewise.
        shortest_slice: terms that a slice of the sums of a convolution's product has at least.
    """

    variant: Variant | None = None
    tile: GemmTile | None = None
    shortest_slice: int = SHORTEST_SLICE


class KernelChoice:
    """For the families of which there are several kernels.

    Attributes:
        choice: what is launched now.
    """

    choice = Choice()

    def held_to(
        self,
        variant: Variant | None = None,
        tile: GemmTile | None = None,
        shortest_slice: int = SHORTEST_SLICE,
    ) -> Held:
        """Takes the choice from the backend inside a ``with`` block, for tests and measurements.

        Args:
            variant: of convolutions. One that cannot do a problem is a ShapeError at its launch.
            tile: of matrix products.
            shortest_slice: terms that a slice of the sums of a convolution's product has at least.
        """
        return Held(self, Choice(variant, tile, shortest_slice))


class Held:
    """A context, made once and entered as often as one likes: what is inside may be timed."""

    def __init__(self, backend: KernelChoice, choice: Choice) -> None:
        self._backend, self._choice = backend, choice

    def __enter__(self) -> None:
        self._before, self._backend.choice = self._backend.choice, self._choice

    def __exit__(self, *_error: object) -> None:
        self._backend.choice = self._before
