"""What a drawn problem should give: the naive loops of ``oracle``, with bounds of ``tolerance``.

``expected(problem)`` has a pair of value and bound for each array of the problem's outcome: its
results, and what the argument arrays hold afterwards. Bound 0 is exact. Each operation has a
function of its own name, from its arguments to the pairs that change.
"""

import numpy as np
from tolerance import assert_close, bounds, sum_bound, track, values

from gpucnn.kernelcheck.reference import expect
from gpucnn.operations import OPERATIONS

FLOAT = np.float32


def expected(problem):
    if problem.operation.name in OPERATIONS:
        wanted = expect(problem)
        return {name: (v, wanted.bounds.get(name, 0.0)) for name, v in wanted.outcome.items()}
    arguments = problem.arguments
    outcome = {name: (v, 0.0) for name, v in arguments.items() if isinstance(v, np.ndarray)}
    with np.errstate(all="ignore"):  # of values that are not finite
        outcome |= globals()[problem.operation.name](dict(arguments))
    # An array under two names was worked on in place: whichever name its result has.
    results = problem.operation.results
    for name, value in arguments.items():
        if name == "out" or (name in results and name in arguments):
            written = outcome[results[0] if name == "out" else name]
            outcome |= {other: written for other, v in arguments.items() if v is value}
    return outcome


def check(problem, outcome):
    """Every array of the outcome is what the oracle says, within its bound."""
    wanted = expected(problem)
    assert outcome.keys() == wanted.keys()
    for name, (value, bound) in wanted.items():
        assert_close(outcome[name], np.asarray(value, np.float64), bound)


def _pair(tracked):
    return values(tracked), bounds(tracked, FLOAT)


def _tracked(a, *names):
    return [track(a[name], FLOAT) for name in names]


def _wide(array):
    return None if array is None else array.astype(np.float64)


def _linear(function, terms, *arrays):
    """Value and bound of sums of products, each linear in all of the arrays."""
    arrays = [_wide(array) for array in arrays]
    magnitudes = function(*(None if array is None else abs(array) for array in arrays))
    return function(*arrays), sum_bound(terms, magnitudes, FLOAT)
