"""Compiled modules and the emulator's runtime, called through ctypes."""

from __future__ import annotations

import ctypes
import signal
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from gpucnn.backends.devices.device import Argument, Grid
from gpucnn.backends.devices.source import KernelSource
from gpucnn.emulator.arguments import ArgumentPacker, Parameter, address_of
from gpucnn.emulator.errors import FAILURE_KINDS, EmulatorError
from gpucnn.emulator.symbols import (
    Variable,
    line_of_kernel,
    moved_variables,
    shared_variables,
    source_lines,
    static_variables,
    thread_local_variables,
    variable_name,
)
from gpucnn.emulator.translation import symbol_prefix


class _Parameter(ctypes.Structure):
    _fields_ = (("kind", ctypes.c_char), ("bytes", ctypes.c_uint))


class _KernelEntry(ctypes.Structure):
    _fields_ = (
        ("call", ctypes.c_void_p),
        ("parameters", ctypes.POINTER(_Parameter)),
        ("most_threads", ctypes.c_uint),
    )


_REQUEST = struct.Struct("@PPPPQPPQ3I3IQQIIdI4xQQI4x")
"""The runtime's LaunchRequest (runtime/launch.h)."""
_VARIABLE = struct.Struct("@qQP")
"""The runtime's SharedVariable."""
_REGION = struct.Struct("@QQQPQ")
"""The runtime's Region."""
_AT, _OTHER = "\1", "\2"
"""Where the runtime's messages are to name lines (runtime/block.h)."""
_INTERRUPTED = 2
"""What the runtime's launch returns when the user has ended it."""


class _SourcePlace(ctypes.Structure):
    _fields_ = (
        ("frames", ctypes.c_uint64 * 24),
        ("count", ctypes.c_uint32),
        ("line", ctypes.c_int),
        ("file", ctypes.c_char_p),
    )


class _LaunchFailure(ctypes.Structure):
    _fields_ = (
        ("message", ctypes.c_char * 2048),
        ("kind", ctypes.c_uint32),
        ("at", _SourcePlace),
        ("other", _SourcePlace),
    )


@dataclass(frozen=True)
class LoadedKernel:
    """A kernel of a library.

    Attributes:
        name: its function.
        source: what it was compiled from.
        library: the file.
        entry: the address of what calls it.
        shared: the address of what tells where its shared memory is.
        shared_variables: the static ones it may use, each by its distance from there.
        parameters: kind and size of each, as include/entry.h writes them.
        most_threads: what its ``__launch_bounds__`` allow a block; 0 without.
    """

    name: str
    source: KernelSource
    library: Path
    entry: int
    shared: int
    shared_variables: tuple[Variable, ...]
    parameters: tuple[Parameter, ...]
    most_threads: int

    def __str__(self) -> str:
        """The function, its file and constants."""
        return f"{self.name} of {self.source}"

    def sanitized(self, library: Path) -> LoadedKernel:
        """The kernel in a sanitized library, which cannot be loaded."""
        prefix = symbol_prefix(self.source)
        shared = moved_variables(self.shared_variables, static_variables(library), prefix)
        return replace(self, library=library, shared_variables=shared)

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
            _VARIABLE.pack(v.offset, v.bytes, _address(name))
            for v, name in zip(self.shared_variables, self.variable_names, strict=True)
        )
        return ctypes.create_string_buffer(content, len(content))


