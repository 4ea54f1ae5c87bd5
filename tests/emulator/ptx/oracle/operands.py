"""Random operands, with what goes wrong most easily among them.

A kind of operand has a width and draws the bits of one, given those drawn before for the same
instruction and lane, so that equal numbers, neighbours and opposites are frequent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from emulator.ptx.oracle.floats import Format, number, rounded


@dataclass(frozen=True)
class Kind:
    """Bits of a register, and how they are drawn from those of operands before.

    Those that are `special` are tried in any case.
    """

    bits: int
    draw: Callable[[Random, Sequence[int]], int]
    special: tuple[int, ...] = ()


def integer(bits: int) -> Kind:
    """Limits of the type, short and long numbers, and neighbours of another operand."""
    mask = (1 << bits) - 1
    top = 1 << (bits - 1)
    special = [0, 1, 2, 3, mask, mask - 1, top, top - 1, top + 1, mask // 3, mask // 3 * 2]

    def draw(random: Random, before: Sequence[int]) -> int:
        how = random.random()
        if how < 0.3:
            return random.choice(special)
        if how < 0.45 and before:
            other = before[-1] & mask
            return random.choice([other, other + 1, other - 1, -other, ~other]) & mask
        value = random.getrandbits(random.randint(1, bits))
        return (-value if random.random() < 0.3 else value) & mask

    return Kind(bits, draw, tuple(special))


def divisor(bits: int) -> Kind:
    """An integer that is not zero."""
    any_integer = integer(bits)

    def draw(random: Random, before: Sequence[int]) -> int:
        return any_integer.draw(random, before) or 1

    return Kind(bits, draw)


def choice(bits: int, values: Sequence[int]) -> Kind:
    """One of a few values, or now and then any."""

    def draw(random: Random, _before: Sequence[int]) -> int:
        return random.choice(values) if random.random() < 0.8 else random.getrandbits(bits)

    return Kind(bits, draw, tuple(dict.fromkeys(values)))


def below(bits: int, limit: int) -> Kind:
    return Kind(bits, lambda random, _before: random.randrange(limit))


def shift(width: int) -> Kind:
    """How far a register of that width is shifted: also by its width and by far more."""
    return choice(32, [*range(width + 2), 2 * width, 255, 256, 256 + 5, 1 << 31, (1 << 32) - 1])


PREDICATE = Kind(1, lambda random, _before: random.getrandbits(1))


def floating(of: Format) -> Kind:
    """Zeros, infinities, NaN, subnormal numbers and limits, equal and opposite numbers.

    Most of the others have sizes near one, so that sums cancel and products do not overflow.
    """
    halfway = of.one + (1 << (of.fraction_bits - 1))
    special = [0, 1, 2, of.smallest_normal - 1, of.smallest_normal, of.smallest_normal + 1, of.one]
    special += [of.one + 1, of.one - 1, halfway, of.largest, of.largest - 1, of.infinity, of.nan]
    special += [of.infinity + 1, of.infinity | 1 << (of.fraction_bits - 1)]

    def draw(random: Random, before: Sequence[int]) -> int:
        how = random.random()
        sign = random.choice([0, of.sign])
        if how < 0.25:
            return sign | random.choice(special)
        if how < 0.4 and before:
            size = before[-1] & (of.sign - 1)
            return sign | min(max(size + random.choice([-1, 0, 0, 1]), 0), of.nan)
        fraction = random.getrandbits(of.fraction_bits)
        if random.random() < 0.4:  # few bits: exact results, and ties
            fraction &= -1 << random.randrange(of.fraction_bits)
        reach = min(of.fraction_bits + 4, of.bias - 1)
        exponent = of.bias + random.randint(-reach, reach)
        if how < 0.85:
            return sign | exponent << of.fraction_bits | fraction
        if how < 0.92:
            return sign | fraction
        return random.getrandbits(of.bits)

    return Kind(of.bits, draw, tuple(sign | size for size in special for sign in (0, of.sign)))


def near_integers(of: Format) -> Kind:
    """For conversions: integers and halves, the limits of integer types, and their neighbours."""
    other = floating(of)

    def draw(random: Random, before: Sequence[int]) -> int:
        if random.random() < 0.3:
            return other.draw(random, before)
        limit = random.choice([7, 8, 15, 16, 31, 32, 63, 64])
        doubled = random.choice([random.randint(-9, 9), random.getrandbits(limit), 2 << limit])
        doubled += random.randint(-4, 4)
        bits = rounded(of, number(doubled), "rn")
        if bits & ~of.sign and not of.is_infinite(bits):
            bits -= of.smallest_normal if bits & ~of.sign >= 2 * of.smallest_normal else 0  # halved
            bits += random.choice([0, 0, 0, 1, -1]) if bits & ~of.sign else 0
        return bits ^ random.choice([0, of.sign])

    return Kind(of.bits, draw, other.special)


def packed(kind: Kind) -> Kind:
    """Two of a kind in one register."""
    half = (1 << kind.bits) - 1

    def draw(random: Random, before: Sequence[int]) -> int:
        low = kind.draw(random, [one & half for one in before])
        return low | kind.draw(random, [one >> kind.bits for one in before]) << kind.bits

    pairs = zip(kind.special, reversed(kind.special), strict=True)
    return Kind(2 * kind.bits, draw, tuple(low | high << kind.bits for low, high in pairs))


def padded(kind: Kind, bits: int) -> Kind:
    """A register of more bits than the kind; what is above must not count."""

    def draw(random: Random, before: Sequence[int]) -> int:
        extra = random.getrandbits(bits - kind.bits) << kind.bits
        return extra | kind.draw(random, before)

    return Kind(bits, draw)
