"""Which cases are checked."""

from __future__ import annotations

from gpucnn.check.case import Case
from gpucnn.check.cases import draw
from gpucnn.check.checker import Checker


def choose(checker: Checker, operation: str, count: int, most: int) -> list[Case]:
    """The first cases of an operation's series, and further ones that a user's kernels need.

    Args:
        checker: where the cases run, and with which folder of kernels.
        operation: the operation's name.
        count: cases of each variant.
        most: how far to look, in each variant's series, for cases that launch a kernel of the
            folder which those before do not.
    """
    cases = draw(operation, count)
    if checker.kernels is None or most <= count:
        return cases
    met = {use for case in cases for use in _uses(checker, case)}
    for case in draw(operation, most):
        uses = _uses(checker, case)
        if not uses <= met:
            met |= uses
            cases.append(case)
    return cases


def _uses(checker: Checker, case: Case) -> set[tuple[object, ...]]:
    return {(case.variant, *kernel) for kernel in checker.own_kernels(case)}
