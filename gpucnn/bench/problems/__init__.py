"""The named problems that ``gpucnn bench kernels`` times."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gpucnn.bench.problems import (
    average_pooling,
    convolution,
    dropout,
    elementwise,
    gradient,
    loss,
    normalisation,
    optimizer,
    pooling,
)
from gpucnn.bench.problems.augmentation import batches
from gpucnn.bench.problems.base import Problem
from gpucnn.bench.problems.convolution_epilogue import epilogues
from gpucnn.bench.problems.gradient import GuardStep
from gpucnn.bench.problems.matrix import ChannelSum, linear
from gpucnn.errors import ConfigError, did_you_mean, nearest

__all__ = ["ALL", "QUICK", "Problem", "select"]


def _each(kinds: Iterable[Any], name: str, *sizes: int) -> tuple[Problem, ...]:
    """One layer as a problem of each kind: its passes, or the operations of its shape."""
    return tuple(kind(name, *sizes) for kind in kinds)


def _conv(name: str, *sizes: int) -> tuple[Problem, ...]:
    """N, size, C, K, kernel, stride, padding, groups."""
    return _each(convolution.PASSES, name, *sizes)


def _pool(name: str, *sizes: int) -> tuple[Problem, ...]:
    """N, size, C, window, stride, padding."""
    return _each(pooling.PASSES, name, *sizes)


def _average(name: str, *sizes: int) -> tuple[Problem, ...]:
    """N, size, C, window, stride, padding."""
    return _each(average_pooling.PASSES, name, *sizes)


def _global_average(name: str, *sizes: int) -> tuple[Problem, ...]:
    """N, size, C."""
    return _each(average_pooling.GLOBAL_PASSES, name, *sizes)


def _norm(name: str, *sizes: int) -> tuple[Problem, ...]:
    """N, size, C."""
    return _each(normalisation.PASSES, name, *sizes)


def _map(name: str, *sizes: int) -> tuple[Problem, ...]:
    """N, size, C."""
    return _each(elementwise.PASSES, name, *sizes)


def _other_maps(name: str, *sizes: int) -> tuple[Problem, ...]:
    """N, size, C."""
    return _each((*elementwise.OTHER_PASSES, *dropout.PASSES), name, *sizes)


def _loss(name: str, *sizes: int) -> tuple[Problem, ...]:
    """N, K: the losses, and the guard that looks at them."""
    return (*_each(loss.PASSES, name, *sizes), GuardStep(name, sizes[0]))


def _step(name: str, parameters: int) -> tuple[Problem, ...]:
    """Of all parameters of a network, and what is done with their gradients before."""
    return (*optimizer.steps(name, parameters), *_each(gradient.PASSES, name, parameters))


QUICK: tuple[Problem, ...] = (
    *_conv("quick-first", 4, 28, 1, 8, 5, 1, 2),
    *_conv("quick-3x3", 4, 16, 16, 32, 3, 1, 1),
    *_conv("quick-1x1", 4, 16, 32, 32, 1),
    *_conv("quick-strided", 4, 16, 16, 32, 3, 2, 1),
    *_conv("quick-depthwise", 4, 16, 32, 32, 3, 1, 1, 32),
    *epilogues("quick-epilogue", 4, 16, 16, 32, 3, 1, 1),
    *_pool("quick-pool", 4, 16, 32, 2, 2),
    *_average("quick-average", 4, 16, 32, 3, 2, 1),
    *_global_average("quick-global-average", 4, 16, 32),
    *_norm("quick-norm", 4, 16, 32),
    *_map("quick-map", 4, 16, 32),
    *_other_maps("quick-other-map", 4, 16, 32),
    *linear("quick-linear", 32, 128, 64),
    ChannelSum("quick-bias-grad", 4, 16, 32),
    *batches("quick-batch", 16, 16, 3),
    *_loss("quick-loss", 32, 100),
    *_step("quick-step", 50_000),
)
"""Small enough for a CPU that plays a GPU."""

_TELLING: tuple[Problem, ...] = (
    *_conv("resnet18-56", 64, 56, 64, 64, 3, 1, 1),
    *_conv("resnet50-reduce-56", 64, 56, 256, 64, 1),
    *_conv("resnet9-16", 512, 16, 128, 128, 3, 1, 1),
    *_conv("lenet-5x5", 128, 14, 32, 64, 5, 1, 2),
    *_conv("resnet-first", 64, 224, 3, 64, 7, 2, 3),
    *_conv("mobilenet-depthwise-56", 64, 56, 128, 128, 3, 1, 1, 128),
    *_conv("resnet18-strided", 64, 56, 64, 128, 3, 2, 1),
    *_conv("resnet18-7", 64, 7, 512, 512, 3, 1, 1),
    *epilogues("resnet18-epilogue-56", 64, 56, 64, 64, 3, 1, 1),
    *_pool("resnet-pool", 64, 112, 64, 3, 2, 1),
    *_average("resnet50d-shortcut", 64, 56, 256, 2, 2),
    *_global_average("resnet50-global-average", 64, 7, 2048),
    *_norm("resnet50-norm-56", 64, 56, 256),
    *linear("resnet50-linear", 64, 2048, 1000),
    *_map("resnet50-map-56", 64, 56, 256),
    *_other_maps("resnet50-other-map-56", 64, 56, 256),
    *batches("resnet-batch", 64, 224, 3),
    *_loss("resnet-loss", 64, 1000),
    *_step("resnet50-step", 25_557_032),
)
"""One layer of each kind."""

_LENET: tuple[Problem, ...] = (
    *_conv("lenet-first", 128, 28, 1, 32, 5, 1, 2),
    *epilogues("lenet-epilogue", 128, 14, 32, 64, 5, 1, 2),
    ChannelSum("lenet-5x5-bias-grad", 128, 14, 64),
    *_pool("lenet-pool", 128, 28, 32, 2, 2),
    *_average("lenet-average", 128, 28, 32, 2, 2),
    *linear("lenet-linear", 128, 3136, 128),
    *_each(dropout.PASSES, "lenet-dropout", 128, 1, 128),
    *batches("lenet-batch", 128, 28, 1),
    *_loss("lenet-loss", 128, 10),
)
"""On MNIST, at the batch of configs/mnist.toml."""

_CIFAR: tuple[Problem, ...] = (
    *_conv("resnet9-first", 512, 32, 3, 64, 3, 1, 1),
    *_conv("resnet9-32", 512, 32, 64, 128, 3, 1, 1),
    *_conv("resnet9-16-wider", 512, 16, 128, 256, 3, 1, 1),
    *_conv("resnet9-8", 512, 8, 256, 512, 3, 1, 1),
    *_conv("resnet9-4", 512, 4, 512, 512, 3, 1, 1),
    *_pool("resnet9-pool", 512, 32, 128, 2, 2),
    *_norm("resnet9-norm", 512, 32, 128),
    *_conv("cifar-resnet18-32", 128, 32, 64, 64, 3, 1, 1),
    *_conv("cifar-resnet18-strided", 128, 32, 64, 128, 3, 2, 1),
    *_conv("cifar-resnet18-8", 128, 8, 256, 256, 3, 1, 1),
    *batches("resnet9-batch", 512, 32, 3),
    *_loss("resnet9-loss", 512, 10),
    *_step("resnet9-step", 6_568_640),
)
"""ResNet-9, and ResNet-18 at the batch of configs/cifar10_resnet18.toml."""

_IMAGENET: tuple[Problem, ...] = (
    *_conv("resnet18-28", 64, 28, 128, 128, 3, 1, 1),
    *_conv("resnet18-14", 64, 14, 256, 256, 3, 1, 1),
    *_conv("resnet18-shortcut", 64, 56, 64, 128, 1, 2),
    *_conv("resnet50-expand-56", 64, 56, 64, 256, 1),
    *_conv("resnet50-reduce-14", 64, 14, 1024, 256, 1),
    *_conv("resnet50-expand-7", 64, 7, 512, 2048, 1),
    *_conv("resnet50-strided", 64, 56, 128, 128, 3, 2, 1),
    *_conv("resnet50-shortcut", 64, 56, 256, 512, 1, 2),
    *epilogues("resnet50-epilogue-56", 64, 56, 64, 256, 1),
    *_global_average("resnet18-global-average", 64, 7, 512),
    *_norm("resnet-norm-112", 64, 112, 64),
    *_norm("resnet50-norm-7", 64, 7, 2048),
)
"""ResNet-18 and ResNet-50."""

_MOBILENET: tuple[Problem, ...] = (
    *_conv("mobilenet-first", 64, 224, 3, 32, 3, 2, 1),
    *_conv("mobilenet-depthwise-112", 64, 112, 32, 32, 3, 1, 1, 32),
    *_conv("mobilenet-depthwise-strided", 64, 112, 64, 64, 3, 2, 1, 64),
    *_conv("mobilenet-depthwise-14", 64, 14, 512, 512, 3, 1, 1, 512),
    *_conv("mobilenet-depthwise-7", 64, 7, 1024, 1024, 3, 1, 1, 1024),
    *epilogues("mobilenet-epilogue-56", 64, 56, 128, 128, 3, 1, 1, 128),
    *_norm("mobilenet-norm-56", 64, 56, 128),
    *_global_average("mobilenet-global-average", 64, 7, 1024),
    *_each(dropout.PASSES, "mobilenet-dropout", 64, 1, 1024),
)

ALL: tuple[Problem, ...] = (*_TELLING, *_CIFAR, *_LENET, *_IMAGENET, *_MOBILENET)
"""Layers of well-known networks; where time runs short, the last are left out."""


def select(
    problems: Sequence[Problem], names: Sequence[str] = (), operations: Sequence[str] = ()
) -> list[Problem]:
    """Those of some names and operations.

    Args:
        problems: to choose from.
        names: of problems, or how they begin, such as "resnet50"; none for all.
        operations: as the backend calls them; none for all.

    Raises:
        ConfigError: a name that none of the problems has, or nothing is left.
    """
    for name in names:
        if not any(problem.name.startswith(name) for problem in problems):
            near = nearest(name, {problem.name for problem in problems})
            raise ConfigError(
                f'there is no problem "{name}"; '
                + (f'did you mean "{near}"? ' if near else "")
                + '"gpucnn bench kernels --list" shows them all'
            )
    for operation in operations:
        known = {problem.operation for problem in problems}
        if operation not in known:
            raise ConfigError(
                f'no problem is of the operation "{operation}"; {did_you_mean(operation, known)}'
            )
    chosen = [
        problem
        for problem in problems
        if (not names or problem.name.startswith(tuple(names)))
        and (not operations or problem.operation in operations)
    ]
    if not chosen:
        raise ConfigError(f"{', '.join(names)}: none of these is of {', '.join(operations)}")
    return chosen
