"""Which problems are checked."""

from __future__ import annotations

from gpucnn.kernelcheck.case import Case
from gpucnn.kernelcheck.cases import draw
from gpucnn.kernelcheck.check import Checker


def choose(checker: Checker, operation: str, count: int, most: int) -> list[Case]:
    """The first problems of an operation's series, and those that a user's kernels need besides.

    Args:
        checker: on what, and with which folder of kernels.
        operation: by name.
        count: how many, a variant.
        most: from so many, a variant, comes one more for each kernel of the folder that the first
            of the variant do not launch.
    """
    problems = draw(operation, count)
    if checker.kernels is None or most <= count:
        return problems
    met = {use for problem in problems for use in _uses(checker, problem)}
    for problem in draw(operation, most):
        uses = _uses(checker, problem)
        if not uses <= met:
            met |= uses
            problems.append(problem)
    return problems


def _uses(checker: Checker, problem: Case) -> set[tuple[object, ...]]:
    return {(problem.variant, *kernel) for kernel in checker.own_kernels(problem)}
