"""All instructions, in families that fit into a kernel."""

from __future__ import annotations

from functools import cache

from emulator.ptx.oracle import (
    approximations,
    arithmetic,
    bits,
    comparisons,
    conversions,
    integers,
    matrices,
    memory,
    moves,
    warps,
)
from emulator.ptx.oracle.instruction import Collective, Instruction

MODULES = (
    integers,
    bits,
    arithmetic,
    approximations,
    comparisons,
    conversions,
    moves,
    warps,
    memory,
    matrices,
)
FAMILIES = {name: family for module in MODULES for name, family in module.FAMILIES.items()}


@cache
def members(name: str) -> tuple[Instruction | Collective, ...]:
    return tuple(FAMILIES[name]())
