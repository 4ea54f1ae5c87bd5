"""An instruction of PTX with the operands to try it with, and what it must give.

`text` is PTX with a letter of its own for each register, as in "add.s32 $d, $a, $b;"; there may be
several instructions, if one needs another. Registers are declared by the number of their bits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from emulator.ptx.oracle.expectations import Exactly, Expectation
from emulator.ptx.oracle.operands import Kind

Operands = tuple[int, ...]
GROUP = 32


def as_expectations(given: object) -> list[Expectation]:
    each = given if isinstance(given, tuple) else (given,)
    return [Exactly(one) if isinstance(one, int) else one for one in each]


def statements_of(text: str) -> list[str]:
    """The instructions one by one, without guards."""
    return [re.sub(r"@!?\$\w+\s+", "", one).strip() for one in text.split(";")[:-1]]


@dataclass(frozen=True)
class Instruction:
    """Text, operands, results and other registers by their letters, and the oracle.

    `expected` is given the operands' bits in order, and gives an expectation for each result, or
    one alone; integers are exact.
    """

    text: str
    operands: Mapping[str, Kind]
    results: Mapping[str, int]
    expected: Callable[..., object]
    temporaries: Mapping[str, int] = field(default_factory=dict)

    def expectations(self, cases: Sequence[Operands]) -> list[list[Expectation]]:
        """For each case an expectation for each result."""
        return [as_expectations(self.expected(*operands)) for operands in cases]

    def cases(self, count: int) -> list[Operands]:
        """Operands for so many lanes, the same ones each time.

        Every second case has special values only, as long as there are some: first each of them
        with its neighbour in the list, such as a zero with the other zero, then with itself.
        """
        random = Random(self.text)
        kinds = list(self.operands.values())
        longest = max((len(kind.special) for kind in kinds), default=0)
        cases = []
        for case in range(count):
            number = case // 2
            if case % 2 == 0 and number < 2 * longest:
                distance = 1 if number < longest else 0
                cases.append(special(kinds, random, number % longest, distance))
            else:
                cases.append(drawn(kinds, random))
        return cases


def special(kinds: Sequence[Kind], random: Random, number: int, distance: int) -> Operands:
    """The special value of a number for every other operand, and its neighbour for the rest."""
    values = []
    for place, kind in enumerate(kinds):
        index = number ^ (distance if place % 2 else 0)
        values.append(
            kind.special[index % len(kind.special)] if kind.special else kind.draw(random, values)
        )
    return tuple(values)


def drawn(kinds: Sequence[Kind], random: Random) -> Operands:
    """Random operands, each of which may depend on those before of its kind."""
    values: list[int] = []
    for kind in kinds:
        similar = [x for x, before in zip(values, kinds, strict=False) if before == kind]
        values.append(kind.draw(random, similar))
    return tuple(values)


@dataclass(frozen=True)
class Collective:
    """An instruction whose lanes have to do with each other.

    `draw` gives the operands of all lanes of a group, `expected` the results of all of them. A
    group is a warp, or a block if there are more lanes.
    """

    text: str
    operands: Mapping[str, int]
    results: Mapping[str, int]
    draw: Callable[[Random], list[Operands]]
    expected: Callable[[list[Operands]], list[object]]
    group: int = GROUP
    temporaries: Mapping[str, int] = field(default_factory=dict)

    def expectations(self, cases: Sequence[Operands]) -> list[list[Expectation]]:
        groups = [list(cases[i : i + self.group]) for i in range(0, len(cases), self.group)]
        return [as_expectations(one) for group in groups for one in self.expected(group)]

    def cases(self, count: int) -> list[Operands]:
        random = Random(self.text)
        return [lane for _ in range(0, count, self.group) for lane in self.draw(random)]


def one(
    opcode: str, kinds: Sequence[Kind], width: int, expected: Callable[..., object]
) -> Instruction:
    """An instruction with one result, and operands in the usual order."""
    letters = "abcf"[: len(kinds)]
    text = f"{opcode} $d, " + ", ".join(f"${letter}" for letter in letters) + ";"
    return Instruction(text, dict(zip(letters, kinds, strict=True)), {"d": width}, expected)
