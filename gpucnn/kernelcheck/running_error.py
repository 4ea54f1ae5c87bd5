"""Arrays of numbers that know how far a computation of theirs in float32 may be off.

With u the unit roundoff, every operation gives its exact result times (1 + δ), |δ| ≤ u. A sum of
n terms, added in any order, takes each through at most n roundings, so it is off by at most
γ_n · Σ|terms| with γ_n = n·u / (1 − n·u), besides the errors of the terms themselves (Higham,
"Accuracy and Stability of Numerical Algorithms", 2002, sections 3.1 and 3.3).
"""

from __future__ import annotations

from typing import Any, TypeAlias, Union

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Operand: TypeAlias = Union["Bounded", float]

FLOAT = np.dtype(np.float32)
DOUBLE = np.dtype(np.float64)
_ELEMENTARY_ULPS = 4
"""exp, log and tanh: NumPy promises 4 units in the last place, CUDA's accurate ones 2."""
_REARRANGED = 2
"""The same formula arranged otherwise (factors multiplied first, a division as a multiplication by
the inverse) rounds each term at most twice as often."""


def unit_roundoff(dtype: np.dtype[Any] = FLOAT) -> float:
    """Half the distance from 1 to the next number."""
    return float(np.finfo(dtype).eps) / 2


def gamma(n: Any, dtype: np.dtype[Any] = FLOAT) -> Any:
    """γ_n: the relative error after n roundings; for an array of n, an array."""
    nu = n * unit_roundoff(dtype)
    return nu / (1 - nu)


def sum_bound(n: Any, magnitudes: Floats, dtype: np.dtype[Any] = FLOAT) -> Floats:
    """How far sums of n products may be off, from the sums of their absolute values.

    n is one number, or one for each sum.
    """
    tiny = n * float(np.finfo(dtype).smallest_subnormal)
    # The reference rounds too, in double.
    bound: Floats = (gamma(n, dtype) + gamma(n, DOUBLE)) * magnitudes + tiny
    return bound


class Bounded:
    """Values with a first-order bound of their rounding errors (running error analysis).

    Attributes:
        value: as float64 has it.
        error: how far float32 may be off.
        magnitude: Σ|terms| of the sums that the values are: an addition rounds by u times that,
            not by u times the result, so that the bound holds for any order of additions.
    """

    def __init__(self, value: Any, error: Any = 0.0, magnitude: Any = None) -> None:
        self.value: Floats = np.asarray(value, np.float64)
        self.error: Floats = np.asarray(error, np.float64)
        magnitude = np.abs(self.value) if magnitude is None else magnitude
        self.magnitude: Floats = np.asarray(magnitude, np.float64)

    @property
    def bound(self) -> Floats:
        """How far an implementation may be off that arranges the formula in its own way."""
        tiny = 16 * float(np.finfo(FLOAT).smallest_subnormal)
        return (1 + _REARRANGED) * self.error + tiny

    def __add__(self, other: Operand) -> Bounded:
        other = _bounded(other)
        magnitude = self.magnitude + other.magnitude
        error = self.error + other.error + unit_roundoff() * magnitude
        return Bounded(self.value + other.value, error, magnitude)

    __radd__ = __add__

    def __neg__(self) -> Bounded:
        return Bounded(-self.value, self.error, self.magnitude)

    def __sub__(self, other: Operand) -> Bounded:
        return self + (-_bounded(other))

    def __rsub__(self, other: Operand) -> Bounded:
        return _bounded(other) + (-self)

    def __mul__(self, other: Operand) -> Bounded:
        is_constant = not isinstance(other, Bounded)
        other = _bounded(other)
        value = self.value * other.value
        error = abs(self.value) * other.error + abs(other.value) * self.error
        error += self.error * other.error + unit_roundoff() * abs(value)
        return Bounded(value, error, self.magnitude * abs(other.value) if is_constant else None)

    __rmul__ = __mul__

    def __truediv__(self, other: Operand) -> Bounded:
        is_constant = not isinstance(other, Bounded)
        other = _bounded(other)
        value = self.value / other.value
        error = (self.error + abs(value) * other.error) / (abs(other.value) - other.error)
        error += unit_roundoff() * abs(value)
        return Bounded(value, error, self.magnitude / abs(other.value) if is_constant else None)

    def __rtruediv__(self, other: Operand) -> Bounded:
        return _bounded(other) / self

    def sum(self, axis: int, keepdims: bool = False) -> Bounded:
        """The sum along an axis, in any order."""

        def total(terms: Floats) -> Floats:
            sums: Floats = np.broadcast_to(terms, self.value.shape).sum(axis, keepdims=keepdims)
            return sums

        magnitude = total(self.magnitude)
        error = total(self.error) + gamma(self.value.shape[axis]) * magnitude
        return Bounded(total(self.value), error, magnitude)

    def mean(self, axis: int) -> Bounded:
        """The mean along an axis."""
        return self.sum(axis) / float(self.value.shape[axis])

    def take(self, columns: NDArray[Any]) -> Bounded:
        """One element of each row."""
        rows = np.arange(len(columns))
        return Bounded(*(each[rows, columns] for each in (self.value, self.error, self.magnitude)))

    def sqrt(self) -> Bounded:
        """√, of what is not negative."""
        value = np.sqrt(self.value)
        low = np.sqrt(np.maximum(self.value - self.error, 0.0))
        high = np.sqrt(self.value + self.error)
        error = np.maximum(value - low, high - value)
        return Bounded(value, error + unit_roundoff() * value)

    def exp(self) -> Bounded:
        """The exponential."""
        value = np.exp(self.value)
        return Bounded(value, value * np.expm1(self.error) + _library_error(value))

    def log(self) -> Bounded:
        """The natural logarithm, of what is above its error."""
        value = np.log(self.value)
        return Bounded(value, -np.log1p(-self.error / self.value) + _library_error(value))

    def tanh(self) -> Bounded:
        """The hyperbolic tangent, whose slope is at most 1."""
        value = np.tanh(self.value)
        return Bounded(value, self.error + _library_error(value))

    def where(self, condition: Bounded) -> Bounded:
        """These where the condition is above 0, else 0; either where that may be rounding's."""
        uncertain = abs(condition.value) <= condition.bound
        value = np.where(condition.value > 0, self.value, 0.0)
        error = np.where(condition.value > 0, self.error, 0.0)
        error = np.where(uncertain, abs(self.value) + self.error, error)
        return Bounded(value, error)


def _bounded(operand: Operand) -> Bounded:
    """A plain number is a constant that is rounded once."""
    if isinstance(operand, Bounded):
        return operand
    return Bounded(operand, unit_roundoff() * abs(operand))


def _library_error(value: Floats) -> Floats:
    return 2 * _ELEMENTARY_ULPS * unit_roundoff() * abs(value)
