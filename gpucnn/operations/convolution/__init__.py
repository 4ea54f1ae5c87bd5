"""Convolution's three passes."""

from gpucnn.operations.convolution.problems import (
    Conv2dFilterGrad,
    Conv2dForward,
    Conv2dInputGrad,
    Convolution,
)

__all__ = ["Conv2dFilterGrad", "Conv2dForward", "Conv2dInputGrad", "Convolution"]
