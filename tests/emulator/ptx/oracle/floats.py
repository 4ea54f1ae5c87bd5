"""Floating-point numbers as exact fractions, and one function that rounds to every format.

Nothing here knows of floats of Python, NumPy or C: bits are taken apart to a sign and a fraction,
arithmetic is that of fractions, and `rounded` puts the result together again. So all formats and
roundings share a definition that can be read in a minute.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import isqrt


@dataclass(frozen=True)
class Format:
    """A binary format as in IEEE 754: a sign, an exponent, a fraction, from the top."""

    name: str
    bits: int
    fraction_bits: int

    @property
    def sign(self) -> int:
        return 1 << (self.bits - 1)

    @property
    def infinity(self) -> int:
        return self.sign - (1 << self.fraction_bits)

    @property
    def largest(self) -> int:
        return self.infinity - 1

    @property
    def nan(self) -> int:
        """The canonical one of PTX: all bits are set but the sign."""
        return self.sign - 1

    @property
    def smallest_normal(self) -> int:
        return 1 << self.fraction_bits

    @property
    def bias(self) -> int:
        return (1 << (self.bits - 2 - self.fraction_bits)) - 1

    @property
    def least_exponent(self) -> int:
        """Of a normal number."""
        return 1 - self.bias

    @property
    def one(self) -> int:
        return self.bias << self.fraction_bits

    def is_nan(self, bits: int) -> bool:
        return bits & ~self.sign > self.infinity

    def is_infinite(self, bits: int) -> bool:
        return bits & ~self.sign == self.infinity

    def is_subnormal(self, bits: int) -> bool:
        return 0 < bits & ~self.sign < self.smallest_normal


F16 = Format("f16", 16, 10)
BF16 = Format("bf16", 16, 7)
TF32 = Format("tf32", 19, 10)  # the upper bits of a register of 32
F32 = Format("f32", 32, 23)
F64 = Format("f64", 64, 52)
FORMATS = {of.name: of for of in (F16, BF16, F32, F64)}


@dataclass(frozen=True)
class Number:
    """A sign and a size, which is a fraction, INFINITE, or None in what is not a number."""

    negative: bool
    size: Fraction | str | None

    @property
    def value(self) -> Fraction:
        assert isinstance(self.size, Fraction)
        return -self.size if self.negative else self.size

    @property
    def is_nan(self) -> bool:
        return self.size is None

    @property
    def is_infinite(self) -> bool:
        return self.size is INFINITE

    @property
    def is_zero(self) -> bool:
        return self.size == 0


INFINITE = "infinite"
NAN = Number(False, None)
ZERO = Number(False, Fraction(0))


def number(value: Fraction | int) -> Number:
    return Number(value < 0, Fraction(abs(value)))


@lru_cache(maxsize=1 << 16)
def decoded(of: Format, bits: int, ftz: bool = False) -> Number:
    """What the bits stand for; with ftz, subnormal numbers stand for zero."""
    if of.is_nan(bits):
        return NAN
    negative = bool(bits & of.sign)
    if of.is_infinite(bits):
        return Number(negative, INFINITE)
    size = bits & ~of.sign
    if ftz and of.is_subnormal(bits):
        size = 0
    exponent = max(size >> of.fraction_bits, 1)
    significand = size - ((exponent - 1) << of.fraction_bits)
    return Number(negative, scaled(significand, exponent - of.bias - of.fraction_bits))


def scaled(integer: int, exponent: int) -> Fraction:
    """integer · 2^exponent."""
    return Fraction(integer << exponent) if exponent >= 0 else Fraction(integer, 1 << -exponent)


def exponent_of(size: Fraction) -> int:
    """The largest e with 2^e ≤ size, which is positive."""
    guess = size.numerator.bit_length() - size.denominator.bit_length()
    return guess if scaled(1, guess) <= size else guess - 1


def integral(size: Fraction, rounding: str, negative: bool) -> int:
    """A size rounded to an integer.

    Args:
        size: not negative.
        rounding: rn to nearest, ties to even; rna to nearest, ties away from zero; rz towards zero;
            rm towards −∞; rp towards +∞.
        negative: whether the number is, whose size this is.
    """
    below, rest = divmod(size.numerator, size.denominator)
    if rest == 0:
        return below
    twice = 2 * rest - size.denominator
    up = {
        "rn": twice > 0 or (twice == 0 and below % 2 == 1),
        "rna": twice >= 0,
        "rz": False,
        "rm": negative,
        "rp": not negative,
    }[rounding]
    return below + up


def rounded(of: Format, x: Number, rounding: str) -> int:
    """The bits of a number in a format, correctly rounded; NaN is the canonical one."""
    if x.is_nan:
        return of.nan
    sign = of.sign if x.negative else 0
    if x.is_infinite:
        return sign | of.infinity
    if x.is_zero:
        return sign
    exponent = max(exponent_of(x.size), of.least_exponent)
    significand = integral(x.size * scaled(1, of.fraction_bits - exponent), rounding, x.negative)
    # The leading bit of a normal number's significand counts as one in the exponent's field, and a
    # carry goes there by itself.
    bits = ((exponent - of.least_exponent) << of.fraction_bits) + significand
    if bits >= of.infinity:
        away = {"rz": False, "rm": x.negative, "rp": not x.negative}.get(rounding, True)
        bits = of.infinity if away else of.largest
    return sign | bits


def total(x: Number, y: Number, rounding: str) -> Number:
    """x + y; a sum of zero that is not one of two equal zeros is −0 if rounded down."""
    if x.is_nan or y.is_nan or (x.is_infinite and y.is_infinite and x.negative != y.negative):
        return NAN
    if x.is_infinite or y.is_infinite:
        return x if x.is_infinite else y
    exact = x.value + y.value
    if exact == 0:
        return Number(x.negative if x.negative == y.negative else rounding == "rm", exact)
    return number(exact)


def negated(x: Number) -> Number:
    return Number(not x.negative, x.size)


def product(x: Number, y: Number) -> Number:
    if x.is_nan or y.is_nan:
        return NAN
    negative = x.negative != y.negative
    if x.is_infinite or y.is_infinite:
        return NAN if x.is_zero or y.is_zero else Number(negative, INFINITE)
    return Number(negative, x.size * y.size)


def quotient(x: Number, y: Number) -> Number:
    if x.is_nan or y.is_nan or (x.is_zero and y.is_zero) or (x.is_infinite and y.is_infinite):
        return NAN
    negative = x.negative != y.negative
    if x.is_infinite or y.is_zero:
        return Number(negative, INFINITE)
    return Number(negative, Fraction(0) if y.is_infinite else x.size / y.size)


def root(x: Number) -> Number:
    """A number that every format here rounds as it would the square root of one of its numbers.

    The root is cut to so many bits that no number of a format, nor the middle of two, can lie
    between it and the cut one; half a bit more says that something was cut.
    """
    if x.is_nan or (x.negative and not x.is_zero):
        return NAN
    if x.is_infinite or x.is_zero:
        return x
    shift = 256  # of the square: at least 128 bits of the root are kept
    square = (x.size.numerator << shift) * x.size.denominator
    cut = isqrt(square)
    doubled = 2 * cut + (cut * cut != square)
    return number(Fraction(doubled, x.size.denominator << (shift // 2 + 1)))
