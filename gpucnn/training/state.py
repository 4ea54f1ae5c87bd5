"""The state of a run: what a checkpoint holds, and how a step that failed is undone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.interface.arrays import Array
from gpucnn.errors import CheckpointError
from gpucnn.layers import Network
from gpucnn.optim import Optimizer
from gpucnn.training.average import Average
from gpucnn.training.checkpoint import Checkpoint, Progress
from gpucnn.training.finite import require_finite


class TrainingState:
    """Network, optimizer, average, the epoch's totals and progress, as they are between two steps.

    Args:
        network: what is trained.
        optimizer: attached to it.
        totals: float64 (2,) on the network's backend, those of the training steps.
        average: of the network's values; None if there is none.

    Attributes:
        progress: where the run is.
        is_whole: whether the arrays are exactly those after ``progress.step`` steps.
    """

    def __init__(
        self,
        network: Network,
        optimizer: Optimizer,
        totals: Array,
        average: Average | None = None,
    ) -> None:
        self._network, self._optimizer, self._totals = network, optimizer, totals
        self._average = average
        self.progress = Progress()
        self.is_whole = True
        # If the host runs ahead of the device, a copy for each step would make it wait, and an
        # error raised in a step does not say which of the launches before it have run. So on a GPU
        # a failed step is not undone, and a resumed run continues from the newest checkpoint.
        self._copies: list[tuple[Array, NDArray[np.generic]]] = []
        if not network.backend.runs_ahead:
            arrays = [totals, *(buffer.value for buffer in network.buffers().values())]
            self._copies = [(array, np.empty_like(array)) for array in arrays]

    @contextmanager
    def step(self) -> Iterator[None]:
        """Around a step: if it raises, the state is as before, or no longer ``is_whole``.

        Running statistics and totals, which a step changes first, are put back from copies. There
        are none of weights and averages: they change in the last operations of a step only.
        """
        for array, copy in self._copies:
            np.copyto(copy, np.asarray(array))
        self.is_whole = False
        try:
            yield
            self.is_whole = True
        finally:
            if not self.is_whole and self._copies and not self._is_changing:
                self._undo()

    @property
    def _is_changing(self) -> bool:
        """Whether the end of the step has begun, which cannot be undone."""
        average = self._average
        return self._optimizer.is_changing or (average is not None and average.is_changing)

    def _undo(self) -> None:
        for array, copy in self._copies:
            self._network.backend.write(array, copy)
        self.is_whole = True

    def checkpoint(self) -> Checkpoint:
        """The state as it is saved; ``progress`` is up to date.

        Raises:
            CheckpointError: a step failed and could not be undone.
            NonFiniteError: an array has an element that is not finite.
        """
        if not self.is_whole:
            raise CheckpointError("the step that failed cannot be undone")
        arrays = {f"network/{name}": array for name, array in self._network.state().items()}
        arrays |= {f"optimizer/{name}": array for name, array in self._optimizer.state().items()}
        if self._average is not None:
            arrays |= {f"ema/{name}": array for name, array in self._average.state().items()}
        require_finite(arrays, self.progress.step, self._network.backend)
        return Checkpoint(arrays, self.progress)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside a ``with`` block, the network's values are the averages, if there are any."""
        with nullcontext() if self._average is None else self._average.used():
            yield

    def use(self, checkpoint: Checkpoint) -> None:
        """Gives the network the values of a checkpoint to use; nothing can be trained from there.

        Raises:
            CheckpointError: it is of another model.
        """
        weights = checkpoint.weights()
        self._network.load_state(weights)
        if self._average is not None:
            self._average.load_state(weights)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes to the state of a checkpoint.

        Raises:
            CheckpointError: it is of another model or optimizer.
        """
        self._network.load_state(checkpoint.group("network"))
        self._optimizer.load_state(checkpoint.group("optimizer"))
        if self._average is not None:
            self._average.load_state(checkpoint.group("ema"))
        self.progress = checkpoint.progress
        totals = self.progress.loss_sum, self.progress.correct
        self._network.backend.write(self._totals, totals)
        self.is_whole = True
