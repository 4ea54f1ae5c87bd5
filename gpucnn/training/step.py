"""Training steps, as work for the device; what of them is read back, and when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import numpy as np

from gpucnn.backends.interface.arrays import Array
from gpucnn.config_tables import Training
from gpucnn.data import Batch, BatchLoader
from gpucnn.errors import NonFiniteError
from gpucnn.layers import Network
from gpucnn.losses import Loss
from gpucnn.optim import Optimizer
from gpucnn.training.average import Average
from gpucnn.training.finite import non_finite_error
from gpucnn.training.input_pipeline import InputPipeline, Truth
from gpucnn.training.state import TrainingState
from gpucnn.training.task import Task

UNCHECKED_STEPS = 50
"""If the host runs ahead, the most steps before it checks that all of them were taken."""


class TrainingStep:
    """Forward, loss, backward, clipping, metrics, optimizer, average.

    A step learns from one batch, or from several, one after the other: the gradient is that of the
    mean loss over all of their samples. Batch normalisation normalises each batch by itself.

    A step whose loss or gradient is not finite changes nothing but running statistics, and so do
    all steps after it until ``explain``: the device sees to that itself (``guard_step``).

    Args:
        network: what learns, in training mode.
        loss: what it minimises.
        optimizer: attached to the network.
        pipeline: from batches to inputs, on the network's backend.
        options: clipping, whether a step may have several batches, and the average's decay.
        task: what the outputs mean.

    Attributes:
        totals: float64 (2,) on the device: the sum of losses, and how many were right or, in a
            regression, the sum of squared errors.
        average: of the network's values; None if the options have no decay.
    """

    def __init__(
        self,
        network: Network,
        loss: Loss,
        optimizer: Optimizer,
        pipeline: InputPipeline,
        options: Training,
        task: Task,
    ) -> None:
        self.task = task
        self.network, self.loss, self.optimizer = network, loss, optimizer
        self.pipeline, self.options = pipeline, options
        self.totals = network.backend.zeros((2,), np.float64)
        self._guard = network.backend.zeros((1,), np.int32)
        decay = options.ema_decay
        self.average = None if decay is None else Average(network, decay)
        several = options.accumulate > 1
        self._part = network.backend.zeros(network.gradients.shape) if several else None

    def take(self, batches: Sequence[Batch], step: int, factor: float) -> None:
        """Puts the step onto the device.

        Args:
            batches: what to learn from, ``options.accumulate`` at most.
            step: the step's number, from 0.
            factor: what the schedule multiplies the learning rate by.
        """
        backend, network = self.network.backend, self.network
        outcomes = list(self._gradients(batches, step))
        norm = backend.global_norm(network.gradients)
        for _, _, losses in outcomes:
            backend.guard_step(self._guard, norm, losses, step + 1)
        clip_gradients(network, self.options, norm)
        for truth, outputs, losses in outcomes:
            self.task.accumulate(backend, self.totals, losses, outputs, truth.judged, self._guard)
        self.optimizer.step(step + 1, factor, self._guard)
        if self.average is not None:
            self.average.update(step + 1, self._guard)

    def _gradients(
        self, batches: Sequence[Batch], step: int
    ) -> Iterator[tuple[Truth, Array, Array]]:
        """Fills the network's gradients; yields truth, outputs and losses of each batch."""
        backend, network = self.network.backend, self.network
        samples, first = sum(batch.labels.size for batch in batches), 0
        for batch in batches:
            network.begin_step(step, first)
            truth = self.pipeline.truth(batch, self.loss, is_training=True)
            outputs = network.forward(self.pipeline.inputs(batch))
            losses = self.loss.forward(backend, outputs, truth.target)
            doutputs = self.loss.backward(backend, samples)
            if first == 0:
                network.backward(doutputs)
            else:
                assert self._part is not None, "one batch more than options.accumulate"
                network.backward(doutputs, self._part)
                backend.add(network.gradients, self._part, out=network.gradients)
            first += batch.labels.size
            yield truth, outputs, losses

    def refused(self) -> int | None:
        """The first step that was not taken, or None; waits for the device."""
        number = int(self.network.backend.to_numpy(self._guard)[0])
        return number - 1 if number else None

    def explain(self, batches: Sequence[Batch], step: int) -> NonFiniteError:
        """Repeats a step that was not taken, up to its gradient, and reports where it went wrong.

        Steps are taken again from then on.
        """
        backend, network = self.network.backend, self.network
        backend.write(self._guard, 0)
        samples, first = sum(batch.labels.size for batch in batches), 0
        for batch in batches:
            network.begin_step(step, first)
            x = self.pipeline.inputs(batch)
            truth = self.pipeline.truth(batch, self.loss, is_training=True)
            losses = self.loss.forward(backend, network.forward(x), truth.target)
            network.backward(self.loss.backward(backend, samples))
            total = float(np.sum(backend.to_numpy(losses), dtype=np.float64))
            norm = float(backend.to_numpy(backend.global_norm(network.gradients))[0])
            if not np.isfinite([total, norm]).all():
                break
            first += batch.labels.size
        return non_finite_error(network, x, step, total)


