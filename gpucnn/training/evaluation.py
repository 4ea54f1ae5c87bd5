"""Evaluation of a network on a data set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.base import Backend
from gpucnn.backends.interface.arrays import Array
from gpucnn.data import Batch
from gpucnn.data.views import views
from gpucnn.layers import Network
from gpucnn.losses import Loss
from gpucnn.training.input_pipeline import InputPipeline
from gpucnn.training.task import Evaluation, Judge, Task

_Unread: TypeAlias = list[tuple[NDArray[np.int32], NDArray[np.float32] | None, Array]]
"""Labels, targets and outputs of batches."""

_UNREAD = 16
"""Batches whose outputs stay on the device until they are read together: that is one wait."""


def evaluate(
    network: Network,
    loss: Loss,
    pipeline: InputPipeline,
    task: Task,
    batches: Iterable[Batch],
    tta: str | None = None,
) -> Evaluation:
    """Runs the network over batches, in inference mode; it is put back into training mode.

    Args:
        network: on the backend that evaluates.
        loss: whose mean is taken.
        pipeline: from batches to inputs, on the same backend.
        task: what the outputs mean.
        batches: one or more, in any order.
        tta: the views of each image to average over, one of ``data.views.VIEWS``; None for none.
    """
    backend = network.backend
    totals = backend.zeros((2,), np.float64)
    judge = task.judge()
    unread: _Unread = []
    network.infer()
    try:
        for batch in batches:
            truth = pipeline.truth(batch, loss)
            outputs = infer(network, pipeline, task, batch, tta)
            losses = loss.forward(backend, outputs, truth.target)
            task.accumulate(backend, totals, losses, outputs, truth.judged)
            unread.append((batch.labels, batch.targets, outputs))
            if len(unread) == _UNREAD:
                _judge(judge, backend, unread)
        _judge(judge, backend, unread)
    finally:
        network.train()
    return judge.result(float(backend.to_numpy(totals)[0]))


def infer(
    network: Network, pipeline: InputPipeline, task: Task, batch: Batch, tta: str | None = None
) -> Array:
    """The outputs of a network in inference mode, over several views of a batch if asked for.

    Args:
        network: in inference mode.
        pipeline: from batches to inputs, on the same backend.
        task: what the outputs mean.
        batch: not augmented.
        tta: as in ``evaluate``.
    """
    N, H, W, C = batch.images.shape
    draws = views(tta, N, (H, W, C))
    outputs = (network.forward(pipeline.inputs(replace(batch, draw=draw))) for draw in draws)
    return next(outputs) if len(draws) == 1 else task.join(network.backend, outputs)


def _judge(judge: Judge, backend: Backend, unread: _Unread) -> None:
    """Reads outputs and judges them; none is unread afterwards."""
    for labels, targets, outputs in unread:
        judge.add(labels, targets, backend.to_numpy(outputs))
    unread.clear()
