"""Which of the executor's instructions are tried.

The executor has a name for each of them, from which rounding and other modifiers are left out that
do not change what it is, such as "add.f32" for add.rn.ftz.f32.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from emulator.ptx.oracle.instruction import statements_of
from emulator.ptx.oracle.kernel import Tried

from gpucnn.emulator.ptx.executor import opcodes
from gpucnn.emulator.ptx.opcodes import take_apart


@cache
def offers() -> frozenset[str]:
    return frozenset(opcodes())


@cache
def name_of(statement: str) -> str | None:
    """The executor's name of what it would execute; None if it has nothing for it."""
    mnemonic, _, operands = statement.partition(" ")
    if mnemonic.startswith("mov") and "{" in operands:
        return name_of_vector(mnemonic.split(".")[1], operands)
    if mnemonic.startswith("cp.async") and operands.endswith(", $p"):
        return "cp.async.ignore_src"
    name = take_apart(mnemonic).instruction
    return name if name in offers() else None


def name_of_vector(kind: str, operands: str) -> str | None:
    """mov with a vector goes by how many elements of how many bits there are."""
    count = re.search(r"{(.*)}", operands)[1].count(",") + 1
    packs = "unpack" if operands.startswith("{") else "pack"
    name = f"{packs}.{count}x{int(kind[1:]) // count}"
    return name if name in offers() else None


def offered(instructions: Iterable[Tried]) -> list[Tried]:
    """Those that the executor has; it refuses all others by name."""
    return [one for one in instructions if all(map(name_of, statements_of(one.text)))]


def tried(instructions: Iterable[Tried]) -> set[str | None]:
    """The names of all that they execute."""
    return {name_of(statement) for one in instructions for statement in statements_of(one.text)}
