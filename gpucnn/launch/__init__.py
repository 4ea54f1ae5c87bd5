"""Which kernels carry out a problem, and how they are launched. No device is needed to know."""

from gpucnn.launch import (  # noqa: F401
    activation,
    augmentation,
    convolution,
    dropout,
    loss,
    matrix,
    normalisation,
    optimizer,
    pooling,
    regression,
    step,
)
from gpucnn.launch.choice import AUTOMATIC, Choice
from gpucnn.launch.launch import Launch
from gpucnn.launch.machine import EMULATED, MACHINES, Machine
from gpucnn.launch.planning import plan, tiled_variants, variants_of

__all__ = [
    "AUTOMATIC",
    "EMULATED",
    "MACHINES",
    "Choice",
    "Launch",
    "Machine",
    "plan",
    "tiled_variants",
    "variants_of",
]
