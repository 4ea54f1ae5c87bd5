"""The named problems that ``gpucnn bench kernels`` times."""

from __future__ import annotations

from collections.abc import Sequence

from gpucnn import operations
from gpucnn.bench.problems import convolution, dropout, normalisation
from gpucnn.bench.problems.augmentation import batches
from gpucnn.bench.problems.base import Problem, from_timed
from gpucnn.bench.problems.pooling import average_pooling, global_average_pooling, max_pooling
from gpucnn.errors import ConfigError, did_you_mean, nearest

__all__ = ["ALL", "QUICK", "Problem", "select"]


def _described(group: str) -> tuple[Problem, ...]:
    """Those that the operations themselves name."""
    return tuple(
        from_timed(timed)
        for kind in operations.OPERATIONS.values()
        for timed in kind.timed()
        if timed.group == group
    )


QUICK: tuple[Problem, ...] = (
    *convolution.passes("quick-first", 4, 28, 1, 8, 5, 1, 2),
    *convolution.passes("quick-3x3", 4, 16, 16, 32, 3, 1, 1),
    *convolution.passes("quick-1x1", 4, 16, 32, 32, 1),
    *convolution.passes("quick-strided", 4, 16, 16, 32, 3, 2, 1),
    *convolution.passes("quick-depthwise", 4, 16, 32, 32, 3, 1, 1, 32),
    *convolution.epilogues("quick-epilogue", 4, 16, 16, 32, 3, 1, 1),
    *max_pooling("quick-pool", 4, 16, 32, 2, 2),
    *average_pooling("quick-average", 4, 16, 32, 3, 2, 1),
    *global_average_pooling("quick-global-average", 4, 16, 32),
    *normalisation.passes("quick-norm", 4, 16, 32),
    *dropout.passes("quick-other-map", 4, 16, 32),
    *batches("quick-batch", 16, 16, 3),
    *_described("quick"),
)
"""Small enough for a CPU that plays a GPU."""

_TELLING: tuple[Problem, ...] = (
    *convolution.passes("resnet18-56", 64, 56, 64, 64, 3, 1, 1),
    *convolution.passes("resnet50-reduce-56", 64, 56, 256, 64, 1),
    *convolution.passes("resnet9-16", 512, 16, 128, 128, 3, 1, 1),
    *convolution.passes("lenet-5x5", 128, 14, 32, 64, 5, 1, 2),
    *convolution.passes("resnet-first", 64, 224, 3, 64, 7, 2, 3),
    *convolution.passes("mobilenet-depthwise-56", 64, 56, 128, 128, 3, 1, 1, 128),
    *convolution.passes("resnet18-strided", 64, 56, 64, 128, 3, 2, 1),
    *convolution.passes("resnet18-7", 64, 7, 512, 512, 3, 1, 1),
    *convolution.epilogues("resnet18-epilogue-56", 64, 56, 64, 64, 3, 1, 1),
    *max_pooling("resnet-pool", 64, 112, 64, 3, 2, 1),
    *average_pooling("resnet50d-shortcut", 64, 56, 256, 2, 2),
    *global_average_pooling("resnet50-global-average", 64, 7, 2048),
    *normalisation.passes("resnet50-norm-56", 64, 56, 256),
    *dropout.passes("resnet50-other-map-56", 64, 56, 256),
    *batches("resnet-batch", 64, 224, 3),
    *_described("telling"),
)
"""One layer of each kind."""

_LENET: tuple[Problem, ...] = (
    *convolution.passes("lenet-first", 128, 28, 1, 32, 5, 1, 2),
    *convolution.epilogues("lenet-epilogue", 128, 14, 32, 64, 5, 1, 2),
    *max_pooling("lenet-pool", 128, 28, 32, 2, 2),
    *average_pooling("lenet-average", 128, 28, 32, 2, 2),
    *dropout.passes("lenet-dropout", 128, 1, 128),
    *batches("lenet-batch", 128, 28, 1),
    *_described("lenet"),
)
"""On MNIST, at the batch of configs/mnist.toml."""

_CIFAR: tuple[Problem, ...] = (
    *convolution.passes("resnet9-first", 512, 32, 3, 64, 3, 1, 1),
    *convolution.passes("resnet9-32", 512, 32, 64, 128, 3, 1, 1),
    *convolution.passes("resnet9-16-wider", 512, 16, 128, 256, 3, 1, 1),
    *convolution.passes("resnet9-8", 512, 8, 256, 512, 3, 1, 1),
    *convolution.passes("resnet9-4", 512, 4, 512, 512, 3, 1, 1),
    *max_pooling("resnet9-pool", 512, 32, 128, 2, 2),
    *normalisation.passes("resnet9-norm", 512, 32, 128),
    *convolution.passes("cifar-resnet18-32", 128, 32, 64, 64, 3, 1, 1),
    *convolution.passes("cifar-resnet18-strided", 128, 32, 64, 128, 3, 2, 1),
    *convolution.passes("cifar-resnet18-8", 128, 8, 256, 256, 3, 1, 1),
    *batches("resnet9-batch", 512, 32, 3),
    *_described("cifar"),
)
"""ResNet-9, and ResNet-18 at the batch of configs/cifar10_resnet18.toml."""

_IMAGENET: tuple[Problem, ...] = (
    *convolution.passes("resnet18-28", 64, 28, 128, 128, 3, 1, 1),
    *convolution.passes("resnet18-14", 64, 14, 256, 256, 3, 1, 1),
    *convolution.passes("resnet18-shortcut", 64, 56, 64, 128, 1, 2),
    *convolution.passes("resnet50-expand-56", 64, 56, 64, 256, 1),
    *convolution.passes("resnet50-reduce-14", 64, 14, 1024, 256, 1),
    *convolution.passes("resnet50-expand-7", 64, 7, 512, 2048, 1),
    *convolution.passes("resnet50-strided", 64, 56, 128, 128, 3, 2, 1),
    *convolution.passes("resnet50-shortcut", 64, 56, 256, 512, 1, 2),
    *convolution.epilogues("resnet50-epilogue-56", 64, 56, 64, 256, 1),
    *global_average_pooling("resnet18-global-average", 64, 7, 512),
    *normalisation.passes("resnet-norm-112", 64, 112, 64),
    *normalisation.passes("resnet50-norm-7", 64, 7, 2048),
    *_described("imagenet"),
)
"""ResNet-18 and ResNet-50."""

_MOBILENET: tuple[Problem, ...] = (
    *convolution.passes("mobilenet-first", 64, 224, 3, 32, 3, 2, 1),
    *convolution.passes("mobilenet-depthwise-112", 64, 112, 32, 32, 3, 1, 1, 32),
    *convolution.passes("mobilenet-depthwise-strided", 64, 112, 64, 64, 3, 2, 1, 64),
    *convolution.passes("mobilenet-depthwise-14", 64, 14, 512, 512, 3, 1, 1, 512),
    *convolution.passes("mobilenet-depthwise-7", 64, 7, 1024, 1024, 3, 1, 1, 1024),
    *convolution.epilogues("mobilenet-epilogue-56", 64, 56, 128, 128, 3, 1, 1, 128),
    *normalisation.passes("mobilenet-norm-56", 64, 56, 128),
    *global_average_pooling("mobilenet-global-average", 64, 7, 1024),
    *dropout.passes("mobilenet-dropout", 64, 1, 1024),
    *_described("mobilenet"),
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
