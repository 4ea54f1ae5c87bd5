"""A tensor core in exact fractions, as it has been measured: the oracle of mma.

Products and the accumulator are cut off below a common last place, added, and cut off to FP32.
gpucnn/emulator/include/tensor_core.h has the sources; this shares no code with it.
"""

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np

NAN = 0x7FFFFFFF


class Core(NamedTuple):
    """Of one architecture: bits below the largest exponent, terms of 16 bits at once, the floor."""

    bits: int
    terms: int
    floor: int


CORES = {
    70: Core(23, 4, -131),
    75: Core(24, 8, -132),
    80: Core(24, 8, -132),
    86: Core(24, 8, -132),
    89: Core(24, 8, -132),
    90: Core(25, 16, -133),
    100: Core(25, 16, -133),
    120: Core(25, 16, -133),
}
"""By compute capability."""
LEAST_EXPONENTS = {"fp16": -14, "bf16": -126, "tf32": -126}


def exact_product(core, kind, a, b, c):
    """The bits of c + a·b for a row a and a column b of floats, and a float c."""
    at_once = core.terms // 2 if kind == "tf32" else core.terms
    for start in range(0, len(a), at_once):
        stop = start + at_once
        c = _added(core, LEAST_EXPONENTS[kind], a[start:stop], b[start:stop], c)
    return NAN if math.isnan(c) else int(np.float32(c).view(np.uint32))


def _added(core, least, a, b, c):
    if not all(map(math.isfinite, (*a, *b, c))):
        infinite = {_infinite(x, y) for x, y in zip(a, b, strict=True)} | {_infinite(c, 1.0)}
        infinite.discard(0.0)
        if len(infinite) > 1 or any(map(math.isnan, infinite)):
            return math.nan
        return infinite.pop()
    terms = [(Fraction(c), _exponent(c, -126))] if c else []
    for x, y in zip(a, b, strict=True):
        if x and y:
            terms.append((Fraction(x) * Fraction(y), _exponent(x, least) + _exponent(y, least)))
    place = max([core.floor, *(exponent for _, exponent in terms)]) - core.bits
    return _cut_to_float(sum(_cut(value, place) for value, _ in terms))


def _infinite(x, y):
    """A product if it is not finite, otherwise 0; finite factors never make an infinite one."""
    return 0.0 if math.isfinite(x) and math.isfinite(y) else x * y


def _exponent(x, least):
    return max(math.frexp(x)[1] - 1, least)


def _cut(value, place):
    """Towards zero, to a multiple of 2^place."""
    unit = Fraction(2) ** place
    return math.trunc(value / unit) * unit


def _cut_to_float(value):
    if value == 0:
        return 0.0
    exponent = abs(value.numerator).bit_length() - value.denominator.bit_length()
    exponent -= abs(value) < Fraction(2) ** exponent
    kept = abs(_cut(value, max(exponent, -126) - 23))
    return math.copysign(math.inf if kept >= 2**128 else float(kept), value)
