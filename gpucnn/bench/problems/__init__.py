"""The named problems that ``gpucnn bench kernels`` times."""

from __future__ import annotations

from collections.abc import Sequence

from gpucnn import operations
from gpucnn.bench.problems import guard, loss, optimizer
from gpucnn.bench.problems.base import Problem, from_timed
from gpucnn.bench.problems.matrix import channel_sum, linear
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


def _loss(name: str, N: int, K: int) -> tuple[Problem, ...]:
    """The losses, and the guard that looks at them."""
    return (*loss.passes(name, N, K), guard.step(name, N))


def _step(name: str, parameters: int) -> tuple[Problem, ...]:
    """Of all parameters of a network, and what is done with their gradients before."""
    return (*optimizer.steps(name, parameters), *optimizer.gradient_passes(name, parameters))


QUICK: tuple[Problem, ...] = (
    *linear("quick-linear", 32, 128, 64),
    channel_sum("quick-bias-grad", 4, 16, 32),
    *_loss("quick-loss", 32, 100),
    *_step("quick-step", 50_000),
    *_described("quick"),
)
"""Small enough for a CPU that plays a GPU."""

_TELLING: tuple[Problem, ...] = (
    *linear("resnet50-linear", 64, 2048, 1000),
    *_loss("resnet-loss", 64, 1000),
    *_step("resnet50-step", 25_557_032),
    *_described("telling"),
)
"""One layer of each kind."""

_LENET: tuple[Problem, ...] = (
    channel_sum("lenet-5x5-bias-grad", 128, 14, 64),
    *linear("lenet-linear", 128, 3136, 128),
    *_loss("lenet-loss", 128, 10),
    *_described("lenet"),
)
"""On MNIST, at the batch of configs/mnist.toml."""

_CIFAR: tuple[Problem, ...] = (
    *_loss("resnet9-loss", 512, 10),
    *_step("resnet9-step", 6_568_640),
    *_described("cifar"),
)
"""ResNet-9, and ResNet-18 at the batch of configs/cifar10_resnet18.toml."""

_IMAGENET: tuple[Problem, ...] = (*_described("imagenet"),)
"""ResNet-18 and ResNet-50."""

_MOBILENET: tuple[Problem, ...] = (*_described("mobilenet"),)

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
