"""Plans: a problem's launches on a machine, worked out once and kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar

from gpucnn.launch.choice import AUTOMATIC, Choice
from gpucnn.launch.launch import Launch
from gpucnn.launch.machine import Machine
from gpucnn.launch.variants import Variant
from gpucnn.operations.problem import Problem

Planner: TypeAlias = Callable[[Any, Machine, Choice], tuple[Launch, ...]]
_F = TypeVar("_F", bound=Planner)
_Variants: TypeAlias = Callable[[Any], tuple[Variant, ...]]


@dataclass(frozen=True)
class _Kernels:
    """What there is for one kind of problem.

    Attributes:
        planner: chooses the launches.
        variants: the variants that can do a problem, the chosen one first; none if there is one
            way only.
        tiled: those variants that are matrix products in tiles; None among them if there are no
            variants.
    """

    planner: Planner
    variants: _Variants
    tiled: tuple[Variant | None, ...]


_KERNELS: dict[type[Problem], _Kernels] = {}


def plans(
    *kinds: type[Problem],
    variants: _Variants = lambda _: (),
    tiled: tuple[Variant | None, ...] = (),
) -> Callable[[_F], _F]:
    """Makes a function the planner of these problems.

    Args:
        kinds: of problems.
        variants: as ``variants_of``.
        tiled: as ``tiled_variants``.
    """

    def register(planner: _F) -> _F:
        for kind in kinds:
            _KERNELS[kind] = _Kernels(planner, variants, tiled)
        return planner

    return register


def variants_of(problem: Problem) -> tuple[Variant, ...]:
    """The variants of kernels that can do a problem, the chosen one first; none for one way."""
    return _KERNELS[type(problem)].variants(problem)


def tiled_variants(kind: type[Problem]) -> tuple[Variant | None, ...]:
    """The variants that take one of TILES; None among them if a kind has no variants."""
    return _KERNELS[kind].tiled


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
    launches = _KERNELS[type(problem)].planner(problem, machine, choice)
    return tuple(one for one in launches if min(one.grid) > 0)
