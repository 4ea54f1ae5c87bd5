"""mov of every type, vectors packed into a register and unpacked, constants, and guards."""

from __future__ import annotations

from collections.abc import Iterator

from emulator.ptx.oracle.instruction import Instruction, one
from emulator.ptx.oracle.integers import INTEGER_TYPES, fields, wrapped
from emulator.ptx.oracle.operands import PREDICATE, integer


def copies() -> Iterator[Instruction]:
    for name in (*INTEGER_TYPES, "f32", "f64"):
        bits = int(name[1:])
        yield one(f"mov.{name}", [integer(bits)], bits, lambda a: a)
    yield one("mov.pred", [PREDICATE], 1, lambda a: a)


def vectors() -> Iterator[Instruction]:
    """The first element of a vector is the lowest part of the register."""
    for whole, count in ((32, 2), (64, 2), (64, 4)):
        part = whole // count
        sources, targets = "abcf"[:count], "degh"[:count]
        listed = ", ".join(f"${letter}" for letter in sources)
        yield Instruction(
            f"mov.b{whole} $d, {{{listed}}};",
            dict.fromkeys(sources, integer(part)),
            {"d": whole},
            lambda *parts, part=part: sum(x << (part * i) for i, x in enumerate(parts)),
        )
        listed = ", ".join(f"${letter}" for letter in targets)
        yield Instruction(
            f"mov.b{whole} {{{listed}}}, $a;",
            {"a": integer(whole)},
            dict.fromkeys(targets, part),
            lambda a, part=part, count=count: tuple(fields("u", part, a, count)),
        )


def wide_vectors() -> Iterator[Instruction]:
    yield Instruction(
        "mov.b128 $x, {$a, $b}; mov.b128 $y, $x; mov.b128 {$d, $e}, $y;",
        dict.fromkeys("ab", integer(64)),
        {"d": 64, "e": 64},
        lambda a, b: (a, b),
        {"x": 128, "y": 128},
    )
    yield Instruction(
        "mov.b128 $x, {$a, $b}; st.global.b128 [$G], $x; ld.global.b128 $y, [$G];"
        " mov.b128 {$d, $e}, $y;",
        dict.fromkeys("ab", integer(64)),
        {"d": 64, "e": 64},
        lambda a, b: (a, b),
        {"x": 128, "y": 128},
    )


# Constants as they are written, and the bits that they stand for.
CONSTANTS = {
    "u16": {"65535": 0xFFFF, "0x1aB": 0x1AB},
    "s16": {"-1": 0xFFFF, "-32768": 0x8000},
    "u32": {"4294967295": 0xFFFFFFFF, "0xDEADBEEF": 0xDEADBEEF, "017": 15, "0b1011": 11},
    "s32": {"-5": 0xFFFFFFFB, "-2147483648": 0x80000000, "12U": 12},
    "u64": {"18446744073709551615": (1 << 64) - 1, "0x123456789ABCDEF0": 0x123456789ABCDEF0},
    "s64": {"-9223372036854775808": 1 << 63, "-1": (1 << 64) - 1},
    "b32": {"-2": 0xFFFFFFFE},
    "f32": {"0f3F800000": 0x3F800000, "0fFF800000": 0xFF800000, "0f7FC00001": 0x7FC00001,
            "0f00000001": 1, "1.5": 0x3FC00000, "-0.25": 0xBE800000},
    "f64": {"0d3FF0000000000000": 0x3FF0000000000000, "0dFFF8000000000001": 0xFFF8000000000001,
            "1e3": 0x408F400000000000},
}  # fmt: skip


def constants() -> Iterator[Instruction]:
    for name, values in CONSTANTS.items():
        bits = int(name[1:])
        for text, value in values.items():
            yield Instruction(f"mov.{name} $d, {text};", {}, {"d": bits}, lambda value=value: value)
    word = {"a": integer(32)}
    yield Instruction("add.s32 $d, $a, -5;", word, {"d": 32}, lambda a: wrapped(a - 5, 32))
    yield Instruction("sub.s32 $d, 7, $a;", word, {"d": 32}, lambda a: wrapped(7 - a, 32))
    yield Instruction("and.b32 $d, $a, 0xF0F0;", word, {"d": 32}, lambda a: a & 0xF0F0)
    yield Instruction("mov.b64 $d, {$a, -1};", word, {"d": 64}, lambda a: a | 0xFFFFFFFF << 32)
    yield Instruction("setp.gt.s32 $p, $a, -1;", word, {"p": 1}, lambda a: int(a < 1 << 31))
    yield Instruction(
        "selp.b32 $d, 3, -3, $a;",
        {"a": PREDICATE},
        {"d": 32},
        lambda a: 3 if a else wrapped(-3, 32),
    )


def guards() -> Iterator[Instruction]:
    """Lanes whose predicate is false keep what they had."""
    operands = {"a": integer(32), "b": integer(32), "c": PREDICATE}
    yield Instruction(
        "mov.b32 $d, $a; @$c add.u32 $d, $a, $b;",
        operands,
        {"d": 32},
        lambda a, b, c: wrapped(a + b, 32) if c else a,
    )
    yield Instruction(
        "mov.b32 $d, $a; @!$c xor.b32 $d, $a, $b;",
        operands,
        {"d": 32},
        lambda a, b, c: a if c else a ^ b,
    )
    yield Instruction(
        "mov.pred $p, $c; @$c setp.lt.u32 $p, $a, $b;",
        operands,
        {"p": 1},
        lambda a, b, c: int(a < b) if c else 0,
    )


FAMILIES = {
    "moves": copies,
    "vectors": vectors,
    "wide vectors": wide_vectors,
    "constants": constants,
    "guards": guards,
}
