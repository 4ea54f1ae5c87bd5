"""What a library's symbols say of its modules: their kernels' shared memory, their variables."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple

from gpucnn.emulator.elf import (
    FUNCTION,
    OBJECT,
    THREAD_LOCAL,
    Symbol,
    all_symbols,
    dynamic_symbols,
)
from gpucnn.emulator.mangling import identifiers

_OF_MODULES = "gpucnn_"
"""In the names of all that belongs to a module (``symbol_prefix``)."""


class Variable(NamedTuple):
    """A variable: its mangled name, where it lies in its section or from an anchor, its size."""

    name: str
    offset: int
    bytes: int


@dataclass(frozen=True)
class SymbolTable:
    """The names of a library's modules, as the compiler mangles them.

    Attributes:
        symbols: of the library.
        shared_kind: the kind that variables of shared memory are of: a thread's own, or ordinary
            ones in a library that is sanitized.
    """

    symbols: tuple[Symbol, ...]
    shared_kind: int

    @cached_property
    def _functions(self) -> dict[int, str]:
        named = [symbol for symbol in self.symbols if symbol.kind == FUNCTION and symbol.defined]
        return {symbol.offset: symbol.name for symbol in named}

    def offset_of(self, name: str) -> int:
        """Where a name is, from the beginning of the library as it is loaded."""
        return next(symbol.offset for symbol in self.symbols if symbol.name == name)

    def function_at(self, offset: int) -> str:
        """The name of the function that begins there; empty if none does."""
        return self._functions.get(offset, "")

    def shared_variables(self, prefix: str, others: Sequence[str]) -> tuple[Variable, ...]:
        """The shared variables that a kernel may use, each by its distance from the anchor.

        Its own, and those of its module that no kernel owns: a device function's may be anyone's.

        Args:
            prefix: of the kernel's module; the library may hold others.
            others: the functions of the module's other kernels.
        """
        owned = tuple(f"_ZZ{name.removeprefix('_Z')}E" for name in others)
        dynamic = re.compile(rf"_ZN{_counted(prefix)}\d")
        own = [
            Variable(symbol.name, symbol.offset, symbol.bytes)
            for symbol in self._of_module(self.shared_kind, prefix)
            if not symbol.name.startswith(owned) and not dynamic.match(symbol.name)
        ]
        return self._from_anchor(own, prefix)

    def moved(self, shared: Sequence[Variable], prefix: str) -> tuple[Variable, ...]:
        """The shared variables of another library of the same module, as this one has them.

        Its sizes may have a sanitizer's red zones in them.
        """
        sizes = {variable.name: variable.bytes for variable in shared}
        own = [
            Variable(symbol.name, symbol.offset, sizes[symbol.name])
            for symbol in self._of_module(self.shared_kind, prefix)
            if symbol.name in sizes
        ]
        return self._from_anchor(own, prefix)

    def variables(self, prefix: str) -> dict[str, Variable]:
        """The variables of a module that can be written to, by the names that they have in it.

        Each by its distance from what describes the module.
        """
        origin = self.offset_of(f"{prefix}_module")
        found = {}
        for symbol in self._of_module(OBJECT, prefix):
            if symbol.is_writable and symbol.bytes and not symbol.name.startswith("_ZZ"):
                name = "::".join(identifiers(symbol.name)[1:])
                found[name] = Variable(symbol.name, symbol.offset - origin, symbol.bytes)
        return found

    def _of_module(self, kind: int, prefix: str) -> Iterator[Symbol]:
        for symbol in self.symbols:
            is_variable = symbol.kind == kind and symbol.defined and symbol.bytes > 0
            if is_variable and identifiers(symbol.name)[:1] == [prefix]:
                yield symbol

    def _from_anchor(self, chosen: Sequence[Variable], prefix: str) -> tuple[Variable, ...]:
        begin = f"_ZZL{_counted(prefix + '_anchor')}"
        anchor = next(symbol for symbol in self.symbols if symbol.name.startswith(begin))
        return tuple(v._replace(offset=v.offset - anchor.offset) for v in chosen)


@cache
def symbol_table(library: Path, is_sanitized: bool = False) -> SymbolTable:
    """The names of a library's modules.

    Args:
        library: the file.
        is_sanitized: whether it was compiled with the address sanitizer.
    """
    every = all_symbols(library.read_bytes())
    symbols = tuple(symbol for symbol in every if _OF_MODULES in symbol.name)
    return SymbolTable(symbols, OBJECT if is_sanitized else THREAD_LOCAL)


def undefined_names(library: Path, runtime: Path) -> list[str]:
    """What a library of kernels uses that neither the runtime nor this process defines."""
    process = ctypes.CDLL(None)
    needed = [symbol.name for symbol in dynamic_symbols(library.read_bytes()) if symbol.needed]
    return [
        name for name in needed if name not in _supplied(runtime) and not hasattr(process, name)
    ]


@cache
def _supplied(runtime: Path) -> frozenset[str]:
    return frozenset(each.name for each in dynamic_symbols(runtime.read_bytes()) if each.defined)


def identifier_of(name: str) -> str:
    """What an author has written, of the compiler's name for it."""
    return "::".join(identifiers(name)[1:]) or name


def variable_name(mangled: str) -> str:
    """The identifier of a variable, of the compiler's name for it."""
    for match in re.finditer(r"E(\d+)(?=[A-Za-z_])", mangled):  # Of a function: "...E4tile", "_0".
        begin, end = match.end(), match.end() + int(match[1])
        if re.fullmatch(r"(_\d*_?)?", mangled[end:]):
            return mangled[begin:end]
    return identifier_of(mangled)


def _counted(identifier: str) -> str:
    return f"{len(identifier)}{identifier}"
