"""cvt between all types, with every rounding, and with saturation where it means something."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import product as combinations

from emulator.ptx.oracle.arithmetic import ROUNDINGS, spelled
from emulator.ptx.oracle.expectations import AnyNan, Exactly, Expectation, Halves, float_result
from emulator.ptx.oracle.floats import (
    BF16,
    F16,
    F32,
    F64,
    FORMATS,
    TF32,
    Format,
    Number,
    decoded,
    integral,
    number,
)
from emulator.ptx.oracle.instruction import Instruction, one
from emulator.ptx.oracle.integers import read, wrapped
from emulator.ptx.oracle.operands import Kind, floating, integer, near_integers, padded

INTEGERS = [(kind, bits) for kind in "us" for bits in (8, 16, 32, 64)]
INTEGRAL = {"rni": "rn", "rzi": "rz", "rmi": "rm", "rpi": "rp"}


def register(bits: int) -> int:
    """Registers have 16 bits at least."""
    return max(bits, 16)


def limits(kind: str, bits: int) -> tuple[int, int]:
    return (0, (1 << bits) - 1) if kind == "u" else (-1 << (bits - 1), (1 << (bits - 1)) - 1)


def held(kind: str, bits: int, width: int, value: int) -> int:
    """A value of a type in a register that may be wider: with its sign, or zeros, above it."""
    return wrapped(read(kind, bits, value), width)


def source(bits: int) -> Kind:
    """An integer of 8 bits is read from the lower half of a register."""
    return padded(integer(8), 16) if bits == 8 else integer(bits)


def between_integers() -> Iterator[Instruction]:
    for (to, to_bits), (of, of_bits) in combinations(INTEGERS, INTEGERS):
        names = f"{to}{to_bits}.{of}{of_bits}"
        low, high = limits(to, to_bits)
        for width in {register(to_bits), max(register(to_bits), 32)}:
            yield one(
                f"cvt.{names}",
                [source(of_bits)],
                width,
                lambda a, to=to, to_bits=to_bits, of=of, of_bits=of_bits, width=width: held(
                    to, to_bits, width, read(of, of_bits, a)
                ),
            )
        least, most = limits(of, of_bits)
        if least < low or most > high:
            yield one(
                f"cvt.sat.{names}",
                [source(of_bits)],
                register(to_bits),
                lambda a, to=to, to_bits=to_bits, of=of, of_bits=of_bits, low=low, high=high: held(
                    to, to_bits, register(to_bits), max(low, min(read(of, of_bits, a), high))
                ),
            )


def from_integers() -> Iterator[Instruction]:
    for (of, of_bits), to in combinations(INTEGERS, FORMATS.values()):
        if to is BF16 and of_bits == 8:
            continue
        for rounding, sat in combinations(ROUNDINGS, ("", "sat")):
            if sat and to is BF16:
                continue
            yield one(
                spelled("cvt", rounding, sat, to.name, f"{of}{of_bits}"),
                [source(of_bits)],
                to.bits,
                lambda a, of=of, of_bits=of_bits, to=to, rounding=rounding, sat=sat: float_result(
                    to, number(read(of, of_bits, a)), rounding, sat=bool(sat)
                ),
            )


def to_integer(of: Format, rounding: str, ftz: bool, to: str, to_bits: int, a: int) -> Expectation:
    """Rounded, then clamped to the type's limits; NaN is zero in the narrower types."""
    x = decoded(of, a, ftz)
    low, high = limits(to, to_bits)
    if x.is_nan:
        value = 0 if of is not F64 and to_bits < 64 else -1 << (to_bits - 1)
    elif x.is_infinite:
        value = low if x.negative else high
    else:
        size = integral(x.size, INTEGRAL[rounding], x.negative)
        value = max(low, min(-size if x.negative else size, high))
    return Exactly(held(to, to_bits, register(to_bits), value))


def to_integers() -> Iterator[Instruction]:
    for of, (to, to_bits), rounding in combinations(FORMATS.values(), INTEGERS, INTEGRAL):
        if of is BF16 and to_bits == 8:
            continue
        for ftz, sat in combinations(("", "ftz") if of is F32 else ("",), ("", "sat")):
            if sat and (of is BF16 or rounding != "rzi"):
                continue
            yield one(
                spelled("cvt", rounding, ftz, sat, f"{to}{to_bits}", of.name),
                [near_integers(of)],
                register(to_bits),
                partial(to_integer, of, rounding, bool(ftz), to, to_bits),
            )


