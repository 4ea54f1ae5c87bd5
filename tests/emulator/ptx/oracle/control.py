"""Random programs with branches, loops, switches, calls and exits, and what each thread computes.

A program is a tree of statements on a few variables. As PTX it branches, so that the lanes of a
warp part and meet in every way; here it is simply run, one thread after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from random import Random

from emulator.ptx.oracle.integers import wrapped
from emulator.ptx.oracle.kernel import HEADER

VARIABLES = 4
OPERATIONS = {
    "add.u32": lambda x, y: x + y,
    "sub.u32": lambda x, y: x - y,
    "mul.lo.u32": lambda x, y: x * y,
    "xor.b32": lambda x, y: x ^ y,
    "min.u32": min,
    "shl.b32": lambda x, y: x << min(y, 32),
}
COMPARISONS = {
    "eq": lambda x, y: x == y,
    "lt": lambda x, y: x < y,
    "ge": lambda x, y: x >= y,
    "ne": lambda x, y: x != y,
}


class Leaves(Enum):
    """What a thread leaves with a statement; None if it goes on with the next."""

    KERNEL = auto()
    LOOP = auto()
    TURN = auto()  # of a loop


class Writer:
    """Lines of PTX, with labels of their own."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.count = 0
        self.loops: list[tuple[str, str]] = []

    def new(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}{self.count}"

    def add(self, *lines: str) -> None:
        self.lines += lines


@dataclass(frozen=True)
class Condition:
    """Of the lowest bits of two variables, so that all outcomes are frequent."""

    operator: str
    first: int
    second: int
    mask: int

    def write(self, writer: Writer) -> str:
        """Returns: the predicate."""
        a, b, p = writer.new("%t"), writer.new("%t"), writer.new("%p")
        writer.add(
            f"and.b32 {a}, %x{self.first}, {self.mask};",
            f"and.b32 {b}, %x{self.second}, {self.mask >> 1};",
            f"setp.{self.operator}.u32 {p}, {a}, {b};",
        )
        return p

    def holds(self, state: list[int]) -> bool:
        return COMPARISONS[self.operator](
            state[self.first] & self.mask, state[self.second] & self.mask >> 1
        )


@dataclass(frozen=True)
class Assignment:
    """A variable becomes what an operation makes of two."""

    operation: str
    to: int
    first: int
    second: int

    def write(self, writer: Writer) -> None:
        writer.add(f"{self.operation} %x{self.to}, %x{self.first}, %x{self.second};")

    def run(self, state: list[int]) -> None:
        result = OPERATIONS[self.operation](state[self.first], state[self.second])
        state[self.to] = wrapped(result, 32)


@dataclass(frozen=True)
class Choice:
    """One of two blocks."""

    condition: Condition
    then: Sequence[Statement]
    otherwise: Sequence[Statement]

    def write(self, writer: Writer) -> None:
        p = self.condition.write(writer)
        otherwise, end = writer.new("ELSE"), writer.new("END")
        writer.add(f"@!{p} bra {otherwise};")
        write(self.then, writer)
        writer.add(f"bra.uni {end};", f"{otherwise}:")
        write(self.otherwise, writer)
        writer.add(f"{end}:")

    def run(self, state: list[int]) -> Leaves | None:
        return run(self.then if self.condition.holds(state) else self.otherwise, state)


@dataclass(frozen=True)
class Loop:
    """As often as the lowest bits of a variable say."""

    count: int
    body: Sequence[Statement]

    def write(self, writer: Writer) -> None:
        left, p = writer.new("%t"), writer.new("%p")
        top, end = writer.new("TOP"), writer.new("END")
        writer.add(f"and.b32 {left}, %x{self.count}, 3;", f"{top}:")
        writer.add(
            f"setp.eq.u32 {p}, {left}, 0;", f"@{p} bra {end};", f"sub.u32 {left}, {left}, 1;"
        )
        writer.loops.append((top, end))
        write(self.body, writer)
        writer.loops.pop()
        writer.add(f"bra {top};", f"{end}:")

    def run(self, state: list[int]) -> Leaves | None:
        for _ in range(state[self.count] & 3):
            leaves = run(self.body, state)
            if leaves is Leaves.KERNEL:
                return leaves
            if leaves is Leaves.LOOP:
                break
        return None


@dataclass(frozen=True)
class Jump:
    """Leaves a loop, or its turn."""

    condition: Condition
    ends: bool

    def write(self, writer: Writer) -> None:
        p = self.condition.write(writer)
        writer.add(f"@{p} bra {writer.loops[-1][self.ends]};")

    def run(self, state: list[int]) -> Leaves | None:
        if not self.condition.holds(state):
            return None
        return Leaves.LOOP if self.ends else Leaves.TURN


@dataclass(frozen=True)
class Switch:
    """One of four blocks, by a table of labels."""

    index: int
    blocks: Sequence[Sequence[Statement]]

    def write(self, writer: Writer) -> None:
        index, end, table = writer.new("%t"), writer.new("END"), writer.new("TABLE")
        labels = [writer.new("CASE") for _ in self.blocks]
        writer.add(
            f"{table}: .branchtargets {', '.join(labels)};",
            f"and.b32 {index}, %x{self.index}, 3;",
            f"brx.idx {index}, {table};",
        )
        for label, block in zip(labels, self.blocks, strict=True):
            writer.add(f"{label}:")
            write(block, writer)
            writer.add(f"bra {end};")
        writer.add(f"{end}:")

    def run(self, state: list[int]) -> Leaves | None:
        return run(self.blocks[state[self.index] & 3], state)


