"""Plans: a problem's launches on a machine, worked out once and kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar

from gpucnn.launch.choice import AUTOMATIC, Choice
from gpucnn.launch.launch import Launch
from gpucnn.launch.machine import Machine
from gpucnn.operations.problem import Problem

Planner: TypeAlias = Callable[[Any, Machine, Choice], tuple[Launch, ...]]
_F = TypeVar("_F", bound=Planner)

_PLANNERS: dict[type[Problem], Planner] = {}


def plans(*kinds: type[Problem]) -> Callable[[_F], _F]:
    """Makes a function the planner of these problems."""

    def register(planner: _F) -> _F:
        for kind in kinds:
            _PLANNERS[kind] = planner
        return planner

    return register


@lru_cache(maxsize=8192)
def plan(problem: Problem, machine: Machine, choice: Choice = AUTOMATIC) -> tuple[Launch, ...]:
    """The launches that carry out a problem, in order. Pure: no device is asked anything.

    Args:
        problem: what to do.
        machine: for which GPU.
        choice: what is not left to the problem and the machine.

    Raises:
        ShapeError: sizes that no kernel counts to, or a choice that cannot do the problem.
    """
    launches = _PLANNERS[type(problem)](problem, machine, choice)
    return tuple(one for one in launches if min(one.grid) > 0)
