"""The named problems that ``gpucnn bench kernels`` times: those that the operations describe."""

from __future__ import annotations

from collections.abc import Sequence

from gpucnn.errors import ConfigError, did_you_mean, nearest
from gpucnn.operations import OPERATIONS, Timed
from gpucnn.operations.problem import GROUPS


def _of_group(group: str) -> tuple[Timed, ...]:
    return tuple(
        timed for kind in OPERATIONS.values() for timed in kind.timed() if timed.group == group
    )


QUICK = _of_group("quick")
"""Small enough for a CPU that stands in for a GPU."""
ALL = tuple(timed for group in GROUPS if group != "quick" for timed in _of_group(group))
"""Layers of well-known networks; if time runs short, the last are left out."""


def select(
    problems: Sequence[Timed], names: Sequence[str] = (), operations: Sequence[str] = ()
) -> list[Timed]:
    """The problems of some names and operations.

    Args:
        problems: to choose from.
        names: of problems, or how they begin, such as "resnet50"; none for all.
        operations: names of the backend's methods; none for all.

    Raises:
        ConfigError: a name that none of the problems has, or nothing is left.
    """
    for name in names:
        if not any(timed.name.startswith(name) for timed in problems):
            near = nearest(name, {timed.name for timed in problems})
            raise ConfigError(
                f'there is no problem "{name}"; '
                + (f'did you mean "{near}"? ' if near else "")
                + '"gpucnn bench kernels --list" shows them all'
            )
    known = {timed.problem.operation for timed in problems}
    for operation in operations:
        if operation not in known:
            raise ConfigError(
                f'no problem is of the operation "{operation}"; {did_you_mean(operation, known)}'
            )
    chosen = [
        timed
        for timed in problems
        if (not names or timed.name.startswith(tuple(names)))
        and (not operations or timed.problem.operation in operations)
    ]
    if not chosen:
        raise ConfigError(f"{', '.join(names)}: none of these is of {', '.join(operations)}")
    return chosen
