"""What a case's outcome should be, and how far off it may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.check.case import Case, Outcome
from gpucnn.operations.tracked import DOUBLE, SINGLE, Tracked


@dataclass(frozen=True)
class Expected:
    """The reference's outcome of a case, and the bound of each of its floats."""

    outcome: Outcome
    bounds: Mapping[str, NDArray[Any]]

    def worst(self, actual: Outcome) -> float:
        """The largest error as a share of its bound: up to 1 is right.

        It is infinite if an element that must be exact is not, or if one is infinite or NaN that
        must not be.
        """
        return max((self._share(name, actual[name]) for name in self.outcome), default=0.0)

    def complaint(self, actual: Outcome) -> str:
        """Which element has the largest error, and how large it is; empty if all are right."""
        name = max(self.outcome, key=lambda name: self._share(name, actual[name]))
        shares = self._shares(name, actual[name])
        if not (shares > 1).any():
            return ""
        place = np.unravel_index(int(shares.argmax()), shares.shape)
        where = ", ".join(str(int(index)) for index in place)
        value, expected = actual[name][place], self.outcome[name][place]
        found = (
            f"{np.count_nonzero(shares > 1)} of {shares.size} elements of {name} are wrong; "
            f"{name}[{where}] is {value}, expected {expected}, "
        )
        if np.isfinite(shares[place]):
            return f"{found}{shares[place]:.3g} times the bound"
        is_exact = np.isfinite(value) and np.isfinite(expected)
        how = "and must be exact" if is_exact else "which no rounding explains"
        return f"{found}{how}: a race, a wrong index or uninitialised data"

    def _share(self, name: str, actual: NDArray[Any]) -> float:
        return float(self._shares(name, actual).max(initial=0.0))

    def _shares(self, name: str, actual: NDArray[Any]) -> NDArray[np.float64]:
        """Each element's error as a share of its bound."""
        expected = np.asarray(self.outcome[name], np.float64)
        if actual.shape != expected.shape:
            raise ValueError(f"{name} has shape {actual.shape}, expected {expected.shape}")
        got = actual.astype(np.float64)
        same = (got == expected) | (np.isnan(got) & np.isnan(expected))
        bound = np.broadcast_to(self.bounds.get(name, 0.0), expected.shape)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            shares = np.where(same, 0.0, abs(got - expected) / bound)
        return np.where(np.isnan(shares), np.inf, shares)


def expect(case: Case, dtype: np.dtype[Any] = SINGLE) -> Expected:
    """What a case's outcome should be in the arithmetic of ``dtype``.

    It follows from the operation's own reference. Arrays that the reference does not name stay as
    they were.
    """
    kind, given = case.kind, case.arguments
    arrays = {name: v for name, v in given.items() if isinstance(v, np.ndarray)}
    floats = {
        name: Tracked(v, dtype=dtype if v.dtype == SINGLE else DOUBLE)
        for name, v in arrays.items()
        if v.dtype.kind == "f"
    }
    outcome: Outcome = dict(arrays)
    bounds: dict[str, NDArray[Any]] = {}
    with np.errstate(all="ignore"):  # because some values are not finite
        for name, expected in kind.reference(**{**given, **floats}).items():
            if isinstance(expected, Tracked):
                outcome[name], bounds[name] = expected.value, expected.bound
            else:
                outcome[name], bounds[name] = np.asarray(expected), np.zeros(())
    # An array under two names was changed in place: it holds the result.
    for name, array in given.items():
        result = kind.gives[0] if name == "out" else name
        if array is not None and result in kind.gives:
            for other in (other for other, v in arrays.items() if v is array):
                outcome[other], bounds[other] = outcome[result], bounds[result]
    return Expected(outcome, bounds)
