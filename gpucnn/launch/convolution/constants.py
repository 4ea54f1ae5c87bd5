"""What the kernels of convolution know when they are compiled."""

from __future__ import annotations

from collections.abc import Mapping

from gpucnn.launch.launch import Constant, as_int
from gpucnn.operations.convolution import Conv2dForward
from gpucnn.operations.geometry import Conv2dGeometry


def conv2d_constants(conv: Conv2dGeometry) -> Mapping[str, Constant]:
    """The sizes.

    Raises:
        ShapeError: the offsets within an image, or of the filters, do not fit an int.
    """
    as_int(conv.H * conv.W * conv.C, "H·W·C")
    as_int(conv.P * conv.Q * conv.K, "P·Q·K")
    as_int(conv.K * conv.R * conv.S * (conv.C // conv.groups), "K·R·S·C/groups")
    (top, _), (left, _) = conv.padding
    return {
        "H": conv.H,
        "W": conv.W,
        "C": conv.C,
        "K": conv.K,
        "R": conv.R,
        "S": conv.S,
        "P": conv.P,
        "Q": conv.Q,
        "STRIDE_H": conv.stride[0],
        "STRIDE_W": conv.stride[1],
        "PAD_H": top,
        "PAD_W": left,
        "DILATION_H": conv.dilation[0],
        "DILATION_W": conv.dilation[1],
        "GROUPS": conv.groups,
    }


def forward_constants(problem: Conv2dForward) -> Mapping[str, Constant]:
    """The sizes, and what becomes of finished sums (kernels/include/epilogue.cuh)."""
    return {
        **conv2d_constants(problem.conv),
        "HAS_BIAS": problem.has_bias,
        "HAS_RESIDUAL": problem.has_residual,
        "RELU": problem.relu,
    }
