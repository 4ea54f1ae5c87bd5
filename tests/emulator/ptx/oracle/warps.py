"""Instructions by which the lanes of a warp exchange values: shuffles, votes, matches, reductions.

Where a mask names a part of the warp, the other lanes do not execute the instruction, and keep what
they had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial, reduce
from itertools import product as combinations
from operator import and_, or_, xor
from random import Random

from emulator.ptx.oracle.expectations import Anything, Exactly
from emulator.ptx.oracle.instruction import GROUP, Collective, Operands
from emulator.ptx.oracle.integers import read, wrapped
from emulator.ptx.oracle.kernel import BLOCK
from emulator.ptx.oracle.operands import Kind, choice, integer

ALL = 0xFFFFFFFF


def drawn_mask(random: Random) -> int:
    return random.choice([ALL, ALL, random.getrandbits(32) or 1, 1 << random.randrange(32), 0xFFFF])


# --- Shuffles: operands a (value), b, c, m (mask), p (whether the lane is in the mask)


def source_lane(mode: str, lane: int, b: int, c: int) -> tuple[int, bool]:
    """The lane that is read, and whether it lies in range; if not, a lane reads itself.

    c has a clamp in its bits 0 to 4, and in bits 8 to 12 those bits of the number of a lane that
    are the same for all lanes of a segment.
    """
    by, clamp, segment = b & 31, c & 31, c >> 8 & 31
    first = lane & segment
    last = first | clamp & ~segment & 31
    wanted = {
        "up": lane - by,
        "down": lane + by,
        "bfly": lane ^ by,
        "idx": first | by & ~segment & 31,
    }[mode]
    in_range = wanted >= last if mode == "up" else wanted <= last
    return (wanted, True) if in_range else (lane, False)


def drawn_shuffle(mode: str, random: Random) -> list[Operands]:
    """Segments of a power of two lanes as CUDA has them, and any other clamps and segments."""
    mask = drawn_mask(random)
    width = random.choice([1, 2, 4, 8, 16, 32])
    of_cuda = (GROUP - width) << 8 | (0 if mode == "up" else 31)
    free = random.random() < 0.4
    same = random.getrandbits(5)
    cases = []
    for lane in range(GROUP):
        member = mask >> lane & 1
        while True:
            b = random.getrandbits(32) if random.random() < 0.5 else same
            c = random.getrandbits(32) if free else of_cuda
            if not member or mask >> source_lane(mode, lane, b, c)[0] & 1:
                break
            same = 0 if mode != "idx" else lane
        cases.append((random.getrandbits(32), b, c, mask, member))
    return cases


def shuffled(mode: str, lanes: list[Operands]) -> list[object]:
    results: list[object] = []
    for lane, (a, b, c, _, member) in enumerate(lanes):
        source, in_range = source_lane(mode, lane, b, c)
        results.append((lanes[source][0], int(in_range)) if member else (a, 0))
    return results


def shuffles() -> Iterator[Collective]:
    widths = {"a": 32, "b": 32, "c": 32, "m": 32, "p": 1}
    for mode in ("up", "down", "bfly", "idx"):
        yield Collective(
            "mov.b32 $d, $a; setp.ne.u32 $q, 0, 0;"
            f" @$p shfl.sync.{mode}.b32 $d|$q, $a, $b, $c, $m;",
            widths,
            {"d": 32, "q": 1},
            partial(drawn_shuffle, mode),
            partial(shuffled, mode),
        )


# --- Votes, matches and reductions: operands a (value), m (mask), p (whether in the mask)


def drawn_values(kind: Kind, random: Random) -> list[Operands]:
    mask = drawn_mask(random)
    common = kind.draw(random, [])
    share = random.choice([0, 0.5, 0.9, 1])
    values = [
        common if random.random() < share else kind.draw(random, [common]) for _ in range(GROUP)
    ]
    return [(value, mask, mask >> lane & 1) for lane, value in enumerate(values)]


def for_members(
    function: Callable[[dict[int, int], int], object], other: object, lanes: list[Operands]
) -> list[object]:
    """A function of the members' values by lane, and of a member, for each of these."""
    values = {lane: a for lane, (a, _, member) in enumerate(lanes) if member}
    return [function(values, lane) if lane in values else other for lane in range(GROUP)]


def for_all(
    function: Callable[[dict[int, int]], object], other: object, lanes: list[Operands]
) -> list[object]:
    """A function of the members' values, which is the same for each of them."""
    return for_members(lambda values, _lane: function(values), other, lanes)


def mask_of(lanes: Iterable[int]) -> int:
    return sum(1 << lane for lane in lanes)


VOTES: dict[str, Callable[[dict[int, int]], int]] = {
    "all": lambda values: int(all(values.values())),
    "any": lambda values: int(any(values.values())),
    "uni": lambda values: int(len(set(values.values())) == 1),
}


