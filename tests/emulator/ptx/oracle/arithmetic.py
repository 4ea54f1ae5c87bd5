"""Floating-point arithmetic that PTX defines to the last bit: exact, then rounded once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product as combinations

from emulator.ptx.oracle.expectations import AnyNan, Exactly, Expectation, Halves, float_result
from emulator.ptx.oracle.floats import (
    BF16,
    F16,
    F32,
    F64,
    Format,
    Number,
    decoded,
    negated,
    number,
    product,
    quotient,
    root,
    total,
)
from emulator.ptx.oracle.instruction import Instruction, one
from emulator.ptx.oracle.operands import floating, packed

Exact = Callable[..., Number]

# Of operands and the rounding, which decides the sign of some zeros.
EXACT: dict[str, Exact] = {
    "add": total,
    "sub": lambda x, y, rounding: total(x, negated(y), rounding),
    "mul": lambda x, y, _rounding: product(x, y),
    "fma": lambda x, y, z, rounding: total(product(x, y), z, rounding),
    "div": lambda x, y, _rounding: quotient(x, y),
    "rcp": lambda x, _rounding: quotient(number(1), x),
    "sqrt": lambda x, _rounding: root(x),
}
COUNT = {"add": 2, "sub": 2, "mul": 2, "fma": 3, "div": 2, "rcp": 1, "sqrt": 1}
ROUNDINGS = ("rn", "rz", "rm", "rp")


def computed(
    of: Format, operation: str, rounding: str, modifiers: Sequence[str], *operands: int
) -> Expectation:
    """One operation of the table, of bits."""
    ftz = "ftz" in modifiers
    numbers = [decoded(of, bits, ftz) for bits in operands]
    exact = EXACT[operation](*numbers, rounding or "rn")
    return float_result(of, exact, rounding or "rn", ftz, "sat" in modifiers, "relu" in modifiers)


def in_halves(function: Callable[..., Expectation]) -> Callable[..., Expectation]:
    """The same for both halves of packed operands."""

    def both(*operands: int) -> Expectation:
        low = function(*(bits & 0xFFFF for bits in operands))
        high = function(*(bits >> 16 for bits in operands))
        return Halves(exactly(low), exactly(high))

    return both


def exactly(result: Expectation | int) -> Expectation:
    return Exactly(result) if isinstance(result, int) else result


def spelled(*parts: str) -> str:
    return ".".join(part for part in parts if part)


def scalar_and_packed(
    of: Format, count: int, opcode: Callable[[str], str], function: Callable[..., Expectation]
) -> Iterator[Instruction]:
    """An instruction of a type of 16 bits, and the same of two of them in a register."""
    kind = floating(of)
    yield one(opcode(of.name), [kind] * count, 16, function)
    yield one(opcode(f"{of.name}x2"), [packed(kind)] * count, 32, in_halves(function))


def rounded_arithmetic() -> Iterator[Instruction]:
    """Single and double precision, in all four roundings."""
    for operation, rounding in combinations(COUNT, ("", *ROUNDINGS)):
        if not rounding and operation not in ("add", "sub", "mul"):
            continue
        saturates = operation in ("add", "sub", "mul", "fma")
        for ftz, sat in combinations(("", "ftz"), ("", "sat") if saturates else ("",)):
            yield one(
                spelled(operation, rounding, ftz, sat, "f32"),
                [floating(F32)] * COUNT[operation],
                32,
                partial(computed, F32, operation, rounding, (ftz, sat)),
            )
        yield one(
            spelled(operation, rounding, "f64"),
            [floating(F64)] * COUNT[operation],
            64,
            partial(computed, F64, operation, rounding, ()),
        )
    for of, rounding in combinations((F32, F64), ROUNDINGS):
        yield one(
            f"mad.{rounding}.{of.name}",
            [floating(of)] * 3,
            of.bits,
            partial(computed, of, "fma", rounding, ()),
        )


def half_arithmetic() -> Iterator[Instruction]:
    for operation, rounding in combinations(("add", "sub", "mul", "fma"), ("", "rn")):
        if operation == "fma" and not rounding:
            continue
        clamps = ("", "sat", "relu") if operation == "fma" else ("", "sat")
        for ftz, clamp in combinations(("", "ftz"), clamps):
            yield from scalar_and_packed(
                F16,
                COUNT[operation],
                partial(spelled, operation, rounding, ftz, clamp),
                partial(computed, F16, operation, rounding, (ftz, clamp)),
            )
        for clamp in ("", "relu") if operation == "fma" else ("",):
            yield from scalar_and_packed(
                BF16,
                COUNT[operation],
                partial(spelled, operation, rounding, clamp),
                partial(computed, BF16, operation, rounding, (clamp,)),
            )


def with_sign(of: Format, change: str, ftz: bool, bits: int) -> Expectation:
    """abs and neg."""
    if of.is_nan(bits):
        return AnyNan(of)
    if ftz and of.is_subnormal(bits):
        bits &= of.sign
    return Exactly(bits & ~of.sign if change == "abs" else bits ^ of.sign)


def signs() -> Iterator[Instruction]:
    for change in ("abs", "neg"):
        for ftz in ("", "ftz"):
            function = partial(with_sign, F32, change, bool(ftz))
            yield one(spelled(change, ftz, "f32"), [floating(F32)], 32, function)
            yield from scalar_and_packed(
                F16, 1, partial(spelled, change, ftz), partial(with_sign, F16, change, bool(ftz))
            )
        yield one(f"{change}.f64", [floating(F64)], 64, partial(with_sign, F64, change, False))
        yield from scalar_and_packed(
            BF16, 1, partial(spelled, change), partial(with_sign, BF16, change, False)
        )
    for of in (F32, F64):
        yield one(
            f"copysign.{of.name}",
            [floating(of)] * 2,
            of.bits,
            lambda a, b, of=of: (a & of.sign) | (b & ~of.sign),
        )


def order(of: Format, bits: int) -> int:
    """Sorts as the numbers do, and −0 before +0."""
    size = bits & ~of.sign
    return ~size if bits & of.sign else size


def extreme(of: Format, which: str, modifiers: Sequence[str], a: int, b: int) -> Expectation:
    """The smaller or larger operand, or the one that is a number, unless with .NaN."""
    if "ftz" in modifiers:
        a, b = (bits & of.sign if of.is_subnormal(bits) else bits for bits in (a, b))
    numbers = [bits for bits in (a, b) if not of.is_nan(bits)]
    if "NaN" in modifiers and len(numbers) < 2:
        return Exactly(of.nan)
    if not numbers:
        return AnyNan(of)
    sign = (a ^ b) & of.sign
    if "xorsign" in modifiers:
        numbers = [bits & ~of.sign for bits in numbers]
    pick = min if which == "min" else max
    result = pick(numbers, key=partial(order, of))
    return Exactly(result | sign if "xorsign" in modifiers else result)


def extremes() -> Iterator[Instruction]:
    for which, nan, xorsign in combinations(("min", "max"), ("", "NaN"), ("", "xorsign")):
        spelling = "xorsign.abs" if xorsign else ""
        for ftz in ("", "ftz"):
            modifiers = (ftz, nan, xorsign)
            yield one(
                spelled(which, ftz, nan, spelling, "f32"),
                [floating(F32)] * 2,
                32,
                partial(extreme, F32, which, modifiers),
            )
            yield from scalar_and_packed(
                F16,
                2,
                partial(spelled, which, ftz, nan, spelling),
                partial(extreme, F16, which, modifiers),
            )
        yield from scalar_and_packed(
            BF16,
            2,
            partial(spelled, which, nan, spelling),
            partial(extreme, BF16, which, (nan, xorsign)),
        )
    for which in ("min", "max"):
        yield one(f"{which}.f64", [floating(F64)] * 2, 64, partial(extreme, F64, which, ()))


FAMILIES = {
    "rounded arithmetic": rounded_arithmetic,
    "half-precision arithmetic": half_arithmetic,
    "signs": signs,
    "minimum and maximum": extremes,
}
