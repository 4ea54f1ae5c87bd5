"""``training.watch``: what each layer's gradients, weights and outputs are like, now and then.

A watched step runs its layers one by one, which changes no bits, and reads back what it needs. The
records are rows of metrics.jsonl. They are all that later conclusions are drawn from, so a resumed
run draws the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.interface.arrays import Array
from gpucnn.config import Config
from gpucnn.data import BatchLoader
from gpucnn.errors import CheckpointError
from gpucnn.layers import Layer, Network, ReLU, Sigmoid, Tanh, observed
from gpucnn.text import shown
from gpucnn.training.diagnosis import Epoch, Finding, History, LayerRecord, diagnose
from gpucnn.training.display import Display
from gpucnn.training.finite import suspicion
from gpucnn.training.recorder import RunRecorder
from gpucnn.training.run_folder import RunFolder
from gpucnn.training.task import Task

_FIRST, _EVERY = 32, 50
_FLAT = 0.1
"""A unit is saturated if the derivative is below this share of its maximum."""


def is_watched(step: int) -> bool:
    """Whether a step, from 1, is recorded: 1, 2, 4, 8, 16, 32, and each multiple of 50."""
    return step % _EVERY == 0 or (step <= _FIRST and step & (step - 1) == 0)


class Watch:
    """Records of a run's layers, and what they show.

    Args:
        network: of the run.
        loader: of the batches to train on.
        task: what is learned.
        config: whether anything is recorded.
        recorder: adds rows to the run's metrics.
        display: shows what is wrong.
    """

    def __init__(
        self,
        network: Network,
        loader: BatchLoader,
        task: Task,
        config: Config,
        recorder: RunRecorder,
        display: Display,
    ) -> None:
        self._network, self._is_on = network, config.training.watch
        self._recorder, self._display = recorder, display
        self._history = History()
        if self._is_on:
            parts = list(network.plain_layers())
            weighted = [
                part.name
                for part in parts
                if any(p.decay and p.learns for p in part.parameters.values())
            ]
            self._history = History(weighted, task.chance(loader.dataset.labels))

    def restore(self, run: RunFolder) -> None:
        """Goes to the records that a run has.

        Raises:
            CheckpointError: a row of its metrics is damaged.
        """
        if not self._is_on:
            return
        self._history.clear()
        for number, row in enumerate(run.metrics(), 1):
            try:
                self._take(row)
            except msgspec.ValidationError as error:
                place = f"{shown(run.path)}/metrics.jsonl, line {number}"
                reason = shown(str(error))
                raise CheckpointError(f"{place}: {reason}; remove that line") from None

    def _take(self, row: Mapping[str, Any]) -> None:
        if "finding" in row:
            self._history.said.add(msgspec.convert(row["finding"], str))
        elif "layer" in row:
            self._history.add(msgspec.convert(row, LayerRecord))
        elif "epoch" in row:
            self._history.epochs.append(msgspec.convert(row, Epoch))

    @contextmanager
    def step(self, number: int, check: Callable[[], object]) -> Iterator[None]:
        """Around a training step: records it if it is one of those.

        Args:
            number: of the step, from 1.
            check: raises if the step was not taken; then nothing is recorded.
        """
        if not (self._is_on and is_watched(number)):
            yield
            return
        outputs: list[LayerRecord] = []
        before = self._values()

        def observe(layer: Layer, y: Array) -> None:
            outputs.extend(self._shares(number, layer, y))

        with observed(self._network.body, observe):
            yield
        check()
        records = {record.layer: record for record in [*self._norms(number, before), *outputs]}
        for layer in self._network.plain_layers():
            if layer.name in records:
                self._recorder.append(msgspec.to_builtins(records[layer.name]))
                self._history.add(records[layer.name])
        self._conclude(number)

    def end_epoch(self, row: Mapping[str, Any]) -> None:
        """Looks at the row of an epoch, and at those before it."""
        if self._is_on:
            self._take(row)
            self._conclude(row["step"])

    def _conclude(self, step: int) -> None:
        for finding in diagnose(self._history):
            self._history.said.add(finding.finding)
            if cause := suspicion(self._network.backend):
                finding = finding.explained_by(f"{cause}.")
            self._recorder.append({"step": step, **_filled(finding)})
            self._display.line(f"watch: {finding.message}")

    def _values(self) -> dict[str, NDArray[Any]]:
        to_numpy = self._network.backend.to_numpy
        parameters = self._network.parameters().items()
        return {name: to_numpy(p.value) for name, p in parameters if p.learns}

    def _norms(self, step: int, before: Mapping[str, NDArray[Any]]) -> Iterator[LayerRecord]:
        """Of each layer with parameters that learn, over all of these."""
        after, to_numpy = self._values(), self._network.backend.to_numpy
        for layer in self._network.plain_layers():
            learning = {name: p for name, p in layer.parameters.items() if p.learns}
            if not learning:
                continue
            names = [f"{layer.name}.{name}" for name in learning]
            was = _norm(before[name] for name in names)
            change = _norm(after[name].astype(np.float64) - before[name] for name in names)
            yield LayerRecord(
                step,
                layer.name,
                gradient_norm=_norm(to_numpy(p.gradient) for p in learning.values()),
                weight_norm=_norm(after[name] for name in names),
                update_ratio=change / was if was else None,
            )

    def _shares(self, step: int, layer: Layer, y: Array) -> Iterator[LayerRecord]:
        """Of the units that learn nothing, or almost, if it is a layer that can have such units.

        Units that could not learn anyway, because all before them is frozen, do not count.
        """
        if not isinstance(layer, ReLU | Sigmoid | Tanh) or not layer.needs_backward:
            return
        outputs = self._network.backend.to_numpy(y)
        if isinstance(layer, ReLU):
            units = outputs.reshape(-1, outputs.shape[-1])
            yield LayerRecord(step, layer.name, dead=float(np.mean(~(units != 0).any(axis=0))))
        else:
            is_sigmoid = isinstance(layer, Sigmoid)
            slopes = 4 * outputs * (1 - outputs) if is_sigmoid else 1 - outputs * outputs
            yield LayerRecord(step, layer.name, saturated=float(np.mean(slopes < _FLAT)))


def _norm(arrays: Iterable[NDArray[Any]]) -> float:
    """The Euclidean norm of all elements; sums in double, and in an order of their own."""
    return math.sqrt(sum(float(np.sum(np.square(a.astype(np.float64)))) for a in arrays))


def _filled(finding: Finding) -> dict[str, Any]:
    return {key: value for key, value in msgspec.to_builtins(finding).items() if value is not None}
