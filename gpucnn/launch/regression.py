"""Launches of a regression's losses: a block for each row of predictions; and of its totals."""

from __future__ import annotations

from functools import partial

import numpy as np

from gpucnn.launch.choice import Choice
from gpucnn.launch.elementwise import THREADS
from gpucnn.launch.launch import Argument, Launch, Numbers, Scalar, as_int, launch, number
from gpucnn.launch.loss import row_threads
from gpucnn.launch.machine import Machine
from gpucnn.launch.planning import plans
from gpucnn.operations import regression
from gpucnn.operations.loss import Scored
from gpucnn.operations.metrics import AccumulateErrors

_FILE = "regression.cu"
_FLOAT = np.dtype(np.float32)


@plans(regression.SquaredErrorForward)
def _squared_error(
    problem: regression.SquaredErrorForward, _machine: Machine, _choice: Choice
) -> tuple[Launch, ...]:
    return (_rows(problem, "predictions", "targets", "losses"),)


@plans(regression.SquaredErrorInputGrad)
def _squared_error_input_grad(
    problem: regression.SquaredErrorInputGrad, _machine: Machine, _choice: Choice
) -> tuple[Launch, ...]:
    return (_rows(problem, "predictions", "targets", _slope(2.0, problem), "gradient"),)


@plans(regression.HuberForward)
def _huber(
    problem: regression.HuberForward, _machine: Machine, _choice: Choice
) -> tuple[Launch, ...]:
    return (_rows(problem, "predictions", "targets", number("delta"), "losses"),)


@plans(regression.HuberInputGrad)
def _huber_input_grad(
    problem: regression.HuberInputGrad, _machine: Machine, _choice: Choice
) -> tuple[Launch, ...]:
    factors = number("delta"), _slope(1.0, problem)
    return (_rows(problem, "predictions", "targets", *factors, "gradient"),)


@plans(AccumulateErrors)
def _accumulate_errors(
    problem: AccumulateErrors, _machine: Machine, _choice: Choice
) -> tuple[Launch, ...]:
    shards = problem.batch_shards
    rows = as_int(problem.shape[0], "N"), np.int32(shards.length), np.int32(shards.count)
    arguments = ("losses", "predictions", "targets", "totals", "guard", *rows)
    return (launch(_FILE, problem.operation, (1,), arguments, (THREADS,), _constants(problem)),)


def _slope(factor: float, problem: Scored) -> Scalar:
    return Scalar(_FLOAT, partial(_scaled, factor / problem.shape[1]))


def _scaled(factor: float, numbers: Numbers) -> float:
    return factor * numbers["scale"]


def _rows(problem: Scored, *arguments: Argument | str) -> Launch:
    """A launch with a block a row (N, T)."""
    constants = _constants(problem)
    threads = (constants["ROW_THREADS"],)
    return launch(_FILE, problem.operation, problem.shape[:1], arguments, threads, constants)


def _constants(problem: Scored) -> dict[str, int]:
    K = int(as_int(problem.shape[1], "T"))
    return {"K": K, "ROW_THREADS": row_threads(K), "THREADS": THREADS}