class CheckedSteps:
    """Training steps, and a look at which of them were not taken.

    If the host does not run ahead of the device, it looks after each step. Otherwise it does so
    now and then, because it has to wait for the device to do so. No batch is kept for that: the
    images of a step that went wrong are taken again.

    Args:
        step: takes one.
        state: of the run.
        loader: of the batches.

    Attributes:
        unchecked: the epoch of each step since the last look, and its place in there.
    """

    def __init__(self, step: TrainingStep, state: TrainingState, loader: BatchLoader) -> None:
        self._step, self._state, self._loader = step, state, loader
        self._accumulate = step.options.accumulate
        self._most_unchecked = UNCHECKED_STEPS if step.network.backend.runs_ahead else 1
        self.unchecked: dict[int, tuple[int, int]] = {}

    @property
    def per_epoch(self) -> int:
        """Steps of an epoch; the last one may have fewer batches."""
        return -(-len(self._loader) // self._accumulate)

    def left(self) -> Iterator[tuple[Batch, ...]]:
        """The batches of each step that is left of the epoch at hand."""
        progress = self._state.progress
        start = min(progress.batch * self._accumulate, len(self._loader))
        batches = self._loader.batches(progress.epoch, start)
        while several := tuple(islice(batches, self._accumulate)):
            yield several

    def take(self, batches: Sequence[Batch], factor: float) -> None:
        """Takes a step and counts it; ``factor`` is the schedule's.

        Raises:
            NonFiniteError: as ``check``.
        """
        progress = self._state.progress
        epoch, place = batches[0].epoch, batches[0].index // self._accumulate
        with self._state.step():
            self._step.take(batches, progress.step, factor)
            self.unchecked[progress.step] = epoch, place
            if len(self.unchecked) >= self._most_unchecked:
                self.check()
        progress.step, progress.batch = progress.step + 1, place + 1

    def check(self) -> None:
        """Waits for the device, and looks at the steps since the last look.

        Raises:
            NonFiniteError: one was not taken. Progress is what it was before that step.
        """
        taken, self.unchecked = self.unchecked, {}
        refused = self._step.refused() if taken else None
        if refused is None:
            return
        self._state.is_whole = False  # running statistics have changed
        epoch, place = taken[refused]
        self._state.progress.step, self._state.progress.batch = refused, place
        first = place * self._accumulate
        numbers = range(first, min(first + self._accumulate, len(self._loader)))
        batches = [self._loader.batch(epoch, number) for number in numbers]
        raise self._step.explain(batches, refused)

    def totals(self) -> tuple[float, float]:
        """``TrainingStep.totals`` of the epoch at hand, after a check of its steps."""
        self.check()
        loss, other = self._step.network.backend.to_numpy(self._step.totals)
        return float(loss), float(other)

    @property
    def seen(self) -> int:
        """Samples taken in the epoch at hand."""
        batches, loader = self._state.progress.batch * self._accumulate, self._loader
        return min(batches * loader.batch_size, len(loader.dataset))

    def means(self) -> Mapping[str, float | None]:
        """Loss and the task's measure over the epoch at hand, of which a step has been taken."""
        return self._step.task.means(self.totals(), self.seen)


def clip_gradients(network: Network, options: Training, norm: Array | None = None) -> None:
    """Bounds a network's gradients as the config says: each element, and then the global norm.

    Args:
        network: whose gradients.
        options: the bounds.
        norm: the global norm, float64 (1,), where it is known.
    """
    backend, gradients = network.backend, network.gradients
    if options.clip_value is not None:
        backend.clip_by_value(gradients, options.clip_value)
        norm = None  # it is another one now
    if options.clip_norm is not None:
        norm = backend.global_norm(gradients) if norm is None else norm
        backend.clip_by_global_norm(gradients, norm, options.clip_norm)
