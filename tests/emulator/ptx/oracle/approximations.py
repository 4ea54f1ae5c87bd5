"""Approximate functions: the special results that PTX lists, and else its bounds of the error.

Exact values come from Python's `math` in double precision, whose own errors are below 2⁻⁵², far
below the bounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from random import Random

from emulator.ptx.oracle.arithmetic import scalar_and_packed
from emulator.ptx.oracle.expectations import (
    AnyNan,
    Anything,
    Between,
    Exactly,
    Expectation,
    spacing,
)
from emulator.ptx.oracle.floats import (
    BF16,
    F16,
    F32,
    F64,
    Format,
    Number,
    decoded,
    number,
    quotient,
    root,
    rounded,
)
from emulator.ptx.oracle.instruction import Instruction, one
from emulator.ptx.oracle.operands import Kind, floating


def within(of: Format, exact: Fraction, error: Fraction, ftz: bool = False) -> Expectation:
    """A number that far from the exact one, and half a unit more where that is subnormal."""
    if abs(exact) < decoded(of, of.smallest_normal).value:
        error += decoded(of, 1).value / 2
    return Between(of, exact - error, exact + error, ftz)


def near(of: Format, exact: Number, units: int, ftz: bool) -> Expectation:
    """As many units in the last place from the exact result, or the special one."""
    if exact.is_nan:
        return AnyNan(of)
    if exact.is_infinite or exact.is_zero:
        return Exactly(rounded(of, exact, "rn"))
    return within(of, exact.value, units * spacing(of, exact), ftz)


def relatively(of: Format, exact: Number, bound: float, ftz: bool) -> Expectation:
    if exact.is_nan:
        return AnyNan(of)
    if exact.is_infinite or exact.is_zero:
        return Exactly(rounded(of, exact, "rn"))
    return within(of, exact.value, exact.size * Fraction(bound), ftz)


def reciprocal(ftz: bool, a: int) -> Expectation:
    return near(F32, quotient(number(1), decoded(F32, a, ftz)), 1, ftz)


def full_quotient(ftz: bool, a: int, b: int) -> Expectation:
    return near(F32, quotient(decoded(F32, a, ftz), decoded(F32, b, ftz)), 2, ftz)


def fast_quotient(ftz: bool, a: int, b: int) -> Expectation:
    """Twice as far off as a reciprocal may be, and for huge divisors zero.

    For divisors below the smallest normal number PTX says nothing.
    """
    x, y = decoded(F32, a, ftz), decoded(F32, b, ftz)
    if x.is_nan or y.is_nan:
        return AnyNan(F32)
    if not y.is_infinite and y.size > 1 << 126:
        return AnyNan(F32) if x.is_infinite else Exactly((a ^ b) & F32.sign)
    if F32.is_subnormal(b) and not ftz:
        return Anything()
    return near(F32, quotient(x, y), 2, ftz)


def square_root(ftz: bool, a: int) -> Expectation:
    return relatively(F32, root(decoded(F32, a, ftz)), 2**-23, ftz)


def reciprocal_root(of: Format, bound: float, ftz: bool, a: int) -> Expectation:
    x = decoded(of, a, ftz)
    if x.is_zero:
        return Exactly(a & of.sign | of.infinity)
    return relatively(of, quotient(number(1), root(x)), bound, ftz)


@dataclass(frozen=True)
class UpperWord:
    """A result of double precision whose lower word is zero."""

    result: Expectation

    def accepts(self, bits: int) -> bool:
        return bits & 0xFFFFFFFF == 0 and self.result.accepts(bits)


def gross(is_root: bool, a: int) -> Expectation:
    """A reciprocal, of the root if so, of the upper word of a number, and to an upper word.

    PTX states no bound: what is cut off of the operand and of the result is below one unit in the
    last of 20 bits each.
    """
    upper = a >> 32 << 32
    if F64.is_nan(upper):
        return Exactly(0x7FFFFFFF_00000000)
    x = decoded(F64, upper, ftz=True)
    if is_root and not x.is_zero:
        x = root(x)
    return UpperWord(relatively(F64, quotient(number(1), x), 2**-19, ftz=True))


def sine_or_cosine(function: Callable[[float], float], ftz: bool, a: int) -> Expectation:
    x = decoded(F32, a, ftz)
    if x.is_nan or x.is_infinite:
        return AnyNan(F32)
    if x.is_zero:
        return Exactly(a & F32.sign if function is math.sin else F32.one)
    if x.size > Fraction(100 * math.pi):
        return Between(F32, Fraction(-1), Fraction(1))
    error = 2**-20.5 if x.size <= Fraction(2 * math.pi) else 2**-14.7
    return within(F32, Fraction(function(float(x.value))), Fraction(error), ftz)


def logarithm(ftz: bool, a: int) -> Expectation:
    x = decoded(F32, a, ftz)
    if x.is_zero:
        return Exactly(F32.sign | F32.infinity)
    if x.is_nan or x.negative:
        return AnyNan(F32)
    if x.is_infinite:
        return Exactly(F32.infinity)
    exact = Fraction(math.log2(x.size))
    is_near_one = Fraction(1, 2) < x.size < 2
    return within(F32, exact, Fraction(2**-22) * (1 if is_near_one else abs(exact)), ftz)


def power_of_two(of: Format, bound: float | None, ftz: bool, a: int) -> Expectation:
    """Within a relative error, or else within two units of the rounded result."""
    x = decoded(of, a, ftz)
    if x.is_nan:
        return AnyNan(of)
    if x.is_infinite:
        return Exactly(0 if x.negative else of.infinity)
    if x.size > 1000:
        # Beyond the range of every format but double precision.
        exact = number(Fraction(1, 2) ** 1000 if x.negative else Fraction(2) ** 1000)
    else:
        exact = number(Fraction(math.exp2(float(x.value))))
    if bound is not None:
        return relatively(of, exact, bound, ftz)
    unit = spacing(of, exact)
    return Between(of, exact.size - unit * 5 / 2, exact.size + unit * 5 / 2, ftz)


def hyperbolic_tangent(of: Format, bound: float, is_relative: bool, a: int) -> Expectation:
    x = decoded(of, a)
    if x.is_nan:
        return AnyNan(of)
    if x.is_infinite:
        return Exactly(a & of.sign | of.one)
    if x.is_zero:
        return Exactly(a)
    exact = Fraction(math.tanh(float(x.value)))
    if not exact:  # of a number below all of double precision
        exact = x.value
    return within(of, exact, Fraction(bound) * (abs(exact) if is_relative else 1))


def angle() -> Kind:
    """Mostly an angle for whose sine there is a bound."""
    other = floating(F32)

    def draw(random: Random, _before: object) -> int:
        if random.random() < 0.3:
            return other.draw(random, [])
        size = random.choice([1, 2 * math.pi, 100 * math.pi])
        return rounded(F32, number(Fraction(random.uniform(-size, size))), "rn")

    return Kind(32, draw, other.special)


def exponent(of: Format) -> Kind:
    """Mostly an exponent of two whose power is a number of the format."""
    other = floating(of)
    reach = of.bias + of.fraction_bits + 3

    def draw(random: Random, _before: object) -> int:
        if random.random() < 0.3:
            return other.draw(random, [])
        value = random.choice([random.uniform(-reach, reach), random.randint(-reach, reach)])
        return rounded(of, number(Fraction(value)), "rn")

    return Kind(of.bits, draw, other.special)


def single_precision() -> Iterator[Instruction]:
    any_float = floating(F32)
    for modifier in ("", ".ftz"):
        ftz = bool(modifier)
        yield one(f"rcp.approx{modifier}.f32", [any_float], 32, partial(reciprocal, ftz))
        yield one(f"div.approx{modifier}.f32", [any_float] * 2, 32, partial(fast_quotient, ftz))
        yield one(f"div.full{modifier}.f32", [any_float] * 2, 32, partial(full_quotient, ftz))
        yield one(f"sqrt.approx{modifier}.f32", [any_float], 32, partial(square_root, ftz))
        yield one(
            f"rsqrt.approx{modifier}.f32",
            [any_float],
            32,
            partial(reciprocal_root, F32, 2**-22.9, ftz),
        )
        for name, function in (("sin", math.sin), ("cos", math.cos)):
            yield one(
                f"{name}.approx{modifier}.f32",
                [angle()],
                32,
                partial(sine_or_cosine, function, ftz),
            )
        yield one(f"lg2.approx{modifier}.f32", [any_float], 32, partial(logarithm, ftz))
        yield one(
            f"ex2.approx{modifier}.f32", [exponent(F32)], 32, partial(power_of_two, F32, None, ftz)
        )
    yield one("tanh.approx.f32", [any_float], 32, partial(hyperbolic_tangent, F32, 2**-11, True))


def other_precisions() -> Iterator[Instruction]:
    """Of rsqrt in double precision, PTX states no error; CUDA's rsqrt has one unit."""
    yield one("rsqrt.approx.f64", [floating(F64)], 64, partial(reciprocal_root, F64, 2**-52, False))
    yield one("rcp.approx.ftz.f64", [floating(F64)], 64, partial(gross, False))
    yield one("rsqrt.approx.ftz.f64", [floating(F64)], 64, partial(gross, True))
    yield from scalar_and_packed(
        F16,
        1,
        lambda name: f"tanh.approx.{name}",
        partial(hyperbolic_tangent, F16, 2**-10.987, False),
    )
    yield from scalar_and_packed(
        BF16,
        1,
        lambda name: f"tanh.approx.{name}",
        partial(hyperbolic_tangent, BF16, 2**-8, False),
    )
    yield from scalar_and_packed(
        F16, 1, lambda name: f"ex2.approx.{name}", partial(power_of_two, F16, 2**-9.9, False)
    )
    yield from scalar_and_packed(
        BF16, 1, lambda name: f"ex2.approx.ftz.{name}", partial(power_of_two, BF16, 2**-7, True)
    )


FAMILIES = {
    "approximations": single_precision,
    "approximations of other precisions": other_precisions,
}
