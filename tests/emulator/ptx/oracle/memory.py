"""Loads, stores and atomic operations, in memory that each thread has for itself.

$G, $S and $L are addresses of 16 bytes of global, shared and local memory; a generic address is
made from each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product as combinations
from random import Random

from emulator.ptx.oracle.arithmetic import computed, in_halves
from emulator.ptx.oracle.expectations import Expectation
from emulator.ptx.oracle.floats import BF16, F16, F32, F64
from emulator.ptx.oracle.instruction import GROUP, Collective, Instruction, Operands
from emulator.ptx.oracle.integers import read, wrapped
from emulator.ptx.oracle.operands import PREDICATE, Kind, below, choice, floating, integer, packed

TYPES = [f"{kind}{bits}" for kind in "bus" for bits in (8, 16, 32, 64)] + ["f32", "f64"]
SPACES = {"global": "G", "shared": "S", "local": "L"}
PAIR = {"a": integer(64), "b": integer(64)}


def listed(letters: str) -> str:
    """An operand that is a vector, if there are several."""
    names = ", ".join(f"${letter}" for letter in letters)
    return f"{{{names}}}" if len(letters) > 1 else names


@dataclass(frozen=True)
class Access:
    """A load or store of a type or of a vector of it, which ends with the 16 bytes that there are.

    The registers may be wider than the type, but not those of floats.
    """

    space: str
    kind: str
    bits: int
    count: int
    width: int

    @property
    def start(self) -> int:
        return 16 - self.bits // 8 * self.count

    @property
    def opcode(self) -> str:
        vector = f".v{self.count}" if self.count > 1 else ""
        return f"{self.space}{vector}.{self.kind}{self.bits}"

    @property
    def address(self) -> str:
        return f"[${SPACES[self.space]}+{self.start}]"

    @property
    def whole(self) -> str:
        return f"[${SPACES[self.space]}]"

    def loaded(self, a: int, b: int) -> tuple[int, ...]:
        """Signed types are extended by their sign, all others by zeros."""
        memory = (a | b << 64) >> (8 * self.start)
        elements = [memory >> (self.bits * i) for i in range(self.count)]
        return tuple(wrapped(read(self.kind, self.bits, one), self.width) for one in elements)

    def stored(self, a: int, b: int, *values: int) -> tuple[int, ...]:
        """Of a register that is wider than the type, the lower part is stored."""
        memory = a | b << 64
        for i, value in enumerate(values):
            place = 8 * self.start + self.bits * i
            mask = ((1 << self.bits) - 1) << place
            memory = (memory & ~mask) | (value << place & mask)
        return wrapped(memory, 64), memory >> 64


def accesses() -> Iterator[Access]:
    for name, space, count, width in combinations(TYPES, SPACES, (1, 2, 4), (16, 32, 64)):
        kind, bits = name[0], int(name[1:])
        fits = width == bits if kind == "f" else width >= bits
        if fits and count * bits <= 128:
            yield Access(space, kind, bits, count, width)


def loads() -> Iterator[Instruction]:
    for access in accesses():
        targets = "defg"[: access.count]
        yield Instruction(
            f"st.{access.space}.v2.b64 {access.whole}, {{$a, $b}};"
            f" ld.{access.opcode} {listed(targets)}, {access.address};",
            PAIR,
            dict.fromkeys(targets, access.width),
            access.loaded,
        )


def stores() -> Iterator[Instruction]:
    for access in accesses():
        sources = "hijk"[: access.count]
        yield Instruction(
            f"st.{access.space}.v2.b64 {access.whole}, {{$a, $b}};"
            f" st.{access.opcode} {access.address}, {listed(sources)};"
            f" ld.{access.space}.v2.b64 {{$d, $e}}, {access.whole};",
            PAIR | dict.fromkeys(sources, integer(access.width)),
            {"d": 64, "e": 64},
            access.stored,
        )


def generic_accesses() -> Iterator[Instruction]:
    """The same bytes, by their generic address and by the one of their space."""
    for space, letter in SPACES.items():
        address = f"mov.b64 $t, ${letter};" if space != "shared" else "cvt.u64.u32 $t, $S;"
        yield Instruction(
            f"{address} cvta.{space}.u64 $t, $t; st.v2.b64 [$t], {{$a, $b}};"
            f" ld.{space}.s32 $d, [${letter}+4]; ld.u16 $e, [$t+14];"
            f" cvta.to.{space}.u64 $t, $t; ld.{space}.b64 $f, [$t+8];",
            PAIR,
            {"d": 32, "e": 16, "f": 64},
            lambda a, b: (a >> 32, b >> 48, b),
            {"t": 64},
        )
        for other in SPACES:
            yield Instruction(
                f"{address} cvta.{space}.u64 $t, $t; isspacep.{other} $p, $t;",
                {},
                {"p": 1},
                lambda space=space, other=other: int(space == other),
                {"t": 64},
            )


# What a cache may do with a line changes no result.
MODIFIERS = ("volatile.global", "global.ca", "global.cg", "global.cs", "global.nc", "weak.global",
             "relaxed.gpu.global", "acquire.gpu.global", "global.nc.L1::no_allocate",
             "global.L2::128B", "volatile.shared")  # fmt: skip


def modified_loads() -> Iterator[Instruction]:
    for modifiers in MODIFIERS:
        letter = "S" if "shared" in modifiers else "G"
        space = "shared" if letter == "S" else "global"
        yield Instruction(
            f"st.{space}.b32 [${letter}], $a; ld.{modifiers}.u32 $d, [${letter}];",
            {"a": integer(32)},
            {"d": 32},
            lambda a: a,
        )
    for modifiers in ("volatile.global", "global.wb", "global.cg", "global.cs", "global.wt",
                      "relaxed.sys.global", "release.gpu.global"):  # fmt: skip
        yield Instruction(
            f"st.{modifiers}.u32 [$G], $a; ld.global.u32 $d, [$G];",
            {"a": integer(32)},
            {"d": 32},
            lambda a: a,
        )


Change = Callable[[int, int], "int | Expectation"]


def of_type(function: Callable[..., int], kind: str, bits: int, a: int, b: int) -> int:
    return wrapped(function(read(kind, bits, a), read(kind, bits, b)), bits)


def changes() -> Iterator[tuple[str, Kind, Change]]:
    """What becomes of a value in memory, by an operand."""
    for kind, bits in combinations("us", (32, 64)):
        for name, function in (("min", min), ("max", max), ("add", lambda x, y: x + y)):
            if name != "add" or (kind, bits) != ("s", 64):
                yield (
                    f"{name}.{kind}{bits}",
                    integer(bits),
                    partial(of_type, function, kind, bits),
                )
    for bits in (32, 64):
        yield f"and.b{bits}", integer(bits), lambda a, b: a & b
        yield f"or.b{bits}", integer(bits), lambda a, b: a | b
        yield f"xor.b{bits}", integer(bits), lambda a, b: a ^ b
        yield f"exch.b{bits}", integer(bits), lambda _a, b: b
    few = choice(32, [0, 1, 2, 3, 0xFFFFFFFF])
    yield "inc.u32", few, lambda a, b: 0 if a >= b else a + 1
    yield "dec.u32", few, lambda a, b: b if a == 0 or a > b else a - 1


def sums_of_floats(space: str) -> Iterator[tuple[str, Kind, Change]]:
    """Only in global memory, subnormal numbers of single precision count as zero."""
    ftz = ("ftz",) if space == "global" else ()
    yield "add.f32", floating(F32), partial(computed, F32, "add", "rn", ftz)
    yield "add.f64", floating(F64), partial(computed, F64, "add", "rn", ())
    for of in (F16, BF16):
        function = partial(computed, of, "add", "rn", ())
        yield f"add.noftz.{of.name}", floating(of), function
        yield f"add.noftz.{of.name}x2", packed(floating(of)), in_halves(function)


def atomic_operations() -> Iterator[Instruction]:
    """The value before, and what there is afterwards."""
    for space, scope in combinations(("global", "shared"), ("", ".relaxed.gpu")):
        place = f"[${SPACES[space]}]"
        for name, kind, change in (*changes(), *sums_of_floats(space)):
            bits, operands = kind.bits, {"a": kind, "b": kind}
            before = f"st.{space}.b{bits} {place}, $a;"
            after = f"ld.{space}.b{bits} $e, {place};"
            yield Instruction(
                f"{before} atom{scope}.{space}.{name} $d, {place}, $b; {after}",
                operands,
                {"d": bits, "e": bits},
                lambda a, b, change=change: (a, change(a, b)),
            )
            if not name.startswith("exch"):
                yield Instruction(
                    f"{before} red{scope}.{space}.{name} {place}, $b; {after}",
                    operands,
                    {"e": bits},
                    change,
                )
        for bits in (16, 32, 64):
            few = choice(bits, [0, 1])
            yield Instruction(
                f"st.{space}.b{bits} {place}, $a;"
                f" atom{scope}.{space}.cas.b{bits} $d, {place}, $b, $c;"
                f" ld.{space}.b{bits} $e, {place};",
                {"a": few, "b": few, "c": integer(bits)},
                {"d": bits, "e": bits},
                lambda a, b, c: (a, c if a == b else a),
            )


# Where all lanes of a warp change one word, each gets what was there before, in any order.
def drawn_addends(random: Random) -> list[Operands]:
    return [(random.choice([0, 1, 5, random.getrandbits(32)]),) for _ in range(GROUP)]


def added_by_all(lanes: list[Operands]) -> list[object]:
    total = wrapped(sum(a for (a,) in lanes), 32)
    return [(total,)] * GROUP


def contended_operations() -> Iterator[Collective]:
    yield Collective(
        "st.shared.u32 [$S], 0; bar.warp.sync -1; atom.shared.add.u32 $d, [$W], $a;"
        " bar.warp.sync -1; ld.shared.u32 $d, [$W]; bar.warp.sync -1;",
        {"a": 32},
        {"d": 32},
        drawn_addends,
        added_by_all,
    )


# --- Asynchronous copies of 4, 8 and 16 bytes, of which the last may be filled with zeros


def copied(size: int, a: int, b: int, c: int, d: int, n: int) -> tuple[int, ...]:
    """What follows the n bytes that are read becomes zero; what follows the copy stays."""
    source, target = a | b << 64, c | d << 64
    read_bytes = source & ((1 << (8 * n)) - 1)
    rest = target >> (8 * size) << (8 * size)
    return wrapped(rest | read_bytes, 64), (rest | read_bytes) >> 64


def asynchronous_copies() -> Iterator[Instruction]:
    for size, fills in combinations((4, 8, 16), (False, True)):
        for cache in ("ca", "cg") if size == 16 else ("ca",):
            count = below(32, size + 1) if fills else Kind(32, lambda _r, _b, size=size: size)
            yield Instruction(
                "st.global.v2.b64 [$G], {$a, $b}; st.shared.v2.b64 [$S], {$c, $f};"
                f" cp.async.{cache}.shared.global [$S], [$G], {size}{', $n' if fills else ''};"
                " cp.async.commit_group; cp.async.wait_group 0;"
                " ld.shared.v2.b64 {$d, $e}, [$S];",
                {
                    "a": integer(64),
                    "b": integer(64),
                    "c": integer(64),
                    "f": integer(64),
                    "n": count,
                },
                {"d": 64, "e": 64},
                partial(copied, size),
            )
    yield Instruction(
        "st.global.b64 [$G], $a; st.shared.b64 [$S], $b;"
        " cp.async.ca.shared.global [$S], [$G], 4, $p; cp.async.wait_all; ld.shared.b64 $d, [$S];",
        PAIR | {"p": PREDICATE},
        {"d": 64},
        lambda a, b, p: b >> 32 << 32 | (0 if p else wrapped(a, 32)),
    )
    yield Instruction(
        "st.global.b64 [$G], $a; st.shared.b64 [$S], $b; cp.async.ca.shared.global [$S], [$G], 8;"
        " cp.async.wait_all; ld.shared.b64 $d, [$S];",
        PAIR,
        {"d": 64},
        lambda a, _b: a,
    )


HINTS = (
    "fence.acq_rel.gpu",
    "fence.sc.sys",
    "membar.cta",
    "membar.gl",
    "prefetch.global.L2 [$G]",
    "prefetchu.L1 [$G]",
    "nanosleep.u32 20",
)


def hints() -> Iterator[Instruction]:
    """What changes nothing for a thread that is alone with its memory."""
    for hint in HINTS:
        yield Instruction(
            f"st.global.b32 [$G], $a; {hint}; ld.global.b32 $d, [$G];",
            {"a": integer(32)},
            {"d": 32},
            lambda a: a,
        )


FAMILIES = {
    "hints": hints,
    "loads": loads,
    "stores": stores,
    "generic addresses": generic_accesses,
    "modified loads and stores": modified_loads,
    "atomic operations": atomic_operations,
    "contended operations": contended_operations,
    "asynchronous copies": asynchronous_copies,
}
