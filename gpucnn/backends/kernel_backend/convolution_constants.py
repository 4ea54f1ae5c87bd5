"""What the kernels of convolution know when they are compiled."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from gpucnn.launch.launch import as_int
from gpucnn.operations.geometry import Conv2dGeometry


@lru_cache(maxsize=4096)
def conv2d_constants(problem: Conv2dGeometry) -> Mapping[str, Any]:
    """What the kernels know at compile time; the offsets within an image must fit an int."""
    as_int(problem.H * problem.W * problem.C, "H·W·C")
    as_int(problem.P * problem.Q * problem.K, "P·Q·K")
    as_int(problem.K * problem.R * problem.S * (problem.C // problem.groups), "K·R·S·C/groups")
    (top, _), (left, _) = problem.padding
    return {
        "H": problem.H,
        "W": problem.W,
        "C": problem.C,
        "K": problem.K,
        "R": problem.R,
        "S": problem.S,
        "P": problem.P,
        "Q": problem.Q,
        "STRIDE_H": problem.stride[0],
        "STRIDE_W": problem.stride[1],
        "PAD_H": top,
        "PAD_W": left,
        "DILATION_H": problem.dilation[0],
        "DILATION_W": problem.dilation[1],
        "GROUPS": problem.groups,
    }
