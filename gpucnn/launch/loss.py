"""Launches of the losses and their gradients: a block for each row of scores."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from gpucnn.launch.choice import Choice
from gpucnn.launch.elementwise import THREADS, WARP
from gpucnn.launch.launch import (
    Argument,
    Launch,
    Numbers,
    Scalar,
    as_int,
    launch,
    number,
)
from gpucnn.launch.machine import Machine
from gpucnn.launch.planning import plans
from gpucnn.operations import loss, soft_targets

_CROSS_ENTROPY = "softmax_cross_entropy.cu"
_SQUARED_ERROR = "mean_squared_error.cu"

_FLOAT = np.dtype(np.float32)
_CLASSES_A_THREAD = 4


@plans(loss.SoftmaxCrossEntropyForward)
def _cross_entropy(
    problem: loss.SoftmaxCrossEntropyForward, _machine: Machine, _choice: Choice
) -> tuple[Launch, ...]:
    shares = Scalar(_FLOAT, _label_share), number("label_smoothing")
    arguments = ("logits", "labels", *shares, "losses", "probabilities")
    return (_rows(_CROSS_ENTROPY, problem.operation, problem, arguments),)


@plans(loss.SoftmaxCrossEntropyInputGrad)
def _cross_entropy_input_grad(
    problem: loss.SoftmaxCrossEntropyInputGrad, _machine: Machine, _choice: Choice
) -> tuple[Launch, ...]:
    shares = Scalar(_FLOAT, _label_share), Scalar(_FLOAT, partial(_class_share, problem.shape[1]))
    arguments = ("probabilities", "labels", *shares, number("scale"), "dlogits")
    return (_rows(_CROSS_ENTROPY, problem.operation, problem, arguments),)


@plans(soft_targets.SoftCrossEntropyForward)
def _soft_cross_entropy(
    problem: soft_targets.SoftCrossEntropyForward, _machine: Machine, _choice: Choice
) -> tuple[Launch, ...]:
    arguments = ("logits", "targets", "losses", "probabilities")
    return (_rows(_CROSS_ENTROPY, problem.operation, problem, arguments),)


@plans(soft_targets.SoftCrossEntropyInputGrad)
def _soft_cross_entropy_input_grad(
    problem: soft_targets.SoftCrossEntropyInputGrad, _machine: Machine, _choice: Choice
) -> tuple[Launch, ...]:
    arguments = ("probabilities", "targets", number("scale"), "dlogits")
    return (_rows(_CROSS_ENTROPY, problem.operation, problem, arguments),)


@plans(loss.Softmax)
def _softmax(problem: loss.Softmax, _machine: Machine, _choice: Choice) -> tuple[Launch, ...]:
    return (_rows(_CROSS_ENTROPY, "softmax", problem, ("logits", "probabilities")),)


@plans(loss.MeanSquaredErrorForward)
def _squared_error(
    problem: loss.MeanSquaredErrorForward, _machine: Machine, _choice: Choice
) -> tuple[Launch, ...]:
    arguments = ("predictions", "labels", "losses")
    return (_rows(_SQUARED_ERROR, problem.operation, problem, arguments),)


@plans(loss.MeanSquaredErrorInputGrad)
def _squared_error_input_grad(
    problem: loss.MeanSquaredErrorInputGrad, _machine: Machine, _choice: Choice
) -> tuple[Launch, ...]:
    slope = Scalar(_FLOAT, partial(_slope, problem.shape[1]))
    arguments = ("predictions", "labels", slope, "gradient")
    return (_rows(_SQUARED_ERROR, problem.operation, problem, arguments),)


def _label_share(numbers: Numbers) -> float:
    return 1.0 - numbers["label_smoothing"]


def _class_share(K: int, numbers: Numbers) -> float:
    return numbers["label_smoothing"] / K


def _slope(K: int, numbers: Numbers) -> float:
    return 2.0 * numbers["scale"] / K


def _rows(
    file: str, kernel: str, problem: loss.Scored, arguments: Sequence[Argument | str]
) -> Launch:
    """A launch with a block a row of scores (N, K)."""
    constants = _constants(problem)
    return launch(
        file, kernel, problem.shape[:1], arguments, (constants["ROW_THREADS"],), constants
    )


def _constants(problem: loss.Scored) -> dict[str, int]:
    K = int(as_int(problem.shape[1], "K"))
    return {"K": K, "ROW_THREADS": row_threads(K)}


def row_threads(K: int) -> int:
    """Threads for a row of K scores: whole warps, a power of two up to THREADS."""
    threads = WARP
    while threads < THREADS and threads * _CLASSES_A_THREAD < K:
        threads *= 2
    return threads
