"""Compiled modules, loaded: their kernels, parameters, shared memory and variables."""

from __future__ import annotations

import ctypes
import shutil
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpucnn.emulator.arguments import ArgumentPacker, Parameter
from gpucnn.emulator.errors import EmulatorError
from gpucnn.emulator.scratch import scratch_folder
from gpucnn.emulator.source import Source
from gpucnn.emulator.symbols import SymbolTable, Variable, symbol_table, variable_name
from gpucnn.emulator.translation import symbol_prefix

_VARIABLE = struct.Struct("@qQP")
"""The runtime's SharedVariable (runtime/launch.h)."""


class _Parameter(ctypes.Structure):
    _fields_ = (("kind", ctypes.c_char), ("pointee", ctypes.c_char), ("bytes", ctypes.c_uint))


class _KernelEntry(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("parameter_names", ctypes.c_char_p),
        ("is_plain", ctypes.c_int),
        ("call", ctypes.c_void_p),
        ("parameters", ctypes.POINTER(_Parameter)),
        ("most_threads", ctypes.c_uint),
        ("function", ctypes.c_void_p),
    )


class _Module(ctypes.Structure):
    """What a module exports (include/module.h), apart from its shared memory, which follows."""

    _fields_ = (("kernels", ctypes.POINTER(_KernelEntry)), ("templates", ctypes.c_char_p))


@dataclass(frozen=True)
class LoadedKernel:
    """A kernel of a library.

    Attributes:
        name: its function.
        source: what it was compiled from.
        library: the file.
        entry: the address of what calls it.
        shared: the address of what says where its shared memory is.
        shared_variables: the static ones it may use, each by its distance from there.
        variables: those of its module, each by its distance from what describes the module.
        module: the address of what describes the module.
        parameters: of the function.
        most_threads: what its ``__launch_bounds__`` allow a block; 0 without.
        is_plain: whether its plain name finds it on a GPU.
    """

    name: str
    source: Source
    library: Path
    entry: int
    shared: int
    shared_variables: tuple[Variable, ...]
    variables: Mapping[str, Variable]
    module: int
    parameters: tuple[Parameter, ...]
    most_threads: int
    is_plain: bool

    def __str__(self) -> str:
        """The function, its file and constants."""
        return f"{self.name} of {self.source}"

    def sanitized(self, library: Path) -> LoadedKernel:
        """The kernel in a sanitized library, which cannot be loaded.

        Its variables are named as in this one, whose memory holds them between launches.
        """
        table = symbol_table(library, is_sanitized=True)
        shared = table.moved(self.shared_variables, symbol_prefix(self.source))
        return replace(self, library=library, shared_variables=shared)

    @property
    def parameter_count(self) -> int:
        """How many parameters it has."""
        return len(self.parameters)

    @cached_property
    def static_shared_bytes(self) -> int:
        """Static shared memory a block."""
        return sum(variable.bytes for variable in self.shared_variables)

    @cached_property
    def packed(self) -> ArgumentPacker:
        """Packs a launch's arguments."""
        return ArgumentPacker(str(self), self.parameters)

    @cached_property
    def name_in_memory(self) -> ctypes.Array[ctypes.c_char]:
        """The name, for the runtime."""
        return ctypes.create_string_buffer(self.name.encode())

    @cached_property
    def variable_names(self) -> tuple[bytes, ...]:
        """What messages call the shared variables."""
        return tuple(
            f"{variable_name(v.name)} (shared memory, {v.bytes} bytes)".encode()
            for v in self.shared_variables
        )

    @cached_property
    def variables_in_memory(self) -> ctypes.Array[ctypes.c_char]:
        """The shared variables, for the runtime."""
        content = b"".join(
            _VARIABLE.pack(
                v.offset, v.bytes, ctypes.cast(ctypes.c_char_p(name), ctypes.c_void_p).value
            )
            for v, name in zip(self.shared_variables, self.variable_names, strict=True)
        )
        return ctypes.create_string_buffer(content, len(content))


@dataclass(frozen=True)
class Module(Mapping[str, LoadedKernel]):
    """The kernels of a source, by name.

    Attributes:
        source: what was compiled.
        kernels: by name.
        templates: the names of kernels that are templates, of which none is compiled by itself.
        variables: the bytes of those that can be written to, by name.
    """

    source: Source
    kernels: Mapping[str, LoadedKernel]
    templates: tuple[str, ...]
    variables: Mapping[str, NDArray[np.uint8]]

    def __getitem__(self, name: str) -> LoadedKernel:
        """The kernel of a name."""
        return self.kernels[name]

    def __iter__(self) -> Iterator[str]:
        """The names of all kernels."""
        return iter(self.kernels)

    def __len__(self) -> int:
        """How many kernels there are."""
        return len(self.kernels)

    def sanitized(self, library: Path) -> Module:
        """The module in a sanitized library."""
        kernels = {name: kernel.sanitized(library) for name, kernel in self.kernels.items()}
        return replace(self, kernels=kernels)


class Library:
    """A library of modules, loaded.

    Args:
        path: the file.
        is_private: whether nobody else is to see its modules' variables. The system loads a file
            once, so a copy is loaded then.

    Raises:
        EmulatorError: it cannot be loaded.
    """

    def __init__(self, path: Path, is_private: bool = False) -> None:
        self.path = path
        try:
            if is_private:
                with scratch_folder() as folder:  # Once loaded, the file can go.
                    copy = shutil.copyfile(path, folder / "library.so")
                    self._library = ctypes.CDLL(str(copy))
            else:
                self._library = ctypes.CDLL(str(path))
        except OSError as error:
            raise EmulatorError(f"compiled kernels cannot be loaded: {error}") from error
        self._symbols: SymbolTable = symbol_table(path)

    def module(self, source: Source) -> Module:
        """One of its modules."""
        prefix = symbol_prefix(source)
        described = _Module.in_dll(self._library, f"{prefix}_module")
        address = ctypes.addressof(described)
        base = address - self._symbols.offset_of(f"{prefix}_module")
        entries = list(_entries(described))
        functions = {
            entry.name: self._symbols.function_at(entry.function - base) for entry in entries
        }
        variables = self._symbols.variables(prefix)
        kernels = {}
        for entry in entries:
            # One function may have several names.
            others = sorted({*functions.values()} - {functions[entry.name]})
            name = entry.name.decode()
            kernels[name] = LoadedKernel(
                name,
                source,
                self.path,
                entry.call,
                address + ctypes.sizeof(_Module),
                self._symbols.shared_variables(prefix, others),
                variables,
                address,
                _parameters(entry),
                entry.most_threads,
                bool(entry.is_plain),
            )
        return Module(
            source,
            kernels,
            tuple(described.templates.decode().split(",")) if described.templates else (),
            {name: _bytes_at(address + v.offset, v.bytes) for name, v in variables.items()},
        )


def _bytes_at(address: int, size: int) -> NDArray[np.uint8]:
    """Memory of a library, which is never unloaded."""
    return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))


def _entries(module: _Module) -> Iterator[_KernelEntry]:
    number = 0
    while module.kernels[number].name is not None:
        yield module.kernels[number]
        number += 1


def _parameters(entry: _KernelEntry) -> tuple[Parameter, ...]:
    names = entry.parameter_names.decode().split(",")
    found: list[Parameter] = []
    while (parameter := entry.parameters[len(found)]).kind != b"\0":
        name = names[len(found)] if len(found) < len(names) else ""
        pointee = parameter.pointee.strip(b"\0").decode()
        found.append(Parameter(name, parameter.kind.decode(), parameter.bytes, pointee))
    return tuple(found)
