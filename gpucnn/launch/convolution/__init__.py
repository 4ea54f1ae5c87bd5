"""Launches of convolution's three passes, by whichever variant does a problem best."""

from __future__ import annotations

from gpucnn.errors import ShapeError
from gpucnn.launch.choice import Choice
from gpucnn.launch.convolution import depthwise, direct, gemm
from gpucnn.launch.launch import Launch
from gpucnn.launch.machine import Machine
from gpucnn.launch.planning import plans
from gpucnn.launch.variants import Variant, conv2d_variants
from gpucnn.operations.convolution import (
    Conv2dFilterGrad,
    Conv2dForward,
    Conv2dInputGrad,
    Convolution,
)


@plans(Conv2dForward, variants=conv2d_variants, tiled=(Variant.GEMM,))
def _forward(problem: Conv2dForward, machine: Machine, choice: Choice) -> tuple[Launch, ...]:
    match _variant(problem, choice):
        case Variant.GEMM:
            return gemm.forward(problem, machine, choice)
        case Variant.DEPTHWISE:
            return depthwise.forward(problem, machine)
        case Variant.DIRECT:
            return direct.forward(problem)


@plans(Conv2dInputGrad, variants=conv2d_variants, tiled=(Variant.GEMM,))
def _input_grad(problem: Conv2dInputGrad, machine: Machine, choice: Choice) -> tuple[Launch, ...]:
    match _variant(problem, choice):
        case Variant.GEMM:
            return gemm.input_grad(problem, machine, choice)
        case Variant.DEPTHWISE:
            return depthwise.input_grad(problem, machine)
        case Variant.DIRECT:
            return direct.input_grad(problem)


@plans(Conv2dFilterGrad, variants=conv2d_variants, tiled=(Variant.GEMM,))
def _filter_grad(problem: Conv2dFilterGrad, machine: Machine, choice: Choice) -> tuple[Launch, ...]:
    match _variant(problem, choice):
        case Variant.GEMM:
            return gemm.filter_grad(problem, machine, choice)
        case Variant.DEPTHWISE:
            return depthwise.filter_grad(problem, machine)
        case Variant.DIRECT:
            return direct.filter_grad(problem, machine)


def _variant(problem: Convolution, choice: Choice) -> Variant:
    """The variant to use.

    Raises:
        ShapeError: the one that was asked for cannot do the problem.
    """
    able, wanted = conv2d_variants(problem), choice.variant
    if wanted is None:
        return able[0]
    if wanted not in able:
        raise ShapeError(f"the variant {wanted} cannot do {problem.conv}")
    return wanted
