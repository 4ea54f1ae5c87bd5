"""Where a kernel's variables lie: in shared, local and global memory, and in its parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from gpucnn.emulator.errors import CompilationError
from gpucnn.emulator.ptx.opcodes import GLOBAL, LOCAL, PARAMETER, SHARED
from gpucnn.emulator.ptx.syntax import Address, Function, Group, Module, Operand, Symbol, Variable

DEVICE = 1 << 62
SLOT_BITS = 40
FIRST_SLOT = 2
SHARED_WINDOW, LOCAL_WINDOW = DEVICE, DEVICE | 1 << SLOT_BITS
"""Generic addresses of shared and of local memory (executor/executor.h)."""
_GAP = 256
"""Bytes between variables in shared memory, which belong to none; also before the first."""

_MOST_LOCAL_BYTES = 512 * 1024
"""Of a thread (CUDA C++ Programming Guide, "Technical Specifications per Compute Capability")."""


@dataclass(frozen=True)
class Place:
    """Where a variable lies.

    Attributes:
        space: one of those of ``opcodes``.
        address: in it.
        variable: what lies there.
    """

    space: int
    address: int
    variable: Variable


def slot_address(number: int) -> int:
    """The middle of the addresses that an array has to itself.

    Args:
        number: of the array among those of a launch, the module's variables first.
    """
    return DEVICE | FIRST_SLOT + number << SLOT_BITS | 1 << SLOT_BITS - 1


class Layout:
    """The variables of a kernel and of the functions that it calls.

    Args:
        module: whose kernel it is.
        kernel: the kernel.
        functions: it and all functions that it calls, directly or not.
        addresses: the addresses of the module's variables.

    Attributes:
        shared: static variables of shared memory.
        dynamic: what names the dynamic shared memory; several names are one place.
        static_shared_bytes: of all static ones, without gaps.
        dynamic_shared: the address at which dynamic shared memory begins.
        local_bytes: of local memory, a thread.
        parameter_bytes: of the kernel's parameters.
    """

    def __init__(
        self,
        module: Module,
        kernel: Function,
        functions: Iterable[Function],
        addresses: Mapping[str, int],
    ) -> None:
        self.shared: list[Place] = []
        self.dynamic: list[Place] = []
        self.static_shared_bytes = 0
        self.local_bytes = 0
        self.parameter_bytes = 0
        self._end_of_shared = _GAP
        self._places: dict[tuple[str, str], Place] = {}
        self._common: dict[str, Place] = {
            name: Place(GLOBAL, address, module.variables[name])
            for name, address in addresses.items()
        }
        for variable in kernel.parameters:
            self.parameter_bytes = aligned(self.parameter_bytes, variable.alignment)
            place = Place(PARAMETER, self.parameter_bytes, variable)
            self._places[kernel.name, variable.name] = place
            self.parameter_bytes += variable.bytes
        used: set[str] = set()
        for function in functions:
            self._add_function(function, is_kernel=function is kernel)
            used.update(_symbols(function))
        dynamic = []
        for variable in module.variables.values():
            if variable.space == "shared" and variable.name in used:
                if variable.bytes == 0:
                    dynamic.append(variable)
                else:
                    self._common[variable.name] = self._in_shared(variable)
        if self.local_bytes > _MOST_LOCAL_BYTES:
            raise CompilationError(
                f"PTX: a thread of {kernel.name} has {self.local_bytes} bytes of local memory, a "
                f"GPU's has {_MOST_LOCAL_BYTES}"
            )
        alignment = max((variable.alignment for variable in dynamic), default=1)
        self.dynamic_shared = aligned(self._end_of_shared, max(alignment, 16))
        for variable in dynamic:
            place = Place(SHARED, self.dynamic_shared, variable)
            self._common[variable.name] = place
            self.dynamic.append(place)

    def find(self, function: str, name: str) -> Place | None:
        """Where a variable lies that a function names; None if there is none of this name."""
        return self._places.get((function, name)) or self._common.get(name)

    def _add_function(self, function: Function, is_kernel: bool) -> None:
        variables = list(function.variables)
        if not is_kernel:
            variables += [*function.parameters, *function.results]
        for variable in variables:
            key = function.name, variable.name
            if variable.space == "shared":
                self._places[key] = self._in_shared(variable)
            else:  # a name that several calls use gets as much as the largest of them needs
                known = self._places.get(key)
                if known is None or known.variable.bytes < variable.bytes:
                    self._places[key] = self._in_local(variable)

    def _in_shared(self, variable: Variable) -> Place:
        place = Place(SHARED, aligned(self._end_of_shared, variable.alignment), variable)
        self._end_of_shared = place.address + variable.bytes + _GAP
        self.static_shared_bytes = (
            aligned(self.static_shared_bytes, variable.alignment) + variable.bytes
        )
        self.shared.append(place)
        return place

    def _in_local(self, variable: Variable) -> Place:
        place = Place(LOCAL, aligned(self.local_bytes, max(variable.alignment, 16)), variable)
        self.local_bytes = place.address + variable.bytes
        return place


def aligned(place: int, alignment: int) -> int:
    """The first multiple of an alignment that is not below a place."""
    return -(-place // alignment) * alignment


def _symbols(function: Function) -> Iterator[str]:
    """The names that a function's instructions mention."""
    for statement in function.statements:
        for operand in statement.operands:
            yield from _symbols_of(operand)


def _symbols_of(operand: Operand) -> Iterator[str]:
    match operand:
        case Symbol(name=name) | Address(base=Symbol(name=name)):
            yield name
        case Group(items=items):
            for item in items:
                yield from _symbols_of(item)


def called_functions(module: Module, kernel: Function) -> list[Function]:
    """A kernel, and the functions that it calls, directly or not, that have a body."""
    found = [kernel]
    for function in found:
        for statement in function.statements:
            if statement.opcode.partition(".")[0] == "call":
                for name in (n for operand in statement.operands for n in _symbols_of(operand)):
                    callee = module.functions.get(name)
                    if callee is not None and callee.has_body and callee not in found:
                        found.append(callee)
    return found
