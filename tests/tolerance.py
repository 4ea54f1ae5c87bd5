"""Tolerances derived from the arithmetic, and comparisons that use them.

With u the unit roundoff (half the machine epsilon), every operation gives its exact result times
(1 + δ), |δ| ≤ u. A sum of n products, added in any order, with or without fused multiply-add,
takes each product through at most n roundings, so

    |error| ≤ γ_n · Σ|products|,   γ_n = n·u / (1 − n·u)

(Higham, "Accuracy and Stability of Numerical Algorithms", 2002, section 3.1). The inputs are
rounded to the backend's dtype first and the oracle gets the rounded values, so rounding them adds
nothing. The oracle rounds too, in float64: its own γ_n is added, which only matters at fp64.
"""

import math

import numpy as np

ELEMENTARY_ULPS = 4
"""exp, log and tanh: NumPy promises 4 units in the last place, CUDA's accurate ones 2."""

REARRANGED = 2
"""The same formula arranged otherwise (factors multiplied first, a division as a multiplication by
the inverse) rounds each term at most twice as often."""


def unit_roundoff(dtype):
    return float(np.finfo(dtype).eps) / 2


def gamma(n, dtype):
    nu = n * unit_roundoff(dtype)
    return nu / (1 - nu)


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


class Tracked:
    """A number with a first-order bound of its rounding error (running error analysis).

    ``magnitude`` is Σ|terms| of the sum that the number is: each addition rounds by u times that,
    not by u times the result, so that the bound holds for any order of the additions. Plain
    floats are constants that the backend rounds once. Inputs are exact.
    """

    def __init__(self, value, error, magnitude, u):
        self.value, self.error, self.magnitude, self.u = value, error, magnitude, u

    def _atom(self, value, error):
        return Tracked(value, error, abs(value), self.u)

    def _other(self, other):
        if isinstance(other, Tracked):
            return other
        return self._atom(float(other), self.u * abs(float(other)))

    def __add__(self, other):
        if not isinstance(other, Tracked) and other == 0.0:
            return self
        other = self._other(other)
        magnitude = self.magnitude + other.magnitude
        error = self.error + other.error + self.u * magnitude
        return Tracked(self.value + other.value, error, magnitude, self.u)

    __radd__ = __add__

    def __neg__(self):
        return Tracked(-self.value, self.error, self.magnitude, self.u)

    def __sub__(self, other):
        return self + (-other)

    def __rsub__(self, other):
        return (-self) + other

    def __mul__(self, other):
        scale = None if isinstance(other, Tracked) else abs(float(other))
        other = self._other(other)
        value = self.value * other.value
        error = abs(self.value) * other.error + abs(other.value) * self.error
        error += self.error * other.error + self.u * abs(value)
        magnitude = abs(value) if scale is None else self.magnitude * scale
        return Tracked(value, error, magnitude, self.u)

    __rmul__ = __mul__

    def __truediv__(self, other):
        scale = None if isinstance(other, Tracked) else abs(float(other))
        other = self._other(other)
        value = self.value / other.value
        error = (self.error + abs(value) * other.error) / (abs(other.value) - other.error)
        magnitude = abs(value) if scale is None else self.magnitude / scale
        return Tracked(value, error + self.u * abs(value), magnitude, self.u)

    def __rtruediv__(self, other):
        return self._other(other) / self

    def sqrt(self):
        value = math.sqrt(self.value)
        low, high = max(self.value - self.error, 0.0), self.value + self.error
        error = max(value - math.sqrt(low), math.sqrt(high) - value)
        return self._atom(value, error + self.u * value)

    def exp(self):
        value = math.exp(self.value)
        library = 2 * ELEMENTARY_ULPS * self.u * value
        return self._atom(value, value * math.expm1(self.error) + library)

    def log(self):
        value = math.log(self.value)
        library = 2 * ELEMENTARY_ULPS * self.u * abs(value)
        return self._atom(value, -math.log1p(-self.error / self.value) + library)

    def tanh(self):
        value = math.tanh(self.value)
        return self._atom(value, self.error + 2 * ELEMENTARY_ULPS * self.u * abs(value))

    def __lt__(self, other):
        return self.value < (other.value if isinstance(other, Tracked) else other)

    def __gt__(self, other):
        return self.value > (other.value if isinstance(other, Tracked) else other)


def track(array, dtype):
    """An array of exact numbers, to be worked on in the arithmetic of ``dtype``."""
    u, tracked = unit_roundoff(dtype), np.empty(np.shape(array), object)
    for index, value in np.ndenumerate(np.asarray(array, np.float64)):
        tracked[index] = Tracked(float(value), 0.0, abs(float(value)), u)
    return tracked


def values(tracked):
    return np.array([getattr(t, "value", t) for t in tracked.ravel()], float).reshape(tracked.shape)


def bounds(tracked, dtype):
    """The errors allowed: the backend's, arranged in whatever way, and the oracle's own."""
    errors = [getattr(t, "error", 0.0) for t in tracked.ravel()]
    tiny = 16 * float(np.finfo(dtype).smallest_subnormal)
    return ((1 + REARRANGED) * np.array(errors, float) + tiny).reshape(tracked.shape)


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


def assert_tracked(actual, tracked, dtype):
    """``actual`` is the oracle's value, within the bound that the oracle tracked."""
    assert np.asarray(actual).dtype == dtype
    assert_close(actual, values(tracked), bounds(tracked, dtype))
