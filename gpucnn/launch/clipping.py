"""Launches of the gradient's norm, a sum of the squares of pieces, and of clipping."""

from __future__ import annotations

import math

import numpy as np

from gpucnn.launch.choice import Choice
from gpucnn.launch.elementwise import THREADS, elementwise
from gpucnn.launch.launch import Launch, Workspace, as_int, launch, number
from gpucnn.launch.machine import Machine
from gpucnn.launch.planning import plans
from gpucnn.operations.clipping import ClipByGlobalNorm, ClipByValue, GlobalNorm
from gpucnn.operations.geometry import ceil_divide

_FILE = "global_norm.cu"
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
