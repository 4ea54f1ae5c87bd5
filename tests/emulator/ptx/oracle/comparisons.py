"""set, setp, selp, slct and testp, for every type, operator and Boolean operator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product as combinations

from emulator.ptx.oracle.floats import BF16, F16, F32, F64, FORMATS, Format, decoded
from emulator.ptx.oracle.instruction import Instruction, one
from emulator.ptx.oracle.integers import INTEGER_TYPES, read, signed
from emulator.ptx.oracle.operands import PREDICATE, Kind, floating, integer, packed

ORDERED: dict[str, Callable[..., bool]] = {
    "eq": lambda x, y: x == y,
    "ne": lambda x, y: x != y,
    "lt": lambda x, y: x < y,
    "le": lambda x, y: x <= y,
    "gt": lambda x, y: x > y,
    "ge": lambda x, y: x >= y,
}
UNSIGNED = {"lo": "lt", "ls": "le", "hi": "gt", "hs": "ge"}
UNORDERED = {f"{name}u": name for name in ORDERED}
BOOLEAN: dict[str, Callable[[bool, int], int]] = {
    "": lambda t, _c: int(t),
    "and": lambda t, c: t & c,
    "or": lambda t, c: t | c,
    "xor": lambda t, c: t ^ c,
}
FLOAT_OPERATORS = (*ORDERED, *UNORDERED, "num", "nan")


def compares_floats(of: Format, operator: str, ftz: bool, a: int, b: int) -> bool:
    """Ordered comparisons with NaN are false, unordered ones true; −0 equals +0."""
    either_nan = of.is_nan(a) or of.is_nan(b)
    if operator in ("num", "nan"):
        return either_nan == (operator == "nan")
    if either_nan:
        return operator in UNORDERED
    numbers = [decoded(of, bits, ftz) for bits in (a, b)]
    # Infinities are beyond all fractions.
    far = 1 << 2000
    values = [(-far if x.negative else far) if x.is_infinite else x.value for x in numbers]
    return ORDERED[UNORDERED.get(operator, operator)](*values)


def compares_integers(kind: str, bits: int, operator: str, a: int, b: int) -> bool:
    return ORDERED[UNSIGNED.get(operator, operator)](read(kind, bits, a), read(kind, bits, b))


def comparable() -> Iterator[tuple[str, str, Kind, Callable[[int, int], bool]]]:
    """Each operator with modifier, type, kind of operand, and what it says of two operands."""
    for name in INTEGER_TYPES:
        kind, bits = name[0], int(name[1:])
        operators = {"b": ("eq", "ne"), "u": (*ORDERED, *UNSIGNED), "s": tuple(ORDERED)}[kind]
        for operator in operators:
            yield operator, name, integer(bits), partial(compares_integers, kind, bits, operator)
    for name, of in FORMATS.items():
        for ftz in ("", ".ftz") if of in (F16, F32) else ("",):
            for operator in FLOAT_OPERATORS:
                yield (
                    operator,
                    f"{ftz[1:]}.{name}" if ftz else name,
                    floating(of),
                    partial(compares_floats, of, operator, bool(ftz)),
                )


def predicates() -> Iterator[Instruction]:
    for (operator, name, kind, compares), boolean in combinations(comparable(), BOOLEAN):
        if not boolean:
            yield Instruction(
                f"setp.{operator}.{name} $p, $a, $b;",
                {"a": kind, "b": kind},
                {"p": 1},
                lambda a, b, compares=compares: int(compares(a, b)),
            )
            continue
        ordered = operator, boolean, name
        # With a second result, of the negated comparison, and a negated predicate.
        scalar_pair = not name.endswith("f16")
        yield Instruction(
            f"setp.{'.'.join(ordered)} $p{'|$q' if scalar_pair else ''}, $a, $b, !$c;",
            {"a": kind, "b": kind, "c": PREDICATE},
            {"p": 1, "q": 1} if scalar_pair else {"p": 1},
            partial(with_boolean, compares, boolean, scalar_pair),
        )


def with_boolean(
    compares: Callable[[int, int], bool], boolean: str, is_pair: bool, a: int, b: int, c: int
) -> tuple[int, ...]:
    combine, holds = BOOLEAN[boolean], compares(a, b)
    both = combine(holds, 1 - c), combine(not holds, 1 - c)
    return both if is_pair else both[:1]


def packed_predicates() -> Iterator[Instruction]:
    """Two halves give two predicates."""
    for of, operator in combinations((F16, BF16), FLOAT_OPERATORS):
        for ftz in ("", ".ftz") if of is F16 else ("",):
            compares = partial(compares_floats, of, operator, bool(ftz))
            yield Instruction(
                f"setp.{operator}{ftz}.{of.name}x2 $p|$q, $a, $b;",
                dict.fromkeys("ab", packed(floating(of))),
                {"p": 1, "q": 1},
                lambda a, b, compares=compares: (
                    int(compares(a & 0xFFFF, b & 0xFFFF)),
                    int(compares(a >> 16, b >> 16)),
                ),
            )


def sets() -> Iterator[Instruction]:
    """Comparisons whose result is a number: all bits set, or 1.0 in a type of floats."""
    results = {"u32": (32, 0xFFFFFFFF), "s32": (32, 0xFFFFFFFF), "f32": (32, F32.one)}
    halves = {"u16": (16, 0xFFFF), "s16": (16, 0xFFFF)}
    for operator, name, kind, compares in comparable():
        if "bf16" in name:
            targets = {k: v for k, v in results.items() if k != "f32"} | halves
            targets |= {"bf16": (16, BF16.one)}
        elif "f16" in name:
            targets = {k: v for k, v in results.items() if k != "f32"} | halves
            targets |= {"f16": (16, F16.one)}
        else:
            targets = results
        ftz, _, source = name.rpartition(".")
        for target, (width, true) in targets.items():
            opcode = ".".join(part for part in ("set", operator, ftz, target, source) if part)
            yield one(
                opcode,
                [kind] * 2,
                width,
                lambda a, b, compares=compares, true=true: true if compares(a, b) else 0,
            )
        for boolean in ("and", "or", "xor"):
            opcode = ".".join(
                part for part in ("set", operator, boolean, ftz, "u32", source) if part
            )
            yield one(
                opcode,
                [kind, kind, PREDICATE],
                32,
                lambda a, b, c, compares=compares, boolean=boolean: (
                    0xFFFFFFFF if BOOLEAN[boolean](compares(a, b), c) else 0
                ),
            )


def selections() -> Iterator[Instruction]:
    for name in (*INTEGER_TYPES, "f32", "f64"):
        bits = int(name[1:])
        kind = integer(bits)
        yield one(f"selp.{name}", [kind, kind, PREDICATE], bits, lambda a, b, c: a if c else b)
        yield one(
            f"slct.{name}.s32",
            [kind, kind, integer(32)],
            bits,
            lambda a, b, c: a if signed(c, 32) >= 0 else b,
        )
        for ftz in ("", "ftz."):
            yield one(
                f"slct.{ftz}{name}.f32",
                [kind, kind, floating(F32)],
                bits,
                lambda a, b, c, ftz=ftz: a if compares_floats(F32, "ge", bool(ftz), c, 0) else b,
            )


def properties() -> Iterator[Instruction]:
    """Zeros count as normal."""
    for of in (F32, F64):
        tests: dict[str, Callable[[int], bool]] = {
            "finite": lambda a, of=of: not of.is_nan(a) and not of.is_infinite(a),
            "infinite": lambda a, of=of: of.is_infinite(a),
            "number": lambda a, of=of: not of.is_nan(a),
            "notanumber": lambda a, of=of: of.is_nan(a),
            "normal": lambda a, of=of: (
                not (of.is_nan(a) or of.is_infinite(a) or of.is_subnormal(a))
            ),
            "subnormal": lambda a, of=of: of.is_subnormal(a),
        }
        for name, holds in tests.items():
            yield one(
                f"testp.{name}.{of.name}", [floating(of)], 1, lambda a, holds=holds: int(holds(a))
            )


FAMILIES = {
    "predicates": predicates,
    "packed predicates": packed_predicates,
    "sets": sets,
    "selections": selections,
    "properties of floats": properties,
}
