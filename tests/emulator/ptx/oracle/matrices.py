"""mma.sync and ldmatrix: which element a lane holds, and how tensor cores add.

A fragment is described by the place of each element that a lane holds, as PTX's tables have them:
g is the lane divided by 4, t the rest. Matrices of small integers show that all of them are right,
since every sum is exact then. What sums of other numbers are is not documented by NVIDIA; `cut_off`
and `nearest` are the two that the executor says it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from random import Random

from emulator.ptx.oracle.expectations import AnyNan, Exactly, Expectation, Halves
from emulator.ptx.oracle.floats import (
    BF16,
    F16,
    F32,
    TF32,
    Format,
    Number,
    decoded,
    integral,
    number,
    product,
    rounded,
    scaled,
    total,
)
from emulator.ptx.oracle.instruction import GROUP, Collective, Operands

Place = tuple[int, int]
Matrix = dict[Place, int]
ROWS, COLUMNS = 16, 8


@dataclass(frozen=True)
class Shape:
    """A product: D (16, 8) = A (16, depth) · B (depth, 8) + C."""

    of: Format
    depth: int
    accumulator: Format = F32

    @property
    def opcode(self) -> str:
        operand, sum_of = self.of.name, self.accumulator.name
        return f"mma.sync.aligned.m16n8k{self.depth}.row.col.{sum_of}.{operand}.{operand}.{sum_of}"

    @property
    def per_register(self) -> int:
        return 1 if self.of is TF32 else 2


SHAPES = (
    Shape(TF32, 4),
    Shape(TF32, 8),
    Shape(F16, 8),
    Shape(F16, 16),
    Shape(BF16, 8),
    Shape(BF16, 16),
    Shape(F16, 8, F16),
    Shape(F16, 16, F16),
)


def places_of_a(shape: Shape, g: int, t: int) -> list[Place]:
    """The elements of A that a lane holds, in the order of its registers, low halves first."""
    if shape.of is TF32:
        return [(g + 8 * below, t + k) for k in range(0, shape.depth, 4) for below in (0, 1)]
    return [
        (g + 8 * below, 2 * t + k + half)
        for k in range(0, shape.depth, 8)
        for below in (0, 1)
        for half in (0, 1)
    ]


def places_of_b(shape: Shape, g: int, t: int) -> list[Place]:
    if shape.of is TF32:
        return [(t + k, g) for k in range(0, shape.depth, 4)]
    return [(2 * t + k + half, g) for k in range(0, shape.depth, 8) for half in (0, 1)]


def places_of_sums(g: int, t: int) -> list[Place]:
    """Of C and D; in half precision two share a register."""
    return [(g + 8 * below, 2 * t + right) for below in (0, 1) for right in (0, 1)]


def packed(elements: list[int], bits: int) -> list[int]:
    """Registers of 32 bits from elements of 16 or 32."""
    if bits == 32:
        return elements
    return [low | high << 16 for low, high in list(pairwise(elements))[::2]]


def register_element(of: Format, bits: int, random: Random) -> int:
    """TF32 is the upper part of a float, whose rest must not count."""
    return bits << 13 | random.getrandbits(13) if of is TF32 else bits


@dataclass(frozen=True)
class Term:
    """A product of two elements, with the sum of their exponents.

    That is one less than the exponent of the product if their significands multiply to two or more.
    """

    x: Number
    exponent: int


def exponent_in(of: Format, bits: int) -> int:
    """Of a number of a format; subnormal ones have the least."""
    return max((bits & ~of.sign) >> of.fraction_bits, 1) - of.bias


def term(of: Format, a: int, b: int) -> Term:
    return Term(product(decoded(of, a), decoded(of, b)), exponent_in(of, a) + exponent_in(of, b))


Addition = Callable[[Format, int, list[Term]], Expectation]
"""Of the format of the accumulator, its bits, and the terms."""


@dataclass(frozen=True)
class Product:
    """Random matrices for a shape, and what the registers of the result must be."""

    shape: Shape
    element: Callable[[Format, Random], int]
    add: Addition

    def draw(self, random: Random) -> list[Operands]:
        shape = self.shape
        a = self.drawn(shape.of, ROWS, shape.depth, random)
        b = self.drawn(shape.of, shape.depth, COLUMNS, random)
        c = self.drawn(shape.accumulator, ROWS, COLUMNS, random)
        lanes = []
        for lane in range(GROUP):
            g, t = divmod(lane, 4)
            registers: list[int] = []
            for matrix, places, of in (
                (a, places_of_a(shape, g, t), shape.of),
                (b, places_of_b(shape, g, t), shape.of),
                (c, places_of_sums(g, t), shape.accumulator),
            ):
                elements = [register_element(of, matrix[place], random) for place in places]
                registers += packed(elements, 16 if of.bits == 16 else 32)
            lanes.append(tuple(registers))
        return lanes

    def drawn(self, of: Format, rows: int, columns: int, random: Random) -> Matrix:
        return {(i, j): self.element(of, random) for i in range(rows) for j in range(columns)}

    def expected(self, lanes: list[Operands]) -> list[object]:
        shape = self.shape
        a, b, c = self.matrices(lanes)
        sums = {}
        for i in range(ROWS):
            for j in range(COLUMNS):
                terms = [term(shape.of, a[i, k], b[k, j]) for k in range(shape.depth)]
                sums[i, j] = self.add(shape.accumulator, c[i, j], terms)
        results: list[object] = []
        for lane in range(GROUP):
            own = [sums[place] for place in places_of_sums(*divmod(lane, 4))]
            if shape.accumulator is F16:
                own = [Halves(low, high) for low, high in list(pairwise(own))[::2]]
            results.append(tuple(own))
        return results

    def matrices(self, lanes: list[Operands]) -> tuple[Matrix, Matrix, Matrix]:
        """Put together again from the registers of all lanes."""
        shape = self.shape
        matrices: tuple[Matrix, Matrix, Matrix] = ({}, {}, {})
        for lane, registers in enumerate(lanes):
            g, t = divmod(lane, 4)
            elements: list[int] = []
            counts = self.counts
            for register in registers[: counts[0] + counts[1]]:
                if shape.of is TF32:
                    elements.append(register >> 13)
                else:
                    elements += [register & 0xFFFF, register >> 16]
            for register in registers[counts[0] + counts[1] :]:
                if shape.accumulator is F16:
                    elements += [register & 0xFFFF, register >> 16]
                else:
                    elements.append(register)
            places = (places_of_a(shape, g, t), places_of_b(shape, g, t), places_of_sums(g, t))
            for matrix, own in zip(matrices, places, strict=True):
                for place in own:
                    matrix[place] = elements.pop(0)
        return matrices

    @property
    def counts(self) -> tuple[int, int, int]:
        """Registers of A, B and C."""
        a = self.shape.depth // 2 // self.shape.per_register
        return a, a // 2, 2 if self.shape.accumulator is F16 else 4

    def instruction(self) -> Collective:
        a, b, c = self.counts
        sources = "abcfghijklmn"[: a + b + c]
        targets = "uvwx"[:c]

        def listed(letters: str) -> str:
            return "{" + ", ".join(f"${letter}" for letter in letters) + "}"

        operands = [sources[:a], sources[a : a + b], sources[a + b :]]
        return Collective(
            f"{self.shape.opcode} {', '.join(map(listed, [targets, *operands]))};",
            dict.fromkeys(sources, 32),
            dict.fromkeys(targets, 32),
            self.draw,
            self.expected,
        )


# --- Elements


def small_integer(of: Format, random: Random) -> int:
    return rounded(of, number(random.choice([0, 0, 1, -1, 2, -2, 3, -3])), "rn")


def any_size(of: Format, random: Random) -> int:
    """A number within some powers of two of one, so that terms are cut off in every way.

    In half precision there are subnormal numbers, too. Those of other formats would be lost.
    """
    fraction, sign = random.getrandbits(of.fraction_bits), random.choice([0, of.sign])
    if of is F16 and random.random() < 0.1:
        return sign | fraction
    exponent = of.bias + random.randint(-7, 7)
    return sign | exponent << of.fraction_bits | fraction if random.random() < 0.9 else sign


def with_special(of: Format, random: Random) -> int:
    if random.random() < 0.97:
        return small_integer(of, random)
    return random.choice([of.infinity, of.sign | of.infinity, of.nan])


# --- Sums


def special_sum(of: Format, accumulator: Number, terms: list[Term]) -> Expectation | None:
    """NaN and infinities, if there are any."""
    addends = [accumulator, *(each.x for each in terms)]
    signs = {x.negative for x in addends if x.is_infinite}
    if any(x.is_nan for x in addends) or len(signs) == 2:
        return AnyNan(of)
    return Exactly((of.sign if True in signs else 0) | of.infinity) if signs else None


def with_any_zero(of: Format, x: Number) -> Expectation:
    """A number rounded to nearest; the sign of zero is left open."""
    bits = rounded(of, x, "rn")
    return Exactly(0, of.sign) if x.is_zero else Exactly(bits)


def exact_sum(of: Format, accumulator: int, terms: list[Term]) -> Expectation:
    """For sums that are numbers of the format."""
    start = decoded(of, accumulator)
    special = special_sum(of, start, terms)
    if special:
        return special
    exact = sum((each.x.value for each in terms), start.value)
    assert decoded(of, rounded(of, number(exact), "rn")).value == exact
    return with_any_zero(of, number(exact))


def nearest(of: Format, accumulator: int, terms: list[Term]) -> Expectation:
    """Each term is added in order, and each sum rounded to nearest."""
    sum_of = decoded(of, accumulator)
    for each in terms:
        sum_of = decoded(F32, rounded(F32, total(sum_of, each.x, "rn"), "rn"))
    return with_any_zero(of, sum_of)


def cut_off(
    at_once: int, extra_bits: int, of: Format, accumulator: int, terms: list[Term]
) -> Expectation:
    """Several terms and the accumulator are cut off to multiples of one unit, and so is their sum.

    The unit is the last bit of a float with the largest exponent among them, or some bits below it.
    A sum is cut off to single precision each time, and rounded to half precision at the end.
    """
    sum_of, exponent = decoded(of, accumulator), exponent_in(of, accumulator)
    for start in range(0, len(terms), at_once):
        addends = [Term(sum_of, exponent), *terms[start : start + at_once]]
        exponents = [each.exponent for each in addends if not each.x.is_zero]
        if not exponents:
            continue
        unit = scaled(1, max(exponents) - F32.fraction_bits - extra_bits)
        units = [integral(each.x.size / unit, "rz", False) for each in addends]
        signs = [-1 if each.x.negative else 1 for each in addends]
        exact = sum(sign * size for sign, size in zip(signs, units, strict=True)) * unit
        bits = rounded(F32, number(exact), "rz")
        sum_of, exponent = decoded(F32, bits), exponent_in(F32, bits)
    return with_any_zero(of, sum_of)


def small_products() -> Iterator[Collective]:
    for shape in SHAPES:
        yield Product(shape, small_integer, exact_sum).instruction()


def special_products() -> Iterator[Collective]:
    for shape in SHAPES:
        yield Product(shape, with_special, exact_sum).instruction()


def rounded_products(
    add: Callable[[Shape], Addition],
) -> Iterator[Collective]:
    for shape in SHAPES:
        yield Product(shape, any_size, add(shape)).instruction()


# --- ldmatrix: operands a and b, 16 bytes that the lane writes to its row; o, the row's place


def drawn_rows(random: Random) -> list[Operands]:
    order = random.sample(range(GROUP), GROUP)
    return [(random.getrandbits(64), random.getrandbits(64), order[lane]) for lane in range(GROUP)]


def loaded(count: int, is_transposed: bool, lanes: list[Operands]) -> list[object]:
    """Lane 8i + r gives the address of row r of matrix i, and each lane gets two neighbours."""
    rows = [[a >> 16 * i & 0xFFFF for a in (lane[0], lane[1]) for i in range(4)] for lane in lanes]
    results: list[object] = []
    for lane in range(GROUP):
        g, t = divmod(lane, 4)
        registers = []
        for matrix in range(count):
            of_matrix = [rows[lanes[8 * matrix + row][2]] for row in range(8)]
            if is_transposed:
                low, high = of_matrix[2 * t][g], of_matrix[2 * t + 1][g]
            else:
                low, high = of_matrix[g][2 * t], of_matrix[g][2 * t + 1]
            registers.append(low | high << 16)
        results.append(tuple(registers))
    return results


def loads() -> Iterator[Collective]:
    """Every lane writes a row of its own; the rows are read in any order."""
    for count in (1, 2, 4):
        for modifier in ("", ".trans"):
            targets = "uvwx"[:count]
            listed = ", ".join(f"${letter}" for letter in targets)
            yield Collective(
                "st.shared.v2.b64 [$S], {$a, $b}; bar.warp.sync 0xffffffff;"
                " mad.lo.u32 $y, $o, 64, $W;"
                f" ldmatrix.sync.aligned.m8n8.x{count}{modifier}.shared.b16 {{{listed}}}, [$y];"
                " bar.warp.sync 0xffffffff;",
                {"a": 64, "b": 64, "o": 32},
                dict.fromkeys(targets, 32),
                drawn_rows,
                partial(loaded, count, bool(modifier)),
                temporaries={"y": 32},
            )


FAMILIES = {
    "products of matrices": small_products,
    "special products": special_products,
    "loads of matrices": loads,
}
