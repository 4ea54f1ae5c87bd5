"""What a result may be: certain bits, any NaN, or any number of an interval."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from emulator.ptx.oracle.floats import Format, Number, decoded, rounded, scaled


class Expectation(Protocol):
    """A set of bits, of which an instruction may give one."""

    def accepts(self, bits: int) -> bool: ...


class Exactly:
    """One of a few values; mostly there is but one."""

    def __init__(self, *values: int) -> None:
        self.values = values

    def accepts(self, bits: int) -> bool:
        return bits in self.values

    def __repr__(self) -> str:
        return " or ".join(f"{value:#x}" for value in self.values)


@dataclass(frozen=True)
class Anything:
    """PTX leaves the result open; that there is one without an error is all that is asked."""

    def accepts(self, bits: int) -> bool:
        return True


@dataclass(frozen=True)
class AnyNan:
    """PTX leaves open which NaN."""

    of: Format

    def accepts(self, bits: int) -> bool:
        return self.of.is_nan(bits)


@dataclass(frozen=True)
class Halves:
    """Two results in one register."""

    low: Expectation
    high: Expectation

    def accepts(self, bits: int) -> bool:
        return self.low.accepts(bits & 0xFFFF) and self.high.accepts(bits >> 16)


@dataclass(frozen=True)
class Between:
    """A number from low to high; infinite if an end lies beyond the largest finite one.

    A zero has the sign of the ends, if these have the same. If `ftz`, a result that may be
    subnormal may be zero.
    """

    of: Format
    low: Fraction
    high: Fraction
    ftz: bool = False

    def accepts(self, bits: int) -> bool:
        x = decoded(self.of, bits)
        if x.is_nan:
            return False
        if x.is_infinite:
            largest = decoded(self.of, self.of.largest).value
            return self.low < -largest if x.negative else self.high > largest
        if x.is_zero and (self.high < 0 if not x.negative else self.low > 0):
            return False
        if self.ftz and x.is_zero:
            smallest = decoded(self.of, self.of.smallest_normal).value
            return self.low < smallest and self.high > -smallest
        if self.ftz and self.of.is_subnormal(bits):
            return False
        return self.low <= x.value <= self.high

    def __repr__(self) -> str:
        return f"{self.of.name} between {float(self.low)!r} and {float(self.high)!r}"


def spacing(of: Format, exact: Number) -> Fraction:
    """The distance of the format's numbers next to a number: a unit in its last place."""
    bits = min(rounded(of, Number(False, exact.size), "rz"), of.largest)
    exponent = max(bits >> of.fraction_bits, 1)
    return scaled(1, exponent - of.bias - of.fraction_bits)


def float_result(
    of: Format,
    exact: Number,
    rounding: str = "rn",
    ftz: bool = False,
    sat: bool = False,
    relu: bool = False,
) -> Expectation:
    """What an instruction gives whose exact result is known.

    Where PTX says no more than that negative numbers, or results below the normal ones, become
    zero, the other reading is accepted, too: of the sign of −0, and of what is rounded up to the
    smallest normal number.
    """
    if exact.is_nan:
        if sat:
            return Exactly(0)
        return Exactly(of.nan) if relu else AnyNan(of)
    bits = rounded(of, exact, rounding)
    results = {bits}
    sign = bits & of.sign
    if ftz and of.is_subnormal(bits):
        results = {sign}
    elif ftz and bits & ~of.sign == of.smallest_normal:
        smallest = decoded(of, of.smallest_normal).size
        if exact.size < smallest:
            results.add(sign)
    if sat or relu:
        results = {0 if one & of.sign else one for one in results} | results & {of.sign}
    if sat:
        results = {min(one, of.one) if one != of.sign else one for one in results}
    return Exactly(*results)
