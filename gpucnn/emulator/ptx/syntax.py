"""What PTX consists of, as the parser finds it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from gpucnn.emulator.errors import CompilationError

TYPE_BYTES = {
    "pred": 4, "b8": 1, "u8": 1, "s8": 1, "b16": 2, "u16": 2, "s16": 2, "f16": 2, "bf16": 2,
    "b32": 4, "u32": 4, "s32": 4, "f32": 4, "f16x2": 4, "bf16x2": 4, "b64": 8, "u64": 8, "s64": 8,
    "f64": 8, "b128": 16,
}  # fmt: skip
"""Bytes of a register or an element of each type; of a predicate, a word with a bit a lane."""

_FLOATS = {2: "<e", 4: "<f", 8: "<d"}
"""For ``struct``, by the number of bytes."""


@dataclass(frozen=True, slots=True)
class Register:
    """A virtual register of a function.

    Attributes:
        name: as it is written.
        type: such as "b32" or "pred".
        scope: the number of the block of statements that declares it; names are unique in one.
    """

    name: str
    type: str
    scope: int


@dataclass(frozen=True, slots=True)
class Special:
    """A register that the GPU sets, such as "%tid.x"."""

    name: str


@dataclass(frozen=True, slots=True)
class Number:
    """An immediate operand.

    Attributes:
        value: of an integer; of a float, what it is as a Python float.
        bits: of a float that is written as its bits: how many there are; 0 otherwise.
        pattern: these bits.
    """

    value: int | float
    bits: int = 0
    pattern: int = 0

    def in_bytes(self, size: int) -> bytes:
        """The number in so many bytes: an integer modulo what fits, a float rounded.

        Raises:
            CompilationError: a float that is too large, or for which there is no format.
        """
        if self.bits == 8 * size:
            return self.pattern.to_bytes(size, "little")
        if isinstance(self.value, int):
            return (self.value % (1 << 8 * size)).to_bytes(size, "little")
        try:
            return struct.pack(_FLOATS[size], self.value)
        except (KeyError, OverflowError) as error:
            raise CompilationError(
                f"PTX: {self.value} cannot be a number of {8 * size} bits"
            ) from error


@dataclass(frozen=True, slots=True)
class Symbol:
    """A variable, a function or a label, and a number of bytes added to it."""

    name: str
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Address:
    """A memory operand: what is in brackets."""

    base: Register | Symbol | None
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Negated:
    """A predicate that is read as its opposite."""

    register: Register


@dataclass(frozen=True, slots=True)
class Sink:
    """A destination that is not wanted: ``_``."""


@dataclass(frozen=True, slots=True)
class Group:
    """Several operands in braces or parentheses."""

    items: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two destinations: ``d|p``."""

    first: Operand
    second: Operand


Content: TypeAlias = bytes
"""Where ``Variable`` has an attribute of that name."""

Operand: TypeAlias = Register | Special | Number | Symbol | Address | Negated | Sink | Group | Pair


@dataclass(frozen=True, slots=True)
class Location:
    """A line of the source, and where what it is part of was inlined.

    Attributes:
        file: the number of a file.
        line: in it.
        caller: where the function was called into which this line belongs; None if it was not
            inlined.
    """

    file: int
    line: int
    caller: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """An instruction.

    Attributes:
        opcode: with all modifiers.
        operands: as they are written.
        guard: the predicate that it depends on; None without.
        location: in the source; None if that is unknown.
    """

    opcode: str
    operands: tuple[Operand, ...]
    guard: Register | Negated | None
    location: Location | None

    def __str__(self) -> str:
        """The instruction as PTX writes it."""
        words = ", ".join(map(written, self.operands))
        return f"{self.opcode} {words}" if words else self.opcode


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable in memory.

    Attributes:
        name: as it is written.
        space: "global", "const", "shared", "local" or "param".
        type: of an element.
        bytes: of all elements; 0 if the launch decides.
        alignment: in bytes.
        initial: its content; empty if it is zero.
        symbols: addresses of other variables in it: place, name, number of bytes added.
        is_external: whether its size is not known here.
    """

    name: str
    space: str
    type: str
    bytes: int
    alignment: int
    initial: Content = b""
    symbols: tuple[tuple[int, str, int], ...] = ()
    is_external: bool = False


@dataclass(slots=True)
class Function:
    """A kernel, or a function that kernels call.

    Attributes:
        name: as it is written.
        is_kernel: whether it can be launched.
        parameters: in order.
        results: what it returns; of a kernel, nothing.
        directives: such as "maxntid", with their numbers.
        variables: of shared, local and parameter space that it declares.
        statements: its instructions.
        labels: the number of the instruction that each label stands before.
        targets: lists of labels for indexed branches, by their own label.
        has_body: whether it is defined here.
    """

    name: str
    is_kernel: bool
    parameters: tuple[Variable, ...] = ()
    results: tuple[Variable, ...] = ()
    directives: dict[str, tuple[int, ...]] = field(default_factory=dict)
    variables: list[Variable] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)
    targets: dict[str, tuple[str, ...]] = field(default_factory=dict)
    has_body: bool = False


@dataclass(slots=True)
class Module:
    """A text of PTX.

    Attributes:
        files: names of source files, by number.
        variables: of the module.
        functions: by name.
    """

    files: dict[int, str] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)


def written(operand: Operand) -> str:
    """An operand as PTX writes it."""
    match operand:
        case Register(name=name) | Special(name=name):
            return name
        case Number(bits=0, value=value):
            return str(value)
        case Number(bits=32, pattern=pattern):
            return f"0f{pattern:08X}"
        case Number(pattern=pattern):
            return f"0d{pattern:016X}"
        case Symbol(name=name, offset=offset):
            return f"{name}+{offset}" if offset else name
        case Address(base=base, offset=offset):
            words = written(base) if base is not None else ""
            return f"[{words}{_signed(offset) if offset and words else offset or ''}]"
        case Negated(register=register):
            return f"!{register.name}"
        case Sink():
            return "_"
        case Pair(first=first, second=second):
            return f"{written(first)}|{written(second)}"
        case Group(items=items):
            return f"{{{_joined(items)}}}"


def _signed(offset: int) -> str:
    return f"+{offset}" if offset > 0 else str(offset)


def _joined(items: Sequence[Operand]) -> str:
    return ", ".join(map(written, items))