@dataclass(frozen=True)
class Call:
    """A variable becomes what the function of `FUNCTION` makes of two."""

    to: int
    first: int
    second: int

    def write(self, writer: Writer) -> None:
        writer.add(
            "{",
            ".param .b32 in0; .param .b32 in1; .param .b32 out;",
            f"st.param.b32 [in0], %x{self.first}; st.param.b32 [in1], %x{self.second};",
            "call.uni (out), mix, (in0, in1);",
            f"ld.param.b32 %x{self.to}, [out];",
            "}",
        )

    def run(self, state: list[int]) -> None:
        a, b = state[self.first], state[self.second]
        state[self.to] = wrapped(a + 3 * b, 32) if a & 1 else a ^ b


FUNCTION = """
.func (.param .b32 result) mix(.param .b32 first, .param .b32 second)
{
.reg .b32 %a<5>;
.reg .pred %p<2>;
ld.param.b32 %a1, [first];
ld.param.b32 %a2, [second];
and.b32 %a3, %a1, 1;
setp.eq.u32 %p1, %a3, 1;
@%p1 bra ODD;
xor.b32 %a4, %a1, %a2;
st.param.b32 [result], %a4;
ret;
ODD:
mad.lo.u32 %a4, %a2, 3, %a1;
st.param.b32 [result], %a4;
ret;
}
"""

STORE = "st.global.v4.b32 [%out], {%x0, %x1, %x2, %x3};"


@dataclass(frozen=True)
class Exit:
    """Ends a thread, with its results."""

    condition: Condition

    def write(self, writer: Writer) -> None:
        p = self.condition.write(writer)
        writer.add(f"@{p} {STORE}", f"@{p} exit;")

    def run(self, state: list[int]) -> Leaves | None:
        return Leaves.KERNEL if self.condition.holds(state) else None


Statement = Assignment | Choice | Loop | Jump | Switch | Call | Exit


def write(block: Sequence[Statement], writer: Writer) -> None:
    for statement in block:
        statement.write(writer)


def run(block: Sequence[Statement], state: list[int]) -> Leaves | None:
    for statement in block:
        if leaves := statement.run(state):
            return leaves
    return None


def drawn_condition(random: Random) -> Condition:
    first, second = random.sample(range(VARIABLES), 2)
    return Condition(random.choice(list(COMPARISONS)), first, second, random.choice([3, 7, 15]))


def drawn_statement(random: Random, depth: int, is_in_loop: bool) -> Statement:
    variables = [random.randrange(VARIABLES) for _ in range(3)]
    how = random.random()
    if depth == 0 or how < 0.4:
        return Assignment(random.choice(list(OPERATIONS)), *variables)
    if how < 0.6:
        blocks = [drawn_block(random, depth - 1, is_in_loop) for _ in range(2)]
        return Choice(drawn_condition(random), *blocks)
    if how < 0.75:
        return Loop(variables[0], drawn_block(random, depth - 1, True))
    if how < 0.83:
        blocks = [drawn_block(random, depth - 1, is_in_loop) for _ in range(4)]
        return Switch(variables[0], blocks)
    if how < 0.9:
        return Call(*variables)
    if how < 0.97 and is_in_loop:
        return Jump(drawn_condition(random), random.random() < 0.5)
    condition = drawn_condition(random)
    return Exit(Condition("eq", condition.first, condition.second, 63))


def drawn_block(random: Random, depth: int, is_in_loop: bool) -> list[Statement]:
    return [drawn_statement(random, depth, is_in_loop) for _ in range(random.randint(1, 4))]


def drawn_program(seed: int) -> list[Statement]:
    random = Random(seed)
    return [drawn_statement(random, 3, False) for _ in range(6)]


def results(program: Sequence[Statement], start: Sequence[int]) -> list[int]:
    """The variables of a thread at its end."""
    state = list(start)
    run(program, state)
    return state


def text_of(program: Sequence[Statement]) -> str:
    """A kernel that loads four variables of each thread of one block, and stores them."""
    writer = Writer()
    write(program, writer)
    return "\n".join(
        [
            HEADER + FUNCTION,
            ".visible .entry control(.param .u64 input, .param .u64 output)",
            "{",
            f".reg .b32 %t<{writer.count + 1}>;",
            f".reg .b32 %x<{VARIABLES}>;",
            f".reg .pred %p<{writer.count + 1}>;",
            ".reg .b32 %thread;",
            ".reg .b64 %in, %out, %offset;",
            "ld.param.u64 %in, [input];",
            "ld.param.u64 %out, [output];",
            "mov.u32 %thread, %tid.x;",
            "mul.wide.u32 %offset, %thread, 16;",
            "add.u64 %in, %in, %offset;",
            "add.u64 %out, %out, %offset;",
            "ld.global.v4.b32 {%x0, %x1, %x2, %x3}, [%in];",
            *writer.lines,
            STORE,
            "ret;",
            "}",
            "",
        ]
    )
