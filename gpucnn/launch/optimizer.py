"""Launches of optimizer steps: one each over whole vectors, with factors worked out in double."""

from __future__ import annotations

import numpy as np

from gpucnn.launch.choice import Choice
from gpucnn.launch.elementwise import elementwise
from gpucnn.launch.launch import Argument, Launch, Numbers, Scalar, number
from gpucnn.launch.machine import Machine
from gpucnn.launch.planning import plans
from gpucnn.operations.optimizer import AdamStep, AdamwStep, SgdStep

_FLOAT = np.dtype(np.float32)


@plans(SgdStep)
def _sgd_step(problem: SgdStep, _machine: Machine, _choice: Choice) -> tuple[Launch, ...]:
    (n,) = problem.shape
    rate, decay = number("learning_rate"), number("weight_decay")
    arguments: tuple[Argument | str, ...]
    if problem.has_velocity:
        kernel = "sgd_momentum_step"
        factors = (rate, number("momentum"), decay)
        arguments = ("parameters", "gradients", "velocity", *factors, "guard")
    else:
        kernel = "sgd_step"
        arguments = ("parameters", "gradients", rate, decay, "guard")
    return (elementwise("sgd.cu", kernel, n, arguments, {"NESTEROV": problem.nesterov}),)


@plans(AdamStep, AdamwStep)
def _adam_step(problem: AdamStep, _machine: Machine, _choice: Choice) -> tuple[Launch, ...]:
    (n,) = problem.shape
    shrink: Argument = np.float32(1.0)
    decay: Argument = number("weight_decay")
    if isinstance(problem, AdamwStep):
        shrink, decay = Scalar(_FLOAT, _decoupled_decay), np.float32(0.0)
    arguments: tuple[Argument | str, ...] = (
        "parameters",
        "gradients",
        "mean",
        "square",
        shrink,
        decay,
        number("beta1"),
        Scalar(_FLOAT, _share_of_gradient),
        number("beta2"),
        Scalar(_FLOAT, _share_of_square),
        Scalar(_FLOAT, _corrected_rate),
        Scalar(_FLOAT, _square_correction),
        number("epsilon"),
        "guard",
    )
    return (elementwise("adam.cu", "adam_step", n, arguments),)


def _decoupled_decay(numbers: Numbers) -> float:
    return 1.0 - numbers["learning_rate"] * numbers["weight_decay"]


def _share_of_gradient(numbers: Numbers) -> float:
    return 1.0 - numbers["beta1"]


def _share_of_square(numbers: Numbers) -> float:
    return 1.0 - numbers["beta2"]


def _corrected_rate(numbers: Numbers) -> float:
    rate: float = numbers["learning_rate"] / (1.0 - numbers["beta1"] ** numbers["step"])
    return rate


def _square_correction(numbers: Numbers) -> float:
    correction: float = 1.0 / (1.0 - numbers["beta2"] ** numbers["step"])
    return correction