def between_floats() -> Iterator[Instruction]:
    """Narrower formats need a rounding, wider ones have none."""
    for to, of in combinations(FORMATS.values(), FORMATS.values()):
        if to is of:
            continue
        widens = to.bits > of.bits
        if widens:
            roundings: tuple[str, ...] = ("",)
        else:
            roundings = ("rn", "rz") if (to, of) == (BF16, F32) else ROUNDINGS
        for rounding, ftz, sat in combinations(roundings, ("", "ftz"), ("", "sat")):
            if (ftz and F32 not in (to, of)) or (BF16 in (to, of) and (ftz or sat)):
                continue
            yield one(
                spelled("cvt", rounding, ftz, sat, to.name, of.name),
                [floating(of)],
                to.bits,
                partial(converted, to, of, rounding or "rn", bool(ftz), bool(sat), False),
            )
    for to, rounding in combinations((F16, BF16), ("rn", "rz")):
        yield one(
            f"cvt.{rounding}.relu.{to.name}.f32",
            [floating(F32)],
            16,
            partial(converted, to, F32, rounding, False, False, True),
        )


def converted(
    to: Format, of: Format, rounding: str, ftz: bool, sat: bool, relu: bool, a: int
) -> Expectation:
    """ftz concerns operands and results of single precision only."""
    x = decoded(of, a, ftz and of is F32)
    return float_result(to, x, rounding, ftz and to is F32, sat, relu)


def to_integral_floats() -> Iterator[Instruction]:
    """Rounded to an integer, in the same format."""
    for of, rounding in combinations(FORMATS.values(), INTEGRAL):
        for ftz, sat in combinations(("", "ftz"), ("", "sat")):
            if (ftz and of is not F32) or (sat and of is BF16):
                continue
            yield one(
                spelled("cvt", rounding, ftz, sat, of.name, of.name),
                [near_integers(of)],
                of.bits,
                partial(to_integral, of, rounding, bool(ftz), bool(sat)),
            )
    for ftz, sat in (("", ""), ("ftz", ""), ("", "sat"), ("ftz", "sat")):
        yield one(
            spelled("cvt", ftz, sat, "f32.f32"),
            [floating(F32)],
            32,
            partial(converted, F32, F32, "rn", bool(ftz), bool(sat), False),
        )
    yield one(
        "cvt.sat.f64.f64",
        [floating(F64)],
        64,
        partial(converted, F64, F64, "rn", False, True, False),
    )


def to_integral(of: Format, rounding: str, ftz: bool, sat: bool, a: int) -> Expectation:
    x = decoded(of, a, ftz)
    if not x.is_nan and not x.is_infinite:
        size = integral(x.size, INTEGRAL[rounding], x.negative)
        x = Number(x.negative, number(size).size)  # what is rounded to zero keeps its sign
    return float_result(of, x, "rn", ftz, sat)


def packs() -> Iterator[Instruction]:
    """Two numbers of single precision to one register; the first one becomes its upper half."""
    for to, rounding, relu in combinations((F16, BF16), ("rn", "rz"), ("", "relu")):

        def both(a, b, to=to, rounding=rounding, relu=bool(relu)):
            high, low = (converted(to, F32, rounding, False, False, relu, x) for x in (a, b))
            return Halves(low, high)

        yield one(
            spelled("cvt", rounding, relu, f"{to.name}x2", "f32"), [floating(F32)] * 2, 32, both
        )


def to_tf32() -> Iterator[Instruction]:
    """TF32 is a float of 32 bits without its last 13, which are zero here."""
    for rounding, relu in (("rna", ""), ("rn", ""), ("rz", ""), ("rn", "relu"), ("rz", "relu")):
        yield one(
            spelled("cvt", rounding, relu, "tf32.f32"),
            [floating(F32)],
            32,
            partial(shortened, rounding, bool(relu)),
        )


def shortened(rounding: str, relu: bool, a: int) -> Expectation:
    x = decoded(F32, a)
    if x.is_nan:
        return AnyNan(F32)
    result = float_result(TF32, x, rounding, relu=relu)
    assert isinstance(result, Exactly)
    return Exactly(*(bits << 13 for bits in result.values))


FAMILIES = {
    "integers to integers": between_integers,
    "integers to floats": from_integers,
    "floats to integers": to_integers,
    "floats to floats": between_floats,
    "floats to whole numbers": to_integral_floats,
    "floats to packed halves": packs,
    "floats to TF32": to_tf32,
}
