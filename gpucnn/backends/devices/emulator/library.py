"""Compiled modules and the emulator's runtime, called through ctypes."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpucnn.backends.devices.device import Argument, Grid
from gpucnn.backends.devices.emulator.builder import symbol_prefix
from gpucnn.backends.devices.source import KernelSource
from gpucnn.errors import BackendError

_KINDS = {"f": "f", "i": "i", "u": "u", "b": "u", "V": "s"}
"""NumPy's kinds of scalars as include/entry.h writes them."""


class _Parameter(ctypes.Structure):
    _fields_ = (("kind", ctypes.c_char), ("bytes", ctypes.c_uint))


class _KernelEntry(ctypes.Structure):
    _fields_ = (("call", ctypes.c_void_p), ("parameters", ctypes.POINTER(_Parameter)))


class _Region(ctypes.Structure):
    _fields_ = (("begin", ctypes.c_void_p), ("bytes", ctypes.c_uint64))


class _LaunchRequest(ctypes.Structure):
    _fields_ = (
        ("kernel", ctypes.c_char_p),
        ("entry", ctypes.c_void_p),
        ("shared", ctypes.c_void_p),
        ("arguments", ctypes.c_void_p),
        ("regions", ctypes.POINTER(_Region)),
        ("region_count", ctypes.c_uint64),
        ("grid", ctypes.c_uint32 * 3),
        ("block", ctypes.c_uint32 * 3),
        ("shared_bytes", ctypes.c_uint64),
        ("seed", ctypes.c_uint64),
        ("workers", ctypes.c_uint32),
        ("checked", ctypes.c_uint32),
    )


class _LaunchFailure(ctypes.Structure):
    _fields_ = (
        ("message", ctypes.c_char * 2048),
        ("instruction", ctypes.c_void_p),
        ("other_instruction", ctypes.c_void_p),
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
        parameters: kind and size of each, as include/entry.h writes them.
    """

    name: str
    source: KernelSource
    library: Path
    entry: int
    shared: int
    parameters: tuple[tuple[str, int], ...]

    def __str__(self) -> str:
        """The function, its file and constants."""
        return f"{self.name} of {self.source}"


class Library:
    """A library of modules, loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._library = ctypes.CDLL(str(path))

    def kernel(self, source: KernelSource, function: str) -> LoadedKernel:
        """One of its kernels."""
        prefix = symbol_prefix(source)
        entry = _KernelEntry.in_dll(self._library, f"{prefix}_{function}")
        shared = ctypes.c_char.in_dll(self._library, f"{prefix}_shared_memory")
        parameters: list[tuple[str, int]] = []
        while entry.parameters[len(parameters)].kind != b"\0":
            parameter = entry.parameters[len(parameters)]
            parameters.append((parameter.kind.decode(), parameter.bytes))
        return LoadedKernel(
            function, source, self.path, entry.call, ctypes.addressof(shared), tuple(parameters)
        )


class Runtime:
    """The emulator's runtime, loaded so that modules find its functions."""

    def __init__(self, path: Path) -> None:
        self._launch = ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL).emulator_launch
        self._launch.argtypes = (ctypes.POINTER(_LaunchRequest), ctypes.POINTER(_LaunchFailure))

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
    ) -> None:
        """Runs a kernel; BackendError for whatever the emulator refuses."""
        slots, regions = packed(kernel, arguments)
        # Arguments lie in slots of 8 bytes; the kernel gets a pointer to each.
        first = slots.ctypes.data
        pointers = np.arange(first, first + slots.nbytes, 8, dtype=np.uint64)
        array_regions = (_Region * len(regions))(*(_Region(*region) for region in regions))
        request = _LaunchRequest(
            kernel.name.encode(),
            kernel.entry,
            kernel.shared,
            pointers.ctypes.data,
            array_regions,
            len(regions),
            grid,
            block,
            shared_bytes,
            seed % 2**64,
            workers,
            checked,
        )
        failure = _LaunchFailure()
        if self._launch(ctypes.byref(request), ctypes.byref(failure)):
            raise BackendError(_described(kernel, failure))


def packed(
    kernel: LoadedKernel, arguments: Sequence[Argument]
) -> tuple[np.ndarray[Any, np.dtype[np.uint64]], list[tuple[int, int]]]:
    """The arguments in slots of 8 bytes, and address and size of each array among them.

    Raises:
        BackendError: they do not fit the kernel's parameters.
    """
    if len(arguments) != len(kernel.parameters):
        raise BackendError(
            f"{kernel}: {len(arguments)} arguments for {len(kernel.parameters)} parameters"
        )
    slots = np.zeros(len(arguments), np.uint64)
    regions = []
    for place, (argument, parameter) in enumerate(zip(arguments, kernel.parameters, strict=True)):
        given = _described_argument(argument)
        if given != parameter and not (argument is None and parameter[0] == "p"):
            raise BackendError(
                f"{kernel}: argument {place + 1} is {_words(given)}, "
                f"its parameter {_words(parameter)}"
            )
        if isinstance(argument, np.ndarray):
            slots[place] = argument.ctypes.data
            regions.append((argument.ctypes.data, argument.nbytes))
        elif argument is not None:
            slots[place : place + 1].view(argument.dtype)[0] = argument
    return slots, regions


def _described_argument(argument: Argument) -> tuple[str, int]:
    if isinstance(argument, np.ndarray):
        return "p", argument.itemsize
    if isinstance(argument, np.generic) and argument.dtype.itemsize <= 8:
        return _KINDS.get(argument.dtype.kind, "?"), argument.dtype.itemsize
    return type(argument).__name__, 0


def _words(parameter: tuple[str, int]) -> str:
    kind, size = parameter
    words = {"p": "a pointer to", "f": "a float of", "i": "a signed integer of"}
    words |= {"u": "an unsigned integer of", "s": "a structure of"}
    return f"{words.get(kind, kind)} {size} bytes"


def _described(kernel: LoadedKernel, failure: _LaunchFailure) -> str:
    message = str(failure.message, errors="replace")
    for words, address in (
        (" at", failure.instruction),
        ("; the other at", failure.other_instruction),
    ):
        if address:
            message += f"{words} {source_line(kernel.library, address)}"
    return message


def source_line(library: Path, address: int) -> str:
    """The source line of an instruction's address in this process, "file:line"."""
    offset = address - _load_address(library)
    # An address that a call returns to belongs to the line of the instruction before it.
    command = ["addr2line", "-e", str(library), hex(offset - 1)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return f"{library.name}+{offset:#x} (install addr2line, of binutils, for the line)"
    return done.stdout.split(" ")[0].strip().rpartition("/")[2]


def _load_address(library: Path) -> int:
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and Path(fields[5]) == library.resolve() and fields[2] == "00000000":
            return int(fields[0].split("-")[0], 16)
    return 0
