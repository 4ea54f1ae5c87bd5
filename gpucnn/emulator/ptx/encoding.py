"""The operands of an instruction, as the executor takes them: places, constants, displacements."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from gpucnn.emulator.errors import CompilationError, UnsupportedError
from gpucnn.emulator.ptx.layout import Layout, aligned
from gpucnn.emulator.ptx.opcodes import ADDRESS_64, SECOND_64, Opcode
from gpucnn.emulator.ptx.syntax import (
    TYPE_BYTES,
    Address,
    Module,
    Number,
    Operand,
    Register,
    Sink,
    Special,
    Statement,
    Symbol,
    written,
)

LANES = 32
NONE = 2**31 - 1
"""An operand that is left out."""
_OPERANDS = 24
ENCODED = struct.Struct(f"<H6BIiII{_OPERANDS}i2q")
"""``Encoded`` of executor/executor.h."""
_ALIGNMENT = 64
_KINDS = re.compile(r"(.)(\??)")
_SIZES = {"2": 2, "4": 4, "8": 8, ":": 16}


class Entry(NamedTuple):
    """An instruction of the executor.

    Attributes:
        number: of its handler.
        operands: bytes of each, "p" for a predicate, "a" for an address, "*" for a register of any
            size, each with a question mark after it if it may be left out.
        control: what the scheduler does about it.
    """

    number: int
    operands: str
    control: int


@dataclass
class Encoded:
    """An instruction before the places of labels are known.

    Attributes:
        entry: of the executor's table.
        opcode: what its modifiers say.
        statement: what it is made from.
        label: where it jumps to: the name of a function and of a label in it, which is empty for
            the function's beginning; None if it does not jump.
    """

    entry: Entry
    opcode: Opcode
    statement: Statement
    guard: int = NONE
    is_guard_negated: bool = False
    label: tuple[str, str] | None = None
    target: int = 0
    count: int = 1
    flags: int = 0
    widths: list[int] = field(default_factory=list)
    operands: list[int] = field(default_factory=list)
    immediates: list[int] = field(default_factory=list)

    def packed(self, target: int) -> bytes:
        """The bytes that the executor takes."""
        widths = (*self.widths, 0, 0)[:2]
        operands = (*self.operands, *[NONE] * _OPERANDS)[:_OPERANDS]
        immediates = (*self.immediates, 0, 0)[:2]
        return ENCODED.pack(
            self.entry.number,
            self.opcode.space,
            self.count,
            self.opcode.comparison,
            self.opcode.logic,
            *widths,
            self.flags,
            self.guard,
            self.is_guard_negated,
            target,
            *operands,
            *immediates,
        )


class Encoder:
    """Gives registers and constants their places, and encodes operands.

    Args:
        module: whose kernel is assembled.
        layout: where its variables lie.
        special_registers: in the order in which they lie at the beginning of the register file.

    Attributes:
        function: whose statements are assembled; it decides what names mean.
        constants: immediate operands.
        register_bytes: of a warp.
    """

    def __init__(self, module: Module, layout: Layout, special_registers: Sequence[str]) -> None:
        self.function = ""
        self.constants = bytearray()
        self.register_bytes = 4 * LANES * len(special_registers)
        self._module = module
        self._layout = layout
        self._special = {name: 4 * LANES * k for k, name in enumerate(special_registers)}
        self._registers: dict[Register, int] = {}
        self._constant_places: dict[bytes, int] = {}
        self._temporaries = 0

    def encode(self, encoded: Encoded, given: Sequence[Operand | None]) -> None:
        """Gives an instruction its operands.

        Args:
            encoded: the instruction.
            given: in the executor's order, with None for one that is left out.

        Raises:
            CompilationError: they do not fit the instruction.
        """
        kinds = _KINDS.findall(encoded.entry.operands)
        least = len(kinds)
        while least and kinds[least - 1][1]:
            least -= 1
        if not least <= len(given) <= len(kinds):
            raise CompilationError(
                f"PTX: {encoded.statement} has {len(given)} operands instead of {len(kinds)}"
            )
        for (kind, may_be_left_out), operand in zip(kinds, given, strict=False):
            if operand is None or isinstance(operand, Sink):
                if not may_be_left_out:
                    raise misfit(encoded.statement, operand)
                encoded.operands.append(NONE)
            elif kind == "a":
                self.encode_address(encoded, operand)
            elif kind == "p":
                encoded.operands.append(self._predicate(encoded, operand))
            elif kind == "*":
                encoded.operands.append(self._of_any_size(encoded, operand))
            else:
                encoded.operands.append(self._value(encoded.statement, operand, _SIZES[kind]))

    def _value(self, statement: Statement, operand: Operand, size: int) -> int:
        """The place of an operand's value: of a register, or the complement of a constant's."""
        match operand:
            case Register(type=name) if name != "pred" and TYPE_BYTES[name] == size:
                return self.register(operand)
            case Special(name=name) if name in self._special and size == 4:
                return self._special[name]
            case Special(name=name) if name not in self._special:
                raise UnsupportedError(
                    f"the register {name} is not declared, nor one that the executor of PTX knows"
                )
            case Number():
                return self._constant(operand.in_bytes(size) * LANES)
            case Symbol(name=name, offset=offset) if size in (4, 8):
                if name in self._module.functions:
                    raise pointer_to_function(name)
                place = self._layout.find(self.function, name)
                if place is not None:
                    address = (place.address + offset) % (1 << 8 * size)
                    return self._constant(address.to_bytes(size, "little") * LANES)
        raise misfit(statement, operand)

    def _of_any_size(self, encoded: Encoded, operand: Operand) -> int:
        """An operand of a conversion: of an integer, the register may be wider than its type."""
        *_, to, source = encoded.statement.opcode.split(".")
        type_name = source if encoded.widths else to
        least = max(TYPE_BYTES[type_name], 2)
        if isinstance(operand, Register) and operand.type != "pred":
            size = TYPE_BYTES[operand.type]
        else:
            size = 4 if isinstance(operand, Special) else least
        if size < least or (size > least and "f" in type_name):
            raise misfit(encoded.statement, operand)
        encoded.widths.append(size)
        return self._value(encoded.statement, operand, size)

    def _predicate(self, encoded: Encoded, operand: Operand) -> int:
        match operand:
            case Register(type="pred"):
                return self.register(operand)
            case Number(value=value):
                return self._constant((b"\xff" if value else b"\0") * 4)
        raise misfit(encoded.statement, operand)

    def register(self, register: Register) -> int:
        """The place of a register in a warp's register file."""
        place = self._registers.get(register)
        if place is None:
            is_predicate = register.type == "pred"  # which is one word
            size = 4 if is_predicate else max(TYPE_BYTES[register.type], 2) * LANES
            place = aligned(self.register_bytes, 4 if is_predicate else _ALIGNMENT)
            self._registers[register] = place
            self.register_bytes = place + size
        return place

    def temporary(self, type_name: str) -> Register:
        """A register that no statement names."""
        self._temporaries += 1
        return Register(f"temporary {self._temporaries}", type_name, 0)

    def _constant(self, content: bytes) -> int:
        """The complement of the place of a constant; equal ones have one place."""
        place = self._constant_places.get(content)
        if place is None:
            place = aligned(len(self.constants), _ALIGNMENT)
            self.constants += bytes(place - len(self.constants)) + content
            self._constant_places[content] = place
        return ~place

    def encode_address(self, encoded: Encoded, operand: Operand | None) -> None:
        """Gives an instruction a memory operand: a register or none, and a displacement.

        Raises:
            CompilationError: it is none, or names no variable.
        """
        if not isinstance(operand, Address):
            raise misfit(encoded.statement, operand)
        register, offset = NONE, operand.offset
        if isinstance(operand.base, Register):
            if operand.base.type == "pred" or TYPE_BYTES[operand.base.type] not in (4, 8):
                raise misfit(encoded.statement, operand)
            register = self.register(operand.base)
            if TYPE_BYTES[operand.base.type] == 8:
                encoded.flags |= SECOND_64 if encoded.immediates else ADDRESS_64
        elif isinstance(operand.base, Symbol):
            place = self._layout.find(self.function, operand.base.name)
            if place is None:
                raise misfit(encoded.statement, operand)
            offset += place.address + operand.base.offset
            encoded.opcode = replace(encoded.opcode, space=place.space)
        encoded.operands.append(register)
        encoded.immediates.append(offset)

    def memory_value(self, encoded: Encoded, operand: Operand | None, width: int) -> int:
        """The place of what a load or a store moves.

        Args:
            encoded: the instruction.
            operand: a register, a number, or nothing.
            width: bytes of all registers of the instruction.

        Raises:
            CompilationError: it is something else.
        """
        match operand:
            case Register(type=type_name) if type_name != "pred":
                return self.register(operand)
            case Sink():
                return NONE
            case Number():
                return self._constant(operand.in_bytes(width) * LANES)
        raise misfit(encoded.statement, operand)


def pointer_to_function(name: str) -> UnsupportedError:
    """What to raise if the address of a function is taken."""
    return UnsupportedError(
        f"the address of the function {name} is taken; the executor of PTX does not support calls "
        "through pointers, and so no virtual functions"
    )


def misfit(statement: Statement, operand: Operand | None) -> CompilationError:
    """What to raise of an operand that does not fit its instruction."""
    what = "nothing" if operand is None else written(operand)
    return CompilationError(f"PTX: {what} cannot be an operand of {statement}")
