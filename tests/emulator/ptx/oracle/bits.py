"""Logic, shifts, and whatever else treats a register as a row of bits."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from emulator.ptx.oracle.instruction import Instruction, one
from emulator.ptx.oracle.integers import fields, read, signed, wrapped
from emulator.ptx.oracle.operands import PREDICATE, Kind, below, choice, integer, shift

ALL = 0xFFFFFFFF
TABLES = (0x00, 0x01, 0x80, 0x96, 0xE8, 0xCA, 0xAC, 0xD8, 0xB8, 0x1E, 0x78, 0x6A, 0x3C, 0xF8, 0xFF)


def logic() -> Iterator[Instruction]:
    for pattern in (PREDICATE, integer(16), integer(32), integer(64)):
        width = pattern.bits
        name = "pred" if width == 1 else f"b{width}"
        yield one(f"and.{name}", [pattern] * 2, width, lambda a, b: a & b)
        yield one(f"or.{name}", [pattern] * 2, width, lambda a, b: a | b)
        yield one(f"xor.{name}", [pattern] * 2, width, lambda a, b: a ^ b)
        yield one(f"not.{name}", [pattern], width, lambda a, width=width: wrapped(~a, width))
        if width > 1:
            yield one(f"cnot.{name}", [choice(width, [0, 0, 1])], width, lambda a: int(a == 0))
    for table in TABLES:
        yield Instruction(
            f"lop3.b32 $d, $a, $b, $c, {table:#x};",
            dict.fromkeys("abc", integer(32)),
            {"d": 32},
            partial(looked_up, table),
        )


def looked_up(table: int, a: int, b: int, c: int) -> int:
    """Each bit of the result is that bit of the table whose number the operands' bits spell."""
    numbers = [(a >> i & 1) << 2 | (b >> i & 1) << 1 | (c >> i & 1) for i in range(32)]
    return sum((table >> number & 1) << i for i, number in enumerate(numbers))


def shifts() -> Iterator[Instruction]:
    """A shift by the width or more gives what is shifted in, as if it were done bit by bit."""
    for bits in (16, 32, 64):
        by = shift(bits)
        yield one(
            f"shl.b{bits}",
            [integer(bits), by],
            bits,
            lambda a, b, bits=bits: wrapped(a << min(b, bits), bits),
        )
        for kind in "bus":
            yield one(
                f"shr.{kind}{bits}",
                [integer(bits), by],
                bits,
                lambda a, b, bits=bits, kind=kind: wrapped(
                    read(kind, bits, a) >> min(b, bits), bits
                ),
            )
    for direction in "lr":
        for mode in ("clamp", "wrap"):
            yield one(
                f"shf.{direction}.{mode}.b32",
                [integer(32), integer(32), shift(32)],
                32,
                partial(funnel, direction, mode),
            )


def funnel(direction: str, mode: str, a: int, b: int, c: int) -> int:
    """The upper word of b:a shifted to the left, or the lower word of it shifted to the right."""
    by = min(c, 32) if mode == "clamp" else c % 32
    both = b << 32 | a
    return wrapped(both >> by if direction == "r" else both << by >> 32, 32)


# Where bit fields begin, and how long they are; what is above 255, PTX rules out.
PLACES = [0, 1, 7, 8, 15, 16, 30, 31, 32, 33, 40, 62, 63, 64, 65, 255]
POSITION = Kind(32, choice(8, PLACES).draw, tuple(PLACES))


def bit_fields() -> Iterator[Instruction]:
    for bits in (32, 64):
        for kind in "us":
            yield one(
                f"bfe.{kind}{bits}",
                [integer(bits), POSITION, POSITION],
                bits,
                partial(extracted, kind, bits),
            )
        yield one(
            f"bfi.b{bits}",
            [integer(bits), integer(bits), POSITION, POSITION],
            bits,
            partial(inserted, bits),
        )
    for mode in ("clamp", "wrap"):
        for kind in "us":
            yield one(
                f"szext.{mode}.{kind}32",
                [integer(32), shift(32)],
                32,
                partial(extended, mode, kind),
            )
        yield one(f"bmsk.{mode}.b32", [shift(32), shift(32)], 32, partial(mask_of, mode))


def extracted(kind: str, bits: int, a: int, b: int, c: int) -> int:
    """A field of c bits from bit b.

    A signed one is extended by its own highest bit, or by a's if it reaches beyond a.
    """
    if c == 0:
        return 0
    # Bits beyond the highest are copies of the sign, as Python has them of a signed number.
    field = (signed(a, bits) if kind == "s" else a) >> b
    if kind == "s" and b + c > bits:
        return wrapped(field, bits)
    return wrapped(read(kind, min(c, bits), field), bits)


