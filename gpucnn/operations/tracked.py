"""Arrays of numbers that carry a bound of their rounding errors (running error analysis).

With u the unit roundoff, an operation gives its exact result times (1 + δ), |δ| ≤ u. A sum of n
terms, added in any order, takes each term through at most n roundings, so it is off by at most
γ_n · Σ|terms| with γ_n = n·u / (1 − n·u), in addition to the errors of the terms themselves
(Higham, "Accuracy and Stability of Numerical Algorithms", 2002, sections 3.1 and 3.3). An
implementation may arrange a formula in its own way (factors multiplied first, a division as a
multiplication by the inverse, multiply-adds fused), which rounds each term at most ARRANGED times
as often; every operation but a sum, whose bound holds for any order, counts so many roundings.
"""

from __future__ import annotations

from typing import Any, TypeAlias, Union

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Number: TypeAlias = Union["Tracked", float, Floats]

SINGLE = np.dtype(np.float32)
DOUBLE = np.dtype(np.float64)
ELEMENTARY_ULPS = 4
"""exp, log and tanh: NumPy promises 4 units in the last place, CUDA's accurate ones 2."""
ARRANGED = 3


def unit_roundoff(dtype: np.dtype[Any] = SINGLE) -> float:
    """Half the distance from 1 to the next number."""
    return float(np.finfo(dtype).eps) / 2


def gamma(n: Any, dtype: np.dtype[Any] = SINGLE) -> Any:
    """γ_n: the relative error after n roundings; for an array of n, an array."""
    nu = n * unit_roundoff(dtype)
    return nu / (1 - nu)


