"""Optimizer steps to time, and the norm and the clipping of gradients: each over one vector."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from gpucnn.bench.problems.base import Input, Problem, total_bytes

_RATE, _MOMENTUM, _BETAS, _EPSILON, _DECAY = 1e-2, 0.9, (0.9, 0.999), 1e-8, 5e-2
_SHARE_OF_NORM = 0.99
"""Clipping works in place: after some thousand runs, the gradient must not be denormal yet."""
_LARGEST = 1.0


def steps(name: str, parameters: int) -> tuple[Problem, ...]:
    """A step of each optimizer, and of each form of SGD, all with weight decay.

    What does not depend on the parameter, such as 1 − β, is no operation of it.
    """
    return (
        _sgd(name, parameters, 8, _MOMENTUM, nesterov=True),
        _sgd(f"{name}-momentum", parameters, 6, _MOMENTUM),
        _sgd(f"{name}-plain", parameters, 4),
        _adam(name, parameters, 15, "adam_step", "Adam"),
        _adam(name, parameters, 14, "adamw_step", "AdamW"),
    )


def gradient_passes(name: str, parameters: int) -> tuple[Problem, ...]:
    """What is done with the gradients of all parameters before a step."""
    vector = {"gradients": Input((parameters,))}
    # The norm of n numbers of variance 1 is about √n.
    limit = _SHARE_OF_NORM * math.sqrt(parameters)
    problem = partial(_vector_problem, name=name, parameters=parameters, inputs=vector)
    return (
        problem(
            operation="global_norm",
            flops=2,
            written=0,
            # PyTorch sums in the gradient's own precision, and ours in double.
            torch=lambda torch, gradients: torch.linalg.vector_norm(gradients).reshape(1),
        ),
        problem(
            operation="clip_by_global_norm",
            options={"limit": limit},
            flops=1,
            written=1,
            prepare=lambda backend, gradients: {
                "gradients": gradients,
                "norm": backend.global_norm(gradients),
            },
            torch_prepare=lambda torch, gradients: (gradients, torch.linalg.vector_norm(gradients)),
            # Three calls, as PyTorch's own function does it; two are of one number.
            torch=lambda torch, gradients, norm: gradients.mul_(torch.clamp(limit / norm, max=1.0)),
        ),
        problem(
            operation="clip_by_value",
            options={"limit": _LARGEST},
            flops=2,
            written=1,
            torch=lambda _, gradients: gradients.clamp_(-_LARGEST, _LARGEST),
        ),
    )


def _sgd(
    name: str, parameters: int, flops: int, momentum: float = 0.0, nesterov: bool = False
) -> Problem:
    names = ("parameters", "gradients", *(("velocity",) if momentum else ()))
    without = {} if momentum else {"velocity": None}
    rates = {"learning_rate": _RATE, "momentum": momentum, "nesterov": nesterov}

    def torch_prepare(torch: Any, weights: Any, gradients: Any, *velocity: Any) -> tuple[Any]:
        parameter = _torch_parameter(torch, weights, gradients)
        optimizer = torch.optim.SGD(
            [parameter], _RATE, momentum, weight_decay=_DECAY, nesterov=nesterov, fused=True
        )
        if momentum:
            (optimizer.state[parameter]["momentum_buffer"],) = velocity
        return (optimizer,)

    return _vector_problem(
        operation="sgd_step",
        name=name,
        parameters=parameters,
        inputs={each: Input((parameters,)) for each in names},
        options={**rates, **without, "weight_decay": _DECAY},
        flops=flops,
        written=len(names) - 1,
        torch_prepare=torch_prepare,
        torch=lambda _, optimizer: optimizer.step(),
    )


def _adam(name: str, parameters: int, flops: int, operation: str, torch_name: str) -> Problem:
    """Always the first step."""
    vector, square = Input((parameters,)), Input((parameters,), np.abs)
    rates = {"learning_rate": _RATE, "beta1": _BETAS[0], "beta2": _BETAS[1], "epsilon": _EPSILON}

    def torch_prepare(torch: Any, weights: Any, gradients: Any, *moments: Any) -> tuple[Any]:
        parameter = _torch_parameter(torch, weights, gradients)
        optimizer = getattr(torch.optim, torch_name)(
            [parameter], _RATE, _BETAS, _EPSILON, weight_decay=_DECAY, fused=True
        )
        step = torch.zeros((), dtype=torch.float32, device=parameter.device)
        names = ("step", "exp_avg", "exp_avg_sq")
        optimizer.state[parameter] |= zip(names, (step, *moments), strict=True)
        return (optimizer,)

    return _vector_problem(
        operation=operation,
        name=name,
        parameters=parameters,
        inputs={"parameters": vector, "gradients": vector, "mean": vector, "square": square},
        options={"step": 1, **rates, "weight_decay": _DECAY},
        flops=flops,
        written=3,
        torch_prepare=torch_prepare,
        torch=lambda _, optimizer: optimizer.step(),
    )


def _torch_parameter(torch: Any, weights: Any, gradients: Any) -> Any:
    parameter = torch.nn.Parameter(weights)
    parameter.grad = gradients
    return parameter


def _vector_problem(
    parameters: int, inputs: dict[str, Input], flops: int, written: int, **fields: Any
) -> Problem:
    """So many flops a parameter, and so many vectors that are written.

    A norm is nothing beside a vector.
    """
    return Problem(
        shape_text=f"{parameters:,} parameters",
        inputs=inputs,
        flops=flops * parameters,
        traffic=(len(inputs) + written) * total_bytes((parameters,)),
        **fields,
    )
