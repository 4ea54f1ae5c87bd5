"""Launches under the compiler's sanitizers, each in a process of its own.

The address sanitizer must be there from a process' beginning, which Python's was not; and it ends
the process that it finds at fault. So arguments travel in a file, and results come back in one.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.devices.device import Argument, Grid
from gpucnn.backends.devices.emulator.library import LoadedKernel
from gpucnn.backends.devices.emulator.translation import symbol_prefix
from gpucnn.errors import BackendError

_REFUSED = 1
_ENVIRONMENT = {
    "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0:exitcode=99",
    "UBSAN_OPTIONS": "print_stacktrace=0:exitcode=99",
}
_WHERE = re.compile(r"^emulator: (kernel .*)$", re.MULTILINE)
_UNDEFINED = re.compile(r"^(?P<line>\S+?:\d+):\d+: runtime error: (?P<what>.*)$", re.MULTILINE)
_ADDRESS = re.compile(r"ERROR: AddressSanitizer: (?P<what>[\w-]+)")
_SIZE = re.compile(r"^(?P<size>(READ|WRITE) of size \d+)", re.MULTILINE)
_FRAME = re.compile(r"^\s*#\d+ .*?(?P<line>[\w.-]+\.(?:cu|cuh):\d+)", re.MULTILINE)


class SanitizerRunner:
    """Runs launches with the program that the builder makes for sanitized kernels."""

    def __init__(self, program: Path) -> None:
        # Files of the cache cannot be executed.
        folder = tempfile.mkdtemp(prefix="gpucnn-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._program = Path(folder) / "emulator"
        shutil.copyfile(program, self._program)
        self._program.chmod(0o700)

    def launch(
        self,
        kernel: LoadedKernel,
        grid: Grid,
        block: Grid,
        shared_bytes: int,
        arguments: Sequence[Argument],
        seed: int,
    ) -> None:
        """Runs a kernel; BackendError for whatever a sanitizer or the emulator finds."""
        kernel.packed(arguments)
        buffers = _buffers(arguments)
        with tempfile.TemporaryDirectory(prefix="gpucnn-") as folder:
            request, result = Path(folder) / "request", Path(folder) / "result"
            text = [
                f"library {kernel.library}",
                f"kernel {kernel.name}",
                f"symbols {symbol_prefix(kernel.source)}",
                f"grid {_numbers(grid)}",
                f"block {_numbers(block)}",
                f"shared_bytes {shared_bytes}",
                f"seed {seed % 2**64}",
                *(f"shared {v.offset} {v.bytes}" for v in kernel.shared_variables),
                *(f"buffer {buffer.nbytes}" for buffer in buffers),
                *(_argument_line(argument, buffers) for argument in arguments),
            ]
            content = b"".join(buffer.tobytes() for buffer in buffers)
            request.write_bytes("\n".join(text).encode() + b"\n\n" + content)
            done = subprocess.run(
                [str(self._program), str(request), str(result)],
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                env=os.environ | _ENVIRONMENT,
            )
            if done.returncode:
                raise BackendError(_described(kernel, done.returncode, done.stderr))
            written = np.fromfile(result, np.uint8)
        start = 0
        for buffer in buffers:
            buffer[...] = written[start : start + buffer.nbytes]
            start += buffer.nbytes


def _numbers(sizes: Grid) -> str:
    return " ".join(map(str, sizes))


def _buffers(arguments: Sequence[Argument]) -> list[NDArray[np.uint8]]:
    """The memory of the arrays among the arguments; arrays that overlap share a buffer."""
    ranges = sorted(
        (array.ctypes.data, array.ctypes.data + array.nbytes)
        for array in arguments
        if isinstance(array, np.ndarray)
    )
    merged: list[tuple[int, int]] = []
    for begin, end in ranges:
        if merged and begin < merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((begin, end))
    return [_memory(begin, end - begin) for begin, end in merged]


def _memory(address: int, count: int) -> NDArray[np.uint8]:
    return np.ctypeslib.as_array((ctypes.c_uint8 * count).from_address(address))


def _argument_line(argument: Argument, buffers: Sequence[NDArray[np.uint8]]) -> str:
    if argument is None:
        return "value 0"
    if not isinstance(argument, np.ndarray):
        return f"value {int.from_bytes(argument.tobytes(), sys.byteorder)}"
    address = argument.ctypes.data
    for number, buffer in enumerate(buffers):
        offset = address - buffer.ctypes.data
        if 0 <= offset <= buffer.nbytes - argument.nbytes:
            return f"pointer {number} {offset}"
    raise AssertionError("an array that is in no buffer")


def _described(kernel: LoadedKernel, status: int, report: str) -> str:
    """What a user needs of a sanitizer's report: what happened, where, and to which thread."""
    if status == _REFUSED:
        return report.strip()
    where = _WHERE.search(report)
    place = where[1] if where else str(kernel)
    if undefined := _UNDEFINED.search(report):
        return f"{place}: {undefined['line']}: {undefined['what']}"
    if address := _ADDRESS.search(report):
        size, frame = _SIZE.search(report), _FRAME.search(report)
        line = f"{frame['line']}: " if frame else ""
        return f"{place}: {line}{address['what']}{f', {size[1].lower()}' if size else ''}"
    return f"{place}: the sanitizer's process ended with status {status}:\n{report[-2000:]}"