def votes() -> Iterator[Collective]:
    bit = Kind(1, lambda random, _before: random.getrandbits(1))
    widths = {"a": 1, "m": 32, "p": 1}
    for name, vote in VOTES.items():
        yield Collective(
            f"setp.ne.u32 $q, 0, 0; @$p vote.sync.{name}.pred $q, $a, $m;",
            widths,
            {"q": 1},
            partial(drawn_values, bit),
            partial(for_all, vote, 0),
        )
    yield Collective(
        "setp.ne.u32 $q, 0, 0; @$p vote.sync.any.pred $q, !$a, $m;",
        widths,
        {"q": 1},
        partial(drawn_values, bit),
        partial(for_all, lambda values: int(not all(values.values())), 0),
    )
    yield Collective(
        "mov.b32 $d, 7; @$p vote.sync.ballot.b32 $d, $a, $m;",
        widths,
        {"d": 32},
        partial(drawn_values, bit),
        partial(for_all, lambda values: mask_of(lane for lane in values if values[lane]), 7),
    )


def matches() -> Iterator[Collective]:
    for bits in (32, 64):
        few = choice(bits, [0, 1, 1 << (bits - 1), (1 << bits) - 1])
        widths = {"a": bits, "m": 32, "p": 1}
        yield Collective(
            f"mov.b32 $d, 7; @$p match.any.sync.b{bits} $d, $a, $m;",
            widths,
            {"d": 32},
            partial(drawn_values, few),
            partial(
                for_members,
                equal_ones,
                7,
            ),
        )
        yield Collective(
            f"mov.b32 $d, 7; setp.ne.u32 $q, 0, 0; @$p match.all.sync.b{bits} $d|$q, $a, $m;",
            widths,
            {"d": 32, "q": 1},
            partial(drawn_values, few),
            partial(for_all, matched_by_all, (7, 0)),
        )


def equal_ones(values: dict[int, int], lane: int) -> int:
    return mask_of(other for other in values if values[other] == values[lane])


def matched_by_all(values: dict[int, int]) -> tuple[int, int]:
    same = len(set(values.values())) == 1
    return (mask_of(values), 1) if same else (0, 0)


REDUCTIONS: dict[str, Callable[[int, int], int]] = {"and": and_, "or": or_, "xor": xor}
ORDERED: dict[str, Callable[[list[int]], int]] = {"add": sum, "min": min, "max": max}


def reductions() -> Iterator[Collective]:
    widths = {"a": 32, "m": 32, "p": 1}

    def reduction(name: str, function: Callable[[list[int]], int]) -> Collective:
        return Collective(
            f"mov.b32 $d, 7; @$p redux.sync.{name} $d, $a, $m;",
            widths,
            {"d": 32},
            partial(drawn_values, integer(32)),
            partial(for_all, lambda values: function(list(values.values())), 7),
        )

    for name, operation in REDUCTIONS.items():
        yield reduction(f"{name}.b32", partial(reduce, operation))
    for (name, ordered), kind in combinations(ORDERED.items(), "us"):

        def of_type(values, kind=kind, ordered=ordered):
            return wrapped(ordered([read(kind, 32, value) for value in values]), 32)

        yield reduction(f"{name}.{kind}32", of_type)


def members() -> Iterator[Collective]:
    """Which lanes there are, and which of them is elected."""
    nothing = Kind(1, lambda _random, _before: 0)
    widths = {"a": 1, "m": 32, "p": 1}
    yield Collective(
        "mov.b32 $d, 7; @$p activemask.b32 $d;",
        widths,
        {"d": 32},
        partial(drawn_values, nothing),
        partial(for_all, mask_of, 7),
    )
    yield Collective(
        "mov.b32 $d, 7; setp.ne.u32 $q, 0, 0; @$p elect.sync $d|$q, $m;"
        " @$p vote.sync.ballot.b32 $e, $q, $m;",
        widths,
        {"d": 32, "q": 1, "e": 32},
        partial(drawn_values, nothing),
        partial(for_all, elected, (7, 0, Anything())),
    )


def elected(values: dict[int, int]) -> tuple[object, ...]:
    """Any lane of the mask, but only one."""
    return Exactly(*values), Anything(), Exactly(*(1 << one for one in values))


def drawn_block(random: Random) -> list[Operands]:
    share = random.choice([0, 0.3, 0.97, 1])
    return [(int(random.random() < share),) for _ in range(BLOCK)]


def barriers() -> Iterator[Collective]:
    """bar.red: what holds for the threads of a block, each of which learns of it."""
    functions: dict[str, Callable[[list[int]], int]] = {
        "and.pred": lambda values: int(all(values)),
        "or.pred": lambda values: int(any(values)),
        "popc.u32": sum,
    }
    for name, function in functions.items():
        for negation in ("", "!"):
            yield Collective(
                f"bar.red.{name} $d, 0, {negation}$a;",
                {"a": 1},
                {"d": 32 if name == "popc.u32" else 1},
                drawn_block,
                partial(for_block, function, bool(negation)),
                BLOCK,
            )


def for_block(
    function: Callable[[list[int]], int], is_negated: bool, lanes: list[Operands]
) -> list[object]:
    result = function([a ^ is_negated for (a,) in lanes])
    return [result] * len(lanes)


FAMILIES = {
    "shuffles": shuffles,
    "votes": votes,
    "matches": matches,
    "reductions": reductions,
    "members of a warp": members,
    "reductions at barriers": barriers,
}