class Library:
    """A library of modules, loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._library = ctypes.CDLL(str(path))
        except OSError as error:
            raise EmulatorError(f"compiled kernels cannot be loaded: {error}") from error
        self._variables = thread_local_variables(path)

    def kernel(self, source: KernelSource, function: str) -> LoadedKernel:
        """One of its kernels."""
        prefix = symbol_prefix(source)
        entry = _KernelEntry.in_dll(self._library, f"{prefix}_{function}")
        shared = ctypes.c_char.in_dll(self._library, f"{prefix}_shared_memory")
        parameters: list[Parameter] = []
        while entry.parameters[len(parameters)].kind != b"\0":
            parameter = entry.parameters[len(parameters)]
            parameters.append((parameter.kind.decode(), parameter.bytes))
        return LoadedKernel(
            function,
            source,
            self.path,
            entry.call,
            ctypes.addressof(shared),
            shared_variables(self._variables, prefix, function, source.functions()),
            tuple(parameters),
            entry.most_threads,
        )


class Runtime:
    """The emulator's runtime, loaded so that modules find its functions.

    There is one a process: modules are bound to the functions that were loaded first.
    """

    def __init__(self, path: Path) -> None:
        self._launch = ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL).emulator_launch
        self._launch.argtypes = (ctypes.c_char_p, ctypes.POINTER(_LaunchFailure))

    def launch(
        self,
        kernel: LoadedKernel,
        grid: Grid,
        block: Grid,
        shared_bytes: int,
        arguments: Sequence[Argument],
        seed: int,
        workers: int,
        checked: bool,
        time_limit: float,
        guarded_bytes: int,
        allow_same_value_writes: bool,
    ) -> None:
        """Runs a kernel; an EmulatorError for whatever the emulator refuses.

        Arrays of at most ``guarded_bytes`` are copied into memory of their own for the launch.
        With ``allow_same_value_writes``, several threads may write the same value to one place.
        """
        slots = kernel.packed(arguments)
        names = argument_names(arguments) if checked or guarded_bytes else []
        regions = _regions(arguments, names)
        request = _REQUEST.pack(
            ctypes.addressof(kernel.name_in_memory),
            kernel.entry,
            kernel.shared,
            ctypes.addressof(kernel.variables_in_memory),
            len(kernel.shared_variables),
            _address(slots),
            _address(regions),
            len(regions) // _REGION.size,
            *grid,
            *block,
            shared_bytes,
            seed % 2**64,
            workers,
            checked,
            time_limit,
            _interrupts(),
            len(slots),
            guarded_bytes,
            allow_same_value_writes,
        )
        failure = _LaunchFailure()
        status = self._launch(request, failure)
        if status == _INTERRUPTED:
            raise KeyboardInterrupt
        if status:
            raise FAILURE_KINDS[failure.kind](_described(kernel, failure))


def _interrupts() -> int:
    """How many times a user must press Ctrl-C to end a launch: twice where a handler waits for it.

    Python's handlers run in the main thread, which has to leave the launch first.
    """
    if threading.current_thread() is not threading.main_thread():
        return 0
    return 1 if signal.getsignal(signal.SIGINT) is signal.default_int_handler else 2


def argument_names(arguments: Sequence[Argument]) -> list[bytes]:
    """What messages call the arrays among the arguments."""
    return [
        f"argument {number} ({argument.dtype}, {argument.size} elements)".encode()
        for number, argument in enumerate(arguments, 1)
        if isinstance(argument, np.ndarray)
    ]


def _regions(arguments: Sequence[Argument], names: Sequence[bytes]) -> bytes:
    """Address, size, size of an element, name and place of each array that has a name."""
    arrays = (
        (8 * number, argument)
        for number, argument in enumerate(arguments)
        if isinstance(argument, np.ndarray)
    )
    return b"".join(
        _REGION.pack(address_of(array), array.nbytes, array.itemsize, _address(name), place)
        for name, (place, array) in zip(names, arrays, strict=False)
    )


def _address(content: bytes) -> int | None:
    """Where bytes lie, as long as they are kept."""
    return ctypes.cast(ctypes.c_char_p(content), ctypes.c_void_p).value


def _described(kernel: LoadedKernel, failure: _LaunchFailure) -> str:
    lines = []
    for place in (failure.at, failure.other):
        stated = f"{place.file.decode()}:{place.line}" if place.file else ""
        lines.append(place_of(kernel, place.frames[: place.count], stated))
    return with_lines(str(failure.message, errors="replace"), *lines)


def with_lines(message: str, line: str, other: str = "") -> str:
    """A message of the runtime with its lines.

    Args:
        message: as the runtime has written it.
        line: where it happened; empty if that is not known.
        other: the line of the access that it is at odds with, or empty.
    """
    if _AT not in message:
        message += _AT
    for mark, place in ((_AT, line), (_OTHER, other)):
        message = message.replace(mark, f" at {place}" if place else "")
    return message


def place_of(kernel: LoadedKernel, frames: Sequence[int], stated: str = "") -> str:
    """Where in a kernel something happened, as messages show it; empty if nothing tells.

    Args:
        kernel: which.
        frames: instructions of its library, innermost first.
        stated: for want of their lines.
    """
    lines = source_lines(kernel.library, frames) if frames else []
    if frames and not (lines or stated):
        return f"{kernel.library.name}+{frames[0]:#x} (addr2line, of binutils, tells the line)"
    return line_of_kernel(lines, kernel.source) or stated
