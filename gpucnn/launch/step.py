"""Launches of what a training step does besides its layers, its loss and its optimizer."""

from __future__ import annotations

import math

import numpy as np

from gpucnn.launch.choice import Choice
from gpucnn.launch.elementwise import THREADS, elementwise
from gpucnn.launch.launch import Launch, Workspace, as_int, launch, number
from gpucnn.launch.loss import row_threads
from gpucnn.launch.machine import Machine
from gpucnn.launch.planning import plans
from gpucnn.operations.average import UpdateAverage
from gpucnn.operations.clipping import ClipByGlobalNorm, ClipByValue, GlobalNorm
from gpucnn.operations.geometry import ceil_divide
from gpucnn.operations.guard import GuardStep
from gpucnn.operations.metrics import AccumulateMetrics

_FILE = "step.cu"
_PIECE = 16384
"""Elements whose squares one block adds up."""
_CONSTANTS = {"PIECE": _PIECE, "THREADS": THREADS}


@plans(GlobalNorm)
def _global_norm(problem: GlobalNorm, _machine: Machine, _choice: Choice) -> tuple[Launch, ...]:
    count = math.prod(problem.shape)
    pieces = ceil_divide(count, _PIECE)
    sums = Workspace("sums", (pieces,), np.dtype(np.float64))
    joined = (sums, "norm", as_int(pieces, "pieces of the norm"))
    return (
        launch(
            _FILE,
            "sum_squares",
            (pieces,),
            ("gradients", sums, np.int64(count)),
            (THREADS,),
            _CONSTANTS,
        ),
        launch(_FILE, "norm_of_sums", (1,), joined, (THREADS,), _CONSTANTS),
    )


@plans(ClipByGlobalNorm)
def _clip_by_global_norm(
    problem: ClipByGlobalNorm, _machine: Machine, _choice: Choice
) -> tuple[Launch, ...]:
    count = math.prod(problem.shape)
    arguments = ("gradients", "norm", number("limit", "float64"))
    return (elementwise(_FILE, "clip_by_global_norm", count, arguments, _CONSTANTS),)


@plans(ClipByValue)
def _clip_by_value(problem: ClipByValue, _machine: Machine, _choice: Choice) -> tuple[Launch, ...]:
    count = math.prod(problem.shape)
    arguments = ("gradients", number("limit"))
    return (elementwise(_FILE, "clip_by_value", count, arguments, _CONSTANTS),)


@plans(UpdateAverage)
def _update_average(
    problem: UpdateAverage, _machine: Machine, _choice: Choice
) -> tuple[Launch, ...]:
    count = math.prod(problem.shape)
    arguments = ("average", "values", number("share"), "guard")
    return (elementwise(_FILE, "update_average", count, arguments, _CONSTANTS),)


@plans(GuardStep)
def _guard_step(problem: GuardStep, _machine: Machine, _choice: Choice) -> tuple[Launch, ...]:
    (N,) = problem.shape
    arguments = ("guard", "norm", "losses", number("step", "int32"), as_int(N, "losses"))
    return (launch(_FILE, "guard_step", (1,), arguments, (THREADS,), _CONSTANTS),)


@plans(AccumulateMetrics)
def _accumulate_metrics(
    problem: AccumulateMetrics, _machine: Machine, _choice: Choice
) -> tuple[Launch, ...]:
    N, K = problem.shape
    right = Workspace("right", (N,), np.dtype(np.uint8))
    shards = problem.batch_shards
    rows = as_int(N, "N"), np.int32(shards.length), np.int32(shards.count)
    of_rows = ("scores", "labels", right, as_int(K, "K"))
    arguments = ("losses", right, "totals", "guard", *rows)
    return (
        launch(_FILE, "rows_right", (N,), of_rows, (row_threads(K),), _CONSTANTS),
        launch(_FILE, "accumulate_metrics", (1,), arguments, (THREADS,), _CONSTANTS),
    )
