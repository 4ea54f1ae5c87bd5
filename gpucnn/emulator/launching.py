"""Launches by the emulator's runtime, called through ctypes."""

from __future__ import annotations

import ctypes
import signal
import struct
import threading
from collections.abc import Sequence
from pathlib import Path

from gpucnn.emulator.arguments import Argument, PassedArray, memory_of
from gpucnn.emulator.errors import FAILURE_KINDS
from gpucnn.emulator.launch import Launch
from gpucnn.emulator.library import LoadedKernel
from gpucnn.emulator.source_lines import line_of_kernel, source_lines
from gpucnn.emulator.tensor_core import TensorCore

_REQUEST = struct.Struct("@PPPPQPPQ3I3IQQIIdI4xQQIIIIi4x")
"""The runtime's LaunchRequest (runtime/launch.h)."""
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
        launch: Launch,
        arguments: Sequence[Argument],
        workers: int,
        checked: bool,
        tensor_core: TensorCore,
    ) -> None:
        """Runs a kernel.

        Args:
            kernel: which.
            launch: how.
            arguments: as ``ArgumentPacker`` takes them.
            workers: threads of the host.
            checked: whether the kernel was compiled for race mode.
            tensor_core: how products are added up.

        Raises:
            EmulatorError: whatever the emulator refuses.
            KeyboardInterrupt: the user has ended it.
        """
        packed = kernel.packed(arguments)
        is_named = checked or launch.guarded_bytes > 0
        names = [array.name.encode() for array in packed.arrays] if is_named else []
        regions = _regions(packed.arrays, names)
        request = _REQUEST.pack(
            ctypes.addressof(kernel.name_in_memory),
            kernel.entry,
            kernel.shared,
            ctypes.addressof(kernel.variables_in_memory),
            len(kernel.shared_variables),
            _address(packed.content),
            _address(regions),
            len(regions) // _REGION.size,
            *launch.grid,
            *launch.block,
            launch.shared_bytes,
            launch.seed % 2**64,
            workers,
            checked,
            launch.time_limit,
            _interrupts(),
            len(packed.content),
            2**64 - 1 if checked else launch.guarded_bytes,
            launch.allow_same_value_writes,
            packed.has_addresses,
            *tensor_core,
        )
        failure = _LaunchFailure()
        status = self._launch(request, failure)
        if status == _INTERRUPTED:
            raise KeyboardInterrupt
        if status:
            raise FAILURE_KINDS[failure.kind](_described(kernel, failure))


def _interrupts() -> int:
    """How many times a user must press Ctrl-C to end a launch: twice if a handler waits for it.

    Python's handlers run in the main thread, which has to leave the launch first.
    """
    if threading.current_thread() is not threading.main_thread():
        return 0
    return 1 if signal.getsignal(signal.SIGINT) is signal.default_int_handler else 2


def _regions(arrays: Sequence[PassedArray], names: Sequence[bytes]) -> bytes:
    """Address, size, size of an element, name and place of each array that has a name."""
    parts = []
    for passed, name in zip(arrays, names, strict=False):
        begin, end = memory_of(passed.array)
        size = passed.array.itemsize
        parts.append(_REGION.pack(begin, end - begin, size, _address(name), passed.place))
    return b"".join(parts)


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
