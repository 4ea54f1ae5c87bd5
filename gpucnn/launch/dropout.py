"""Launches of dropout: a thread's elements are the words of one Philox block or of two."""

from __future__ import annotations

import math

import numpy as np

from gpucnn.launch.choice import Choice
from gpucnn.launch.elementwise import elementwise
from gpucnn.launch.launch import Launch, Numbers, Scalar, number
from gpucnn.launch.machine import Machine
from gpucnn.launch.planning import plans
from gpucnn.operations.dropout import DropoutForward, DropoutInputGrad

_FILE = "dropout.cu"


def _threshold(numbers: Numbers) -> int:
    """Words below it are dropped: up to 2³² itself."""
    return math.ceil(numbers["rate"] * 2**32)


def _scale(numbers: Numbers) -> float:
    return 1.0 / (1.0 - numbers["rate"])


def _seed(numbers: Numbers) -> int:
    return int(numbers["seed"]) & 0xFFFFFFFFFFFFFFFF


def _step(numbers: Numbers) -> int:
    return int(numbers["step"]) & 0xFFFFFFFF


_SCALE = Scalar(np.dtype(np.float32), _scale)


@plans(DropoutForward)
def _dropout_forward(
    problem: DropoutForward, _machine: Machine, _choice: Choice
) -> tuple[Launch, ...]:
    arguments = (
        "x",
        "y",
        "mask",
        Scalar(np.dtype(np.uint64), _threshold),
        _SCALE,
        Scalar(np.dtype(np.uint64), _seed),
        number("stream", "uint32"),
        Scalar(np.dtype(np.uint32), _step),
        number("offset", "uint64"),
    )
    count = math.prod(problem.shape)
    return (elementwise(_FILE, problem.operation, count, arguments),)


@plans(DropoutInputGrad)
def _dropout_input_grad(
    problem: DropoutInputGrad, _machine: Machine, _choice: Choice
) -> tuple[Launch, ...]:
    count = math.prod(problem.shape)
    return (elementwise(_FILE, problem.operation, count, ("dy", "mask", _SCALE, "dx")),)
