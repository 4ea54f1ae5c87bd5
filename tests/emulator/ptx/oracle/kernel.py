"""A kernel that executes instructions, each with operands of its own in every thread.

All operands of a thread lie in a row of one array, and its results in a row of another, 8 bytes
each. So any number of different instructions can be tried for any number of cases in one launch.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from emulator.ptx.oracle.instruction import Collective, Instruction, statements_of

HEADER = ".version 8.4\n.target sm_90\n.address_size 64\n\n"
SLOT = 8
SCRATCH = 64
BLOCK = 64
Tried = Instruction | Collective
REGISTERS = {
    1: ("%p", "pred"),
    16: ("%h", "b16"),
    32: ("%r", "b32"),
    64: ("%q", "b64"),
    128: ("%z", "b128"),
}


class Registers:
    """Virtual registers of each width, handed out one by one."""

    def __init__(self) -> None:
        self.used = dict.fromkeys(REGISTERS, 0)

    def new(self, width: int) -> str:
        self.used[width] += 1
        return f"{REGISTERS[width][0]}{self.used[width]}"

    def declarations(self) -> list[str]:
        return [
            f".reg .{kind} {prefix}<{self.used[width] + 1}>;"
            for width, (prefix, kind) in REGISTERS.items()
        ]


def load(registers: Registers, address: str, width: int) -> tuple[str, list[str]]:
    """A register that is loaded from an address, and the instructions for it."""
    register = registers.new(width)
    if width == 1:
        word = registers.new(32)
        return register, [
            f"ld.global.u32 {word}, [{address}];",
            f"setp.ne.u32 {register}, {word}, 0;",
        ]
    return register, [f"ld.global.b{width} {register}, [{address}];"]


def store(registers: Registers, address: str, width: int, register: str) -> list[str]:
    if width == 1:
        word = registers.new(32)
        return [f"selp.u32 {word}, 1, 0, {register};", f"st.global.u32 [{address}], {word};"]
    return [f"st.global.b{width} [{address}], {register};"]


def substituted(text: str, names: dict[str, str]) -> str:
    return re.sub(r"\$(\w)", lambda match: names[match[1]], text)


def scratch(registers: Registers, texts: str, index: str) -> tuple[dict[str, str], list[str]]:
    """Addresses of the memory that a thread has for itself, by letter, and the instructions for it.

    $G, $S and $L are global, shared and local; $W is the beginning of the warp's shared memory.
    """
    names, body = {}, []
    if "$G" in texts:
        names["G"], offset = registers.new(64), registers.new(64)
        body = [
            f"ld.param.u64 {names['G']}, [scratch];",
            f"mul.wide.u32 {offset}, {index}, {SCRATCH};",
            f"add.u64 {names['G']}, {names['G']}, {offset};",
        ]
    if "$S" in texts:
        names["S"], names["W"] = registers.new(32), registers.new(32)
        thread, start = registers.new(32), registers.new(32)
        body += [
            f"mov.u32 {thread}, %tid.x;",
            f"mov.u32 {start}, shared_scratch;",
            f"mad.lo.u32 {names['S']}, {thread}, {SCRATCH}, {start};",
            f"and.b32 {thread}, {thread}, -32;",
            f"mad.lo.u32 {names['W']}, {thread}, {SCRATCH}, {start};",
        ]
    if "$L" in texts:
        names["L"] = registers.new(64)
        body.append(f"mov.u64 {names['L']}, local_scratch;")
    return names, body


def leave(registers: Registers, thread: str) -> list[str]:
    """Every fourth thread exits, those for which `has_left` holds."""
    rest, leaves = registers.new(32), registers.new(1)
    return [
        f"and.b32 {rest}, {thread}, 3;",
        f"setp.eq.u32 {leaves}, {rest}, 1;",
        f"@{leaves} exit;",
    ]


def has_left(thread: int) -> bool:
    return thread % 4 == 1


def width_of(kind: object) -> int:
    return kind if isinstance(kind, int) else kind.bits


def in_operands(tried: Tried) -> dict[str, str]:
    """An operand for each result that can take its place, for as many as there are."""
    if len(statements_of(tried.text)) > 1:  # a result may be there before an operand is read
        return {}
    free = {letter: width_of(kind) for letter, kind in tried.operands.items()}
    places = {}
    for result, width in tried.results.items():
        operand = next((letter for letter, bits in free.items() if bits == width), None)
        if operand is not None:
            places[result] = operand
            del free[operand]
    return places


def kernel_text(
    instructions: Sequence[Tried], in_full_warps: bool = True, in_place: bool = False
) -> str:
    """PTX of a kernel with pointers to the operands, to the results and to scratch memory.

    Args:
        instructions: what it executes.
        in_full_warps: whether all threads do; else some leave before.
        in_place: whether registers of operands get the results.
    """
    registers = Registers()
    block, threads, thread, index = (registers.new(32) for _ in range(4))
    operands, results = registers.new(64), registers.new(64)
    operand_offset, result_offset = registers.new(64), registers.new(64)
    operand_count = sum(len(one.operands) for one in instructions)
    result_count = sum(len(one.results) for one in instructions)
    body = [
        f"ld.param.u64 {operands}, [operands];",
        f"ld.param.u64 {results}, [results];",
        f"mov.u32 {block}, %ctaid.x;",
        f"mov.u32 {threads}, %ntid.x;",
        f"mov.u32 {thread}, %tid.x;",
        f"mad.lo.u32 {index}, {block}, {threads}, {thread};",
        f"mul.wide.u32 {operand_offset}, {index}, {operand_count * SLOT};",
        f"add.u64 {operands}, {operands}, {operand_offset};",
        f"mul.wide.u32 {result_offset}, {index}, {result_count * SLOT};",
        f"add.u64 {results}, {results}, {result_offset};",
    ]
    if not in_full_warps:
        body += leave(registers, thread)
    texts = "".join(one.text for one in instructions)
    memory, lines = scratch(registers, texts, index)
    body += lines
    operand = result = 0
    for tried in instructions:
        names = dict(memory)
        for letter, kind in tried.operands.items():
            address = f"{operands}+{operand * SLOT}"
            names[letter], lines = load(registers, address, width_of(kind))
            body += lines
            operand += 1
        for letter, width in (tried.results | tried.temporaries).items():
            names[letter] = registers.new(width)
        if in_place:
            names |= {result: names[place] for result, place in in_operands(tried).items()}
        body.append(substituted(tried.text, names))
        for letter, width in tried.results.items():
            body += store(registers, f"{results}+{result * SLOT}", width, names[letter])
            result += 1
    declarations = registers.declarations()
    if "$S" in texts:
        declarations.append(f".shared .align 16 .b8 shared_scratch[{SCRATCH * BLOCK}];")
    if "$L" in texts:
        declarations.append(f".local .align 16 .b8 local_scratch[{SCRATCH}];")
    parameters = ", ".join(f".param .u64 {which}" for which in ("operands", "results", "scratch"))
    return "\n".join(
        [
            f"{HEADER}.visible .entry oracle({parameters})",
            "{",
            *declarations,
            *body,
            "ret;",
            "}",
            "",
        ]
    )
