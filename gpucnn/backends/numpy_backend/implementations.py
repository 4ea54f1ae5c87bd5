"""What carries out each problem in NumPy; the families' files register their functions here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from gpucnn.operations.problem import Problem

_F = TypeVar("_F", bound=Callable[..., object])

IMPLEMENTATIONS: dict[type[Problem], Callable[..., object]] = {}
"""Called with the backend, the problem, the arrays of its ``takes`` and ``gives``, and its numbers
by name. An array that is left out is None."""


def implements(kind: type[Problem]) -> Callable[[_F], _F]:
    """Makes a function the implementation of an operation."""

    def register(function: _F) -> _F:
        IMPLEMENTATIONS[kind] = function
        return function

    return register
