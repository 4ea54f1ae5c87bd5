"""From a kernel's statements to instructions as the executor takes them.

Registers get places in a warp's register file, immediate operands in a table of constants, and
variables their addresses. What an instruction's operands must be is read from the executor's own
table of instructions. Nothing here knows what an instruction does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gpucnn.emulator.errors import CompilationError, UnsupportedError
from gpucnn.emulator.ptx.encoding import Encoded, Encoder, Entry
from gpucnn.emulator.ptx.layout import (
    LOCAL_WINDOW,
    SHARED_WINDOW,
    Layout,
    Place,
    called_functions,
)
from gpucnn.emulator.ptx.opcodes import LOCAL, SHARED, take_apart
from gpucnn.emulator.ptx.operands import (
    check_count,
    check_first,
    flat,
    in_order_of_barriers,
    name_of,
    so_many,
    with_second,
)
from gpucnn.emulator.ptx.syntax import (
    TYPE_BYTES,
    Address,
    Function,
    Group,
    Location,
    Module,
    Negated,
    Number,
    Operand,
    Register,
    Special,
    Statement,
)

COLLECTIVE = 9
"""The control of instructions whose last operand names lanes (executor/executor.h)."""
_WINDOWS = {SHARED: SHARED_WINDOW, LOCAL: LOCAL_WINDOW}
_CLOCKS = {
    "%clock": "clock.32", "%clock_hi": "clock.32", "%clock64": "clock.64",
    "%globaltimer": "clock.64", "%globaltimer_lo": "clock.32",
}  # fmt: skip
_COPY_BYTES = (4, 8, 16)
_END = Statement("ret", (), None, None)


@dataclass
class Assembled:
    """A kernel as the executor takes it.

    Attributes:
        code: instructions.
        constants: immediate operands.
        targets: of indexed branches.
        statements: what each instruction was made from.
        entry: the number of the kernel's first instruction.
        register_bytes: of a warp.
        function_count: functions that it calls.
        layout: where its variables lie.
    """

    code: bytes
    constants: bytes
    targets: list[int]
    statements: list[Statement]
    entry: int
    register_bytes: int
    function_count: int
    layout: Layout


def assemble(
    module: Module,
    kernel: Function,
    addresses: Mapping[str, int],
    table: Mapping[str, Entry],
    special_registers: Sequence[str],
) -> Assembled:
    """A kernel and the functions that it calls.

    Args:
        module: whose kernel it is.
        kernel: the kernel.
        addresses: the addresses of the module's variables.
        table: the executor's instructions.
        special_registers: in the order in which they lie at the beginning of the register file.

    Raises:
        UnsupportedError: an instruction that the executor does not have.
        CompilationError: operands that do not fit an instruction.
    """
    functions = called_functions(module, kernel)
    layout = Layout(module, kernel, functions, addresses)
    assembler = _Assembler(module, functions, layout, table, special_registers)
    return assembler.assembled()


class _Assembler:
    def __init__(
        self,
        module: Module,
        functions: Sequence[Function],
        layout: Layout,
        table: Mapping[str, Entry],
        special_registers: Sequence[str],
    ) -> None:
        self._module = module
        self._functions = functions
        self._layout = layout
        self._table = table
        self._encoder = Encoder(module, layout, special_registers)
        self._encoded: list[Encoded] = []
        self._places: dict[tuple[str, str], int] = {}
        self._targets: list[tuple[str, str]] = []
        self._numbers = {function.name: number for number, function in enumerate(functions)}

    def assembled(self) -> Assembled:
        for function in self._functions:
            self._add_function(function)
        code = b"".join(
            each.packed(each.target if each.label is None else self._place_of(each.label))
            for each in self._encoded
        )
        return Assembled(
            code,
            bytes(self._encoder.constants),
            [self._place_of(label) for label in self._targets],
            [each.statement for each in self._encoded],
            self._places[self._functions[0].name, ""],
            -(-self._encoder.register_bytes // 64) * 64,
            len(self._functions),
            self._layout,
        )

    def _place_of(self, label: tuple[str, str]) -> int:
        if label not in self._places:
            raise CompilationError(f"PTX: {label[0]} has no label {label[1]}")
        return self._places[label]

    # Functions and statements

    def _add_function(self, function: Function) -> None:
        self._function = function
        self._encoder.function = function.name
        self._places[function.name, ""] = len(self._encoded)
        labels: dict[int, list[str]] = {}
        for label, number in function.labels.items():
            labels.setdefault(number, []).append(label)
        # Whoever falls off the end leaves.
        for number, statement in enumerate([*function.statements, _END]):
            for label in labels.get(number, ()):
                self._places[function.name, label] = len(self._encoded)
            self._add(statement)

    def _add(self, statement: Statement) -> None:
        match statement.opcode.partition(".")[0]:
            case "mov":
                self._move(statement)
            case "bra":
                self._branch(statement)
            case "brx":
                self._branch_by_index(statement)
            case "call":
                self._call(statement)
            case "ret":
                self._return(statement)
            case "ld" | "ldu":
                self._load(statement)
            case "st":
                self._store(statement)
            case "cvta":
                encoded = self._emit(statement, statement.operands)
                encoded.immediates = [_WINDOWS.get(encoded.opcode.space, 0)]
            case "bar" | "barrier":
                self._emit(statement, in_order_of_barriers(statement))
            case "cp":
                self._copy_asynchronously(statement)
            case "fence" | "membar" | "prefetch" | "prefetchu":
                self._emit(statement, ())
            case _:
                self._emit(statement, flat(with_second(statement)))
        check_first(statement)

    def _emit(
        self, statement: Statement, operands: Sequence[Operand | None], instruction: str = ""
    ) -> Encoded:
        """Adds an instruction.

        Args:
            statement: what it is made from.
            operands: in the executor's order, with None for one that is left out.
            instruction: the executor's name for it; empty for that of the statement's opcode.
        """
        operands = [self._without_negation(statement, operand) for operand in operands]
        encoded = self._begin(statement, instruction)
        self._encoder.encode(encoded, operands)
        if encoded.entry.control == COLLECTIVE:
            encoded.count = len(encoded.operands) - 1
        self._encoded.append(encoded)
        return encoded

    def _begin(self, statement: Statement, instruction: str = "") -> Encoded:
        """An instruction that has no operands yet."""
        opcode = take_apart(statement.opcode)
        entry = self._table.get(instruction or opcode.instruction)
        if entry is None:
            raise UnsupportedError(
                f"the PTX instruction {instruction or statement.opcode} is not one that the "
                f"executor knows{self._at(statement.location)}"
            )
        encoded = Encoded(entry, opcode, statement, flags=opcode.flags, count=opcode.count)
        guard = statement.guard
        if guard is not None:
            encoded.is_guard_negated = isinstance(guard, Negated)
            predicate = guard.register if isinstance(guard, Negated) else guard
            encoded.guard = self._encoder.register(predicate)
        return encoded

    def _without_negation(self, statement: Statement, operand: Operand | None) -> Operand | None:
        """An operand; of a negated predicate, a register that has the opposite."""
        if not isinstance(operand, Negated):
            return operand
        opposite = self._encoder.temporary("pred")
        self._emit(replace(statement, opcode="not.pred"), (opposite, operand.register))
        return opposite

    def _at(self, location: Location | None) -> str:
        if location is None:
            return ""
        return f"; it is used at {line_of(self._module, location)}"

    # Instructions with operands of their own kind

    def _move(self, statement: Statement) -> None:
        to, source = so_many(statement, 2)
        bits = 8 * TYPE_BYTES.get(statement.opcode.rpartition(".")[2], 0)
        if isinstance(source, Group) and source.items:
            parts = len(source.items)
            self._emit(statement, (to, *source.items), f"pack.{parts}x{bits // parts}")
        elif isinstance(to, Group) and to.items:
            parts = len(to.items)
            self._emit(statement, (*to.items, source), f"unpack.{parts}x{bits // parts}")
        elif isinstance(source, Special) and source.name in _CLOCKS:
            self._emit(statement, (to,), _CLOCKS[source.name])
        else:
            self._emit(statement, (to, source))

    def _copy_asynchronously(self, statement: Statement) -> None:
        """cp.async, whose last operand may be a predicate: whether nothing is read.

        The third operand of a copy is its size, a constant.
        """
        match statement.operands:
            case [Address(), _, Number(value=size), *_] if size in _COPY_BYTES:
                pass
            case [Address(), *_]:
                raise CompilationError(f"PTX: {statement} does not copy 4, 8 or 16 bytes")
        last = statement.operands[-1] if statement.operands else None
        register = last.register if isinstance(last, Negated) else last
        ignores = isinstance(register, Register) and register.type == "pred"
        self._emit(statement, statement.operands, "cp.async.ignore_src" if ignores else "")

    def _branch(self, statement: Statement) -> None:
        (label,) = so_many(statement, 1)
        encoded = self._emit(statement, ())
        encoded.label = self._function.name, name_of(statement, label)

    def _branch_by_index(self, statement: Statement) -> None:
        index, table = so_many(statement, 2)
        labels = self._function.targets.get(name_of(statement, table), ())
        encoded = self._emit(statement, (index,))
        encoded.target = len(self._targets)
        encoded.immediates = [len(labels)]
        self._targets += [(self._function.name, label) for label in labels]

    def _return(self, statement: Statement) -> None:
        if self._function.is_kernel:
            self._emit(statement, (), "exit")
        else:
            encoded = self._emit(statement, ())
            encoded.immediates = [self._numbers[self._function.name]]

    def _call(self, statement: Statement) -> None:
        """The arguments are copied to the function's parameters, and its result back."""
        operands = list(statement.operands)
        results = operands.pop(0) if operands and isinstance(operands[0], Group) else Group(())
        if not operands:
            raise CompilationError(f"PTX: {statement} calls no function")
        name = name_of(statement, operands[0])
        arguments = operands[1] if len(operands) > 1 else Group(())
        callee = self._module.functions.get(name)
        if not isinstance(results, Group) or not isinstance(arguments, Group):
            raise CompilationError(f"PTX: {statement} is not understood")
        if callee is None or not callee.has_body:  # one of the driver's own
            if name not in self._table:
                raise UnsupportedError(
                    f"the function {name} is not one that the executor of PTX knows"
                    f"{self._at(statement.location)}"
                )
            encoded = self._emit(statement, (), name)
            places = [self._place(statement, argument) for argument in arguments.items[:2]]
            encoded.immediates = [place.address for place in places if place is not None]
            return
        check_count(statement, arguments.items, len(callee.parameters))
        check_count(statement, results.items, len(callee.results))
        for argument, parameter in zip(arguments.items, callee.parameters, strict=True):
            to = self._layout.find(name, parameter.name)
            self._copy(statement, self._place(statement, argument), to, parameter.bytes)
        encoded = self._emit(statement, ())
        encoded.label = name, ""
        encoded.immediates = [self._numbers[name]]
        for result, value in zip(results.items, callee.results, strict=True):
            source = self._layout.find(name, value.name)
            self._copy(statement, source, self._place(statement, result), value.bytes)

    def _place(self, statement: Statement, operand: Operand) -> Place | None:
        return self._layout.find(self._function.name, name_of(statement, operand))

    def _copy(
        self, statement: Statement, source: Place | None, to: Place | None, size: int
    ) -> None:
        """Copies local memory, as a part of a call."""
        if source is None or to is None:
            raise CompilationError(f"PTX: {statement} passes what is no variable")
        done = 0
        while done < size:
            step = next(step for step in (8, 4, 2, 1) if done + step <= size)
            register = self._encoder.temporary(f"b{8 * max(step, 2)}")
            kind = f"local.b{8 * step}"
            load = Statement(f"ld.{kind}", (), statement.guard, statement.location)
            store = Statement(f"st.{kind}", (), statement.guard, statement.location)
            self._encode_memory(load, [register], Address(None, source.address + done), False)
            self._encode_memory(store, [register], Address(None, to.address + done), True)
            done += step

    def _load(self, statement: Statement) -> None:
        *data, address = flat(statement.operands) or [None]
        self._encode_memory(statement, data, address, False)

    def _store(self, statement: Statement) -> None:
        address, *data = flat(statement.operands) or [None]
        self._encode_memory(statement, data, address, True)

    def _encode_memory(
        self,
        statement: Statement,
        data: Sequence[Operand | None],
        address: Operand | None,
        is_store: bool,
    ) -> None:
        """A load or a store, whose registers may be wider than what is in memory."""
        encoded = self._begin(statement)
        if len(data) != encoded.count:
            raise CompilationError(
                f"PTX: {statement} has {len(data)} values instead of {encoded.count}"
            )
        size = max(TYPE_BYTES[encoded.opcode.type_name], 2)
        widths = {TYPE_BYTES[each.type] for each in data if isinstance(each, Register)}
        width = widths.pop() if widths else size
        if widths or width < size:
            raise CompilationError(f"PTX: {statement} has registers of the wrong size")
        values = [self._encoder.memory_value(encoded, each, width) for each in data]
        if is_store:
            self._encoder.encode_address(encoded, address)
            encoded.operands += values
        else:
            encoded.operands += values
            self._encoder.encode_address(encoded, address)
        encoded.widths = [width]
        self._encoded.append(encoded)


def line_of(module: Module, location: Location) -> str:
    """A line of the source, as messages write it."""
    return f"{module.files.get(location.file, '').rpartition('/')[2]}:{location.line}"
