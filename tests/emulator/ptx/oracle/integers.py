"""Integer arithmetic, in Python's integers, which never overflow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product as combinations

from emulator.ptx.oracle.instruction import Instruction, one
from emulator.ptx.oracle.operands import divisor, integer

WIDTHS = (16, 32, 64)
INTEGER_TYPES = [f"{kind}{bits}" for kind in "bus" for bits in WIDTHS]


def wrapped(value: int, bits: int) -> int:
    return value & ((1 << bits) - 1)


def signed(value: int, bits: int) -> int:
    value = wrapped(value, bits)
    return value - (1 << bits) if value >> (bits - 1) else value


def read(kind: str, bits: int, value: int) -> int:
    """The number that bits stand for, of a signed (s) or unsigned (u) type."""
    return signed(value, bits) if kind == "s" else wrapped(value, bits)


def clamped(value: int, bits: int) -> int:
    """Saturated to the signed type of so many bits."""
    limit = 1 << (bits - 1)
    return wrapped(max(-limit, min(value, limit - 1)), bits)


def truncated(dividend: int, by: int) -> int:
    """The quotient, rounded towards zero as machines do, and not down as Python does."""
    size = abs(dividend) // abs(by)
    return -size if (dividend < 0) != (by < 0) else size


def typed() -> Iterator[tuple[str, int, str]]:
    for bits in WIDTHS:
        for kind in "us":
            yield kind, bits, f"{kind}{bits}"


def arithmetic() -> Iterator[Instruction]:
    """Sums, differences, quotients and what else has operands and a result of one type."""
    for kind, bits, name in typed():
        any_integer = integer(bits)

        def binary(opcode, function, second=any_integer, kind=kind, bits=bits, first=any_integer):
            return one(
                opcode,
                [first, second],
                bits,
                lambda a, b: wrapped(function(read(kind, bits, a), read(kind, bits, b)), bits),
            )

        yield binary(f"add.{name}", lambda x, y: x + y)
        yield binary(f"sub.{name}", lambda x, y: x - y)
        yield binary(f"min.{name}", min)
        yield binary(f"max.{name}", max)
        yield binary(f"div.{name}", truncated, divisor(bits))
        yield binary(f"rem.{name}", lambda x, y: x - y * truncated(x, y), divisor(bits))
        yield one(
            f"sad.{name}",
            [any_integer] * 3,
            bits,
            lambda a, b, c, kind=kind, bits=bits: wrapped(
                c + abs(read(kind, bits, a) - read(kind, bits, b)), bits
            ),
        )
        if kind == "s":
            yield one(
                f"abs.{name}",
                [any_integer],
                bits,
                lambda a, bits=bits: wrapped(abs(signed(a, bits)), bits),
            )
            yield one(f"neg.{name}", [any_integer], bits, lambda a, bits=bits: wrapped(-a, bits))
    word = integer(32)
    yield one(
        "add.sat.s32", [word, word], 32, lambda a, b: clamped(signed(a, 32) + signed(b, 32), 32)
    )
    yield one(
        "sub.sat.s32", [word, word], 32, lambda a, b: clamped(signed(a, 32) - signed(b, 32), 32)
    )


def part_of(product: int, mode: str, bits: int) -> int:
    """What mul.lo, mul.hi or mul.wide keeps of a product."""
    return {"lo": wrapped(product, bits), "hi": product >> bits, "wide": product}[mode]


def products() -> Iterator[Instruction]:
    for kind, bits, name in typed():
        for mode in ("lo", "hi", "wide") if bits < 64 else ("lo", "hi"):
            width = 2 * bits if mode == "wide" else bits

            def product(a, b, kind=kind, bits=bits, mode=mode):
                return part_of(read(kind, bits, a) * read(kind, bits, b), mode, bits)

            factor = integer(bits)
            yield one(
                f"mul.{mode}.{name}",
                [factor] * 2,
                width,
                lambda a, b, product=product, width=width: wrapped(product(a, b), width),
            )
            yield one(
                f"mad.{mode}.{name}",
                [factor, factor, integer(width)],
                width,
                lambda a, b, c, product=product, width=width: wrapped(product(a, b) + c, width),
            )
    word = integer(32)
    yield one(
        "mad.hi.sat.s32",
        [word] * 3,
        32,
        lambda a, b, c: clamped((signed(a, 32) * signed(b, 32) >> 32) + signed(c, 32), 32),
    )
    for kind in "us":
        for mode, drop in (("lo", 0), ("hi", 16)):

            def product24(a, b, kind=kind, drop=drop):
                return read(kind, 24, a) * read(kind, 24, b) >> drop

            yield one(
                f"mul24.{mode}.{kind}32",
                [word] * 2,
                32,
                lambda a, b, product24=product24: wrapped(product24(a, b), 32),
            )
            yield one(
                f"mad24.{mode}.{kind}32",
                [word] * 3,
                32,
                lambda a, b, c, product24=product24: wrapped(product24(a, b) + c, 32),
            )
    yield one(
        "mad24.hi.sat.s32",
        [word] * 3,
        32,
        lambda a, b, c: clamped(
            signed(signed(a, 24) * signed(b, 24) >> 16, 32) + signed(c, 32), 32
        ),
    )


def fields(kind: str, bits: int, value: int, count: int) -> list[int]:
    """A register taken apart to numbers of so many bits, the lowest first."""
    return [read(kind, bits, value >> (bits * i)) for i in range(count)]


def dot_products() -> Iterator[Instruction]:
    word = integer(32)
    for first in "us":
        for second in "us":
            types = f"{first}32.{second}32"

            def bytes_of(a, b, c, first=first, second=second):
                pairs = zip(fields(first, 8, a, 4), fields(second, 8, b, 4), strict=True)
                return wrapped(c + sum(x * y for x, y in pairs), 32)

            yield one(f"dp4a.{types}", [word] * 3, 32, bytes_of)
            for mode, start in (("lo", 0), ("hi", 2)):

                def halves_of(a, b, c, first=first, second=second, start=start):
                    others = fields(second, 8, b, 4)[start : start + 2]
                    pairs = zip(fields(first, 16, a, 2), others, strict=True)
                    return wrapped(c + sum(x * y for x, y in pairs), 32)

                yield one(f"dp2a.{mode}.{types}", [word] * 3, 32, halves_of)


def chain(text, kinds, bits, expected):
    """Two instructions joined by the carry, then the carry out as a result of its own."""
    letters = "abcfgh"[: len(kinds)]
    return Instruction(
        text, dict(zip(letters, kinds, strict=True)), {"d": bits, "e": bits, "o": bits}, expected
    )


def carries() -> Iterator[Instruction]:
    """Sums and differences of twice the width, in two steps with the carry between them."""
    for kind in "us":
        for bits in (32, 64):
            name, number = f"{kind}{bits}", integer(bits)

            def split(value, bits=bits):
                return tuple(wrapped(value >> (bits * i), bits) for i in range(3))

            # a low, b high of the first operand, c and f of the second
            yield chain(
                f"add.cc.{name} $d, $a, $c; addc.cc.{name} $e, $b, $f; addc.{name} $o, 0, 0;",
                [number] * 4,
                bits,
                lambda a, b, c, f, bits=bits, split=split: split((a | b << bits) + (c | f << bits)),
            )
            yield chain(
                f"sub.cc.{name} $d, $a, $c; subc.cc.{name} $e, $b, $f; subc.{name} $o, 0, 0;",
                [number] * 4,
                bits,
                lambda a, b, c, f, bits=bits, split=split: split((a | b << bits) - (c | f << bits)),
            )
            for low, high in (("lo", "hi"), ("hi", "lo")):

                def fused(a, b, c, f, kind=kind, bits=bits, low=low, high=high, split=split):
                    product = read(kind, bits, a) * read(kind, bits, b)
                    parts = [wrapped(part_of(product, mode, bits), bits) for mode in (low, high)]
                    return split((parts[0] | parts[1] << bits) + (c | f << bits))

                yield chain(
                    f"mad.{low}.cc.{name} $d, $a, $b, $c; madc.{high}.cc.{name} $e, $a, $b, $f;"
                    f" addc.{name} $o, 0, 0;",
                    [number] * 4,
                    bits,
                    fused,
                )
                yield Instruction(
                    f"add.cc.{name} $d, $a, $c; madc.{low}.{name} $e, $a, $b, $f;",
                    dict.fromkeys("abcf", number),
                    {"d": bits, "e": bits},
                    lambda a, b, c, f, kind=kind, bits=bits, low=low: (
                        wrapped(a + c, bits),
                        wrapped(
                            part_of(read(kind, bits, a) * read(kind, bits, b), low, bits)
                            + f
                            + (a + c >> bits),
                            bits,
                        ),
                    ),
                )


def packed_arithmetic() -> Iterator[Instruction]:
    """Two integers of 16 bits in a register; and results that are not negative."""
    word = integer(32)
    operations = {"add": lambda x, y: x + y, "min": min, "max": max}
    for kind, (name, function) in combinations("us", operations.items()):
        yield one(f"{name}.{kind}16x2", [word] * 2, 32, partial(in_halves, function, kind))
    for name in ("min", "max"):
        extreme = partial(not_negative, operations[name])
        yield one(f"{name}.relu.s16x2", [word] * 2, 32, partial(in_halves, extreme, "s"))
        yield one(
            f"{name}.relu.s32",
            [word] * 2,
            32,
            lambda a, b, extreme=extreme: extreme(signed(a, 32), signed(b, 32)),
        )


def not_negative(function: Callable[..., int], x: int, y: int) -> int:
    return max(0, function(x, y))


def in_halves(function: Callable[..., int], kind: str, a: int, b: int) -> int:
    pairs = zip(fields(kind, 16, a, 2), fields(kind, 16, b, 2), strict=True)
    low, high = (wrapped(function(x, y), 16) for x, y in pairs)
    return low | high << 16


FAMILIES = {
    "packed arithmetic": packed_arithmetic,
    "arithmetic": arithmetic,
    "products": products,
    "dot products": dot_products,
    "carries": carries,
}
