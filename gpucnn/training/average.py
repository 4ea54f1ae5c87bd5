"""``training.ema_decay``: a moving average of the network's values, which is what is used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from numpy.typing import NDArray

from gpucnn.backends.interface.arrays import Array
from gpucnn.errors import CheckpointError
from gpucnn.layers import Network


class Average:
    """The exponential moving average of parameters and running statistics.

    After step t, counted from 1,

        average ← d · average + (1 − d) · value,   d = min(decay, (1 + t) / (10 + t))

    so the initial values are soon forgotten. The average begins with them.

    Args:
        network: whose values.
        decay: what d becomes.

    Attributes:
        is_changing: as that of an optimizer.
    """

    def __init__(self, network: Network, decay: float) -> None:
        self._network, self._decay = network, decay
        self._stored = network.backend.zeros(network.stored.shape)
        network.backend.write(self._stored, network.backend.to_numpy(network.stored))
        self.is_changing = False

    def update(self, step: int, guard: Array) -> None:
        """Takes the values after a step, from 1, into the average, unless the guard forbids it."""
        self.is_changing = True
        share = 1.0 - min(self._decay, (1 + step) / (10 + step))
        self._network.backend.update_average(self._stored, self._network.stored, share, guard)
        self.is_changing = False

    @contextmanager
    def used(self) -> Iterator[None]:
        """Inside a ``with`` block, the network's values are the averages."""
        with self._network.using(self._stored):
            yield

    def state(self) -> dict[str, NDArray[Any]]:
        """The averages by the names of what they are of, on the host."""
        with self.used():
            return self._network.state()

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Sets the averages from what ``state`` returned.

        Raises:
            CheckpointError: there are none, or they are those of another model.
        """
        if not state:
            raise CheckpointError("it has no averages of weights, and the config asks for them")
        with self.used():
            self._network.load_state(state)
