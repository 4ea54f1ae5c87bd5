"""The named problems that ``gpucnn bench kernels`` times."""

from __future__ import annotations

from collections.abc import Sequence

from gpucnn import operations
from gpucnn.bench.problems.base import Problem, from_timed
from gpucnn.errors import ConfigError, did_you_mean, nearest
from gpucnn.operations.problem import GROUPS

__all__ = ["ALL", "QUICK", "Problem", "select"]


def _described(group: str) -> tuple[Problem, ...]:
    """Those that the operations themselves name."""
    return tuple(
        from_timed(timed)
        for kind in operations.OPERATIONS.values()
        for timed in kind.timed()
        if timed.group == group
    )


QUICK = _described("quick")
"""Small enough for a CPU that plays a GPU."""
ALL = tuple(problem for group in GROUPS if group != "quick" for problem in _described(group))
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