def inserted(bits: int, a: int, b: int, c: int, d: int) -> int:
    field = ((1 << d) - 1) << c
    return wrapped((b & ~field) | (a << c & field), bits)


def extended(mode: str, kind: str, a: int, b: int) -> int:
    if mode == "clamp" and b >= 32:
        return a
    length = b % 32
    return wrapped(read(kind, length, a), 32) if length else 0


def mask_of(mode: str, a: int, b: int) -> int:
    """As many ones as b says, from bit a."""
    if mode == "clamp":
        return 0 if a >= 32 else wrapped(((1 << min(b, 32)) - 1) << a, 32)
    return wrapped(((1 << b % 32) - 1) << a % 32, 32)


def counts() -> Iterator[Instruction]:
    for bits in (32, 64):
        pattern = integer(bits)
        yield one(f"popc.b{bits}", [pattern], 32, lambda a: bin(a).count("1"))
        yield one(f"clz.b{bits}", [pattern], 32, lambda a, bits=bits: bits - a.bit_length())
        yield one(
            f"brev.b{bits}",
            [pattern],
            bits,
            lambda a, bits=bits: int(f"{a:0{bits}b}"[::-1], 2),
        )
        for kind in "us":
            yield one(f"bfind.{kind}{bits}", [pattern], 32, partial(found, kind, bits, False))
            yield one(
                f"bfind.shiftamt.{kind}{bits}", [pattern], 32, partial(found, kind, bits, True)
            )
    near = choice(32, [0, 1, 2, 3, 31, ALL, ALL - 1, ALL - 2])
    yield one("fns.b32", [integer(32), below(32, 32), near], 32, nth_set)


def found(kind: str, bits: int, is_distance: bool, a: int) -> int:
    """The highest bit that is not a copy of the sign, or its distance from the top."""
    number = read(kind, bits, a)
    place = (number if number >= 0 else ~number).bit_length() - 1
    if place < 0:
        return ALL
    return bits - 1 - place if is_distance else place


def nth_set(mask: int, base: int, offset: int) -> int:
    count = signed(offset, 32)
    if count == 0:
        return base if mask >> base & 1 else ALL
    places = range(base, 32) if count > 0 else range(base, -1, -1)
    ones = [place for place in places if mask >> place & 1]
    return ones[abs(count) - 1] if abs(count) <= len(ones) else ALL


# Which of the bytes 0 to 7 of b:a comes to each byte of the result, the highest first, for the
# lowest two bits of c.
PERMUTATIONS = {
    "f4e": ("3210", "4321", "5432", "6543"),
    "b4e": ("5670", "6701", "7012", "0123"),
    "rc8": ("0000", "1111", "2222", "3333"),
    "ecl": ("3210", "3211", "3222", "3333"),
    "ecr": ("0000", "1110", "2210", "3210"),
    "rc16": ("1010", "3232", "1010", "3232"),
}


def permutations() -> Iterator[Instruction]:
    word = integer(32)
    selector = choice(32, [0x3210, 0x7654, 0x5410, 0x7632, 0x0123, 0xFEDC, 0xBA98, 0x8888, 0x4440])
    yield one("prmt.b32", [word, word, selector], 32, permuted)
    for mode, rows in PERMUTATIONS.items():
        yield one(
            f"prmt.b32.{mode}",
            [word, word, word],
            32,
            lambda a, b, c, rows=rows: chosen(a, b, [int(digit) for digit in rows[c % 4]]),
        )


def chosen(a: int, b: int, places: list[int]) -> int:
    both = fields("u", 8, b << 32 | a, 8)
    return int.from_bytes([both[place] for place in places], "big")


def permuted(a: int, b: int, c: int) -> int:
    """Each nibble of c names a byte; its highest bit replaces the byte by copies of its sign."""
    result = 0
    for i in range(4):
        nibble = c >> (4 * i) & 0xF
        byte = chosen(a, b, [nibble & 7])
        if nibble & 8:
            byte = 0xFF if byte & 0x80 else 0
        result |= byte << (8 * i)
    return result


FAMILIES = {
    "logic": logic,
    "shifts": shifts,
    "bit fields": bit_fields,
    "counts of bits": counts,
    "permutations": permutations,
}
