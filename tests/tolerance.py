"""Tolerances of long sums, and comparisons that use them, for tests that track no errors.

|error| ≤ γ_n · Σ|products|, as gpucnn/operations/tracked.py derives it. The inputs are rounded to
the backend's dtype first and the oracle gets the rounded values, so rounding them adds nothing. The
oracle rounds too, in float64: its own γ_n is added, which only matters at fp64.
"""

import math

import numpy as np

from gpucnn.operations.tracked import gamma


def sum_bound(n, magnitudes, dtype):
    """Bound for sums of n products, from the sums of their absolute values."""
    tiny = n * float(np.finfo(dtype).smallest_subnormal)
    return (gamma(n, dtype) + gamma(n, np.float64)) * magnitudes + tiny


def probable_sum_bound(n, magnitudes, dtype):
    """As ``sum_bound``, for n so large that γ_n says nothing.

    Roundings of random data are independent with mean zero, and then λ·√n takes the place of n,
    except with a probability below 2·n·exp(−λ²/2) (Higham, Mary, "A new approach to probabilistic
    rounding error analysis", 2019). λ = 8 makes that 10⁻⁷ for n of a million.
    """
    return sum_bound(8 * math.ceil(math.sqrt(n)), magnitudes, dtype)


def assert_close(actual, expected, bound):
    """Within ``bound`` element by element; NaN and infinities must be where they are expected."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(actual[~finite], expected[~finite])
    difference = np.abs(actual[finite] - expected[finite])
    allowed = np.broadcast_to(bound, expected.shape)[finite]
    wrong = ~(difference <= allowed)
    if wrong.any():
        excess = np.where(wrong, difference / allowed, 0.0)
        worst = np.flatnonzero(finite.ravel())[np.nanargmax(excess)]
        place = np.unravel_index(worst, expected.shape)
        raise AssertionError(
            f"{wrong.sum()} of {expected.size} are off; the worst at "
            f"{tuple(int(i) for i in place)}: {actual[place]} for {expected[place]}, "
            f"{np.nanmax(excess):.3g} times the bound"
        )