class Tracked:
    """Numbers with a first-order bound of their rounding errors, in the arithmetic of ``dtype``.

    Plain numbers are constants that an implementation rounds once.

    Attributes:
        value: in float64.
        error: how far an implementation in ``dtype`` may be off.
        magnitude: Σ|terms| of the sums that the values are: an addition rounds by u times that, not
            by u times the result, so that the bound holds for any order of the additions.
        dtype: of the implementation.
    """

    __array_ufunc__ = None  # so that an array leaves arithmetic with tracked numbers to them

    def __init__(
        self,
        value: Any,
        error: Any = 0.0,
        magnitude: Any = None,
        dtype: np.dtype[Any] = SINGLE,
    ) -> None:
        self.value: Floats = np.asarray(value, np.float64)
        magnitude = abs(self.value) if magnitude is None else magnitude
        shape = self.value.shape
        self.error: Floats = np.broadcast_to(np.asarray(error, np.float64), shape)
        self.magnitude: Floats = np.broadcast_to(np.asarray(magnitude, np.float64), shape)
        self.dtype = dtype

    @property
    def bound(self) -> Floats:
        """How far a result may be off: by roundings, by underflow, and by the reference's own."""
        tiny = 16 * float(np.finfo(self.dtype).smallest_subnormal)
        own = unit_roundoff(DOUBLE) / unit_roundoff(self.dtype)
        bound: Floats = self.error * (1 + own) + tiny
        return bound

    @property
    def shape(self) -> tuple[int, ...]:
        """As of the array of values."""
        return self.value.shape

    def __len__(self) -> int:
        return len(self.value)

    def __getitem__(self, index: Any) -> Tracked:
        return self._made(self.value[index], self.error[index], self.magnitude[index])

    def reshape(self, *shape: int) -> Tracked:
        """In another shape."""
        arrays = (self.value, self.error, self.magnitude)
        return self._made(*(array.reshape(shape) for array in arrays))

    def transpose(self, *axes: int) -> Tracked:
        """With its axes in another order."""
        arrays = (self.value, self.error, self.magnitude)
        return self._made(*(array.transpose(axes or None) for array in arrays))

    def __add__(self, other: Number) -> Tracked:
        other = self._tracked(other)
        magnitude = self.magnitude + other.magnitude
        error = self.error + other.error + self._rounding(magnitude)
        return self._made(self.value + other.value, error, magnitude)

    __radd__ = __add__

    def __neg__(self) -> Tracked:
        return self._made(-self.value, self.error, self.magnitude)

    def __sub__(self, other: Number) -> Tracked:
        return self + (-self._tracked(other))

    def __rsub__(self, other: Number) -> Tracked:
        return self._tracked(other) + (-self)

    def __mul__(self, other: Number) -> Tracked:
        scaled = None if isinstance(other, Tracked) else self.magnitude * abs(np.asarray(other))
        other = self._tracked(other)
        value = self.value * other.value
        error = abs(self.value) * other.error + abs(other.value) * self.error
        error = error + self.error * other.error + self._rounding(value)
        return self._made(value, error, scaled)

    __rmul__ = __mul__

    def __truediv__(self, other: Number) -> Tracked:
        scaled = None if isinstance(other, Tracked) else self.magnitude / abs(np.asarray(other))
        other = self._tracked(other)
        value = self.value / other.value
        error = (self.error + abs(value) * other.error) / (abs(other.value) - other.error)
        return self._made(value, error + self._rounding(value), scaled)

    def __rtruediv__(self, other: Number) -> Tracked:
        return self._tracked(other) / self

    def sum(self, axis: int, keepdims: bool = False) -> Tracked:
        """The sum along an axis, in any order."""
        magnitude = self.magnitude.sum(axis, keepdims=keepdims)
        error = self.error.sum(axis, keepdims=keepdims)
        error = error + gamma(self.shape[axis], self.dtype) * magnitude
        return self._made(self.value.sum(axis, keepdims=keepdims), error, magnitude)

    def dot(self, other: Tracked) -> Tracked:
        """The matrix product of exact numbers, with sums in any order."""
        magnitude = abs(self.value) @ abs(other.value)
        error = gamma(self.shape[-1], self.dtype) * magnitude
        return self._made(self.value @ other.value, error, magnitude)

    def sqrt(self) -> Tracked:
        """√, of what is not negative."""
        value = np.sqrt(self.value)
        low = np.sqrt(np.maximum(self.value - self.error, 0.0))
        high = np.sqrt(self.value + self.error)
        error = np.maximum(value - low, high - value)
        return self._made(value, error + self._rounding(value))

    def exp(self) -> Tracked:
        """The exponential."""
        value = np.exp(self.value)
        return self._made(value, value * np.expm1(self.error) + self._library_error(value))

    def log(self) -> Tracked:
        """The natural logarithm, of what is above its error."""
        value = np.log(self.value)
        error = -np.log1p(-self.error / self.value)
        return self._made(value, error + self._library_error(value))

    def tanh(self) -> Tracked:
        """The hyperbolic tangent, whose slope is at most 1."""
        value = np.tanh(self.value)
        return self._made(value, self.error + self._library_error(value))

    def where(self, condition: NDArray[np.bool_], other: Number) -> Tracked:
        """These where the condition holds, else the others, which are chosen, not computed."""
        if not isinstance(other, Tracked):
            other = self._made(np.asarray(other, np.float64))
        pairs = (
            (self.value, other.value),
            (self.error, other.error),
            (self.magnitude, other.magnitude),
        )
        return self._made(*(np.where(condition, one, another) for one, another in pairs))

    def where_positive(self, tested: Tracked) -> Tracked:
        """These where ``tested`` is above 0, else 0; either, if roundings may decide that."""
        chosen = self.where(tested.value > 0, 0.0)
        uncertain = abs(tested.value) <= tested.bound
        error = np.where(uncertain, abs(self.value) + self.error, chosen.error)
        return self._made(chosen.value, error, chosen.magnitude)

    def _made(self, value: Floats, error: Any = 0.0, magnitude: Any = None) -> Tracked:
        return Tracked(value, error, magnitude, self.dtype)

    def _tracked(self, other: Number) -> Tracked:
        if isinstance(other, Tracked):
            return other
        value = np.asarray(other, np.float64)
        return self._made(value, unit_roundoff(self.dtype) * abs(value))

    def _rounding(self, magnitude: Floats) -> Floats:
        rounding: Floats = ARRANGED * unit_roundoff(self.dtype) * abs(magnitude)
        return rounding

    def _library_error(self, value: Floats) -> Floats:
        error: Floats = 2 * ARRANGED * ELEMENTARY_ULPS * unit_roundoff(self.dtype) * abs(value)
        return error


def stack(rows: list[Tracked]) -> Tracked:
    """Tracked numbers of one shape, along a new first axis."""
    return Tracked(
        np.stack([row.value for row in rows]),
        np.stack([row.error for row in rows]),
        np.stack([row.magnitude for row in rows]),
        rows[0].dtype,
    )
