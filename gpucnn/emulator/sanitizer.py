"""Launches under the compiler's sanitizers, each in a process of its own.

The address sanitizer must be there from a process' beginning, which Python's was not; and it ends
the process that it finds at fault. So arguments travel in a file, and results come back in one.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpucnn.emulator.arguments import Argument, Packed, memory_of
from gpucnn.emulator.errors import (
    FAILURE_KINDS,
    EmulatorError,
    LaunchError,
    MisalignedError,
    OutOfBoundsError,
    StackOverflowError,
    UndefinedBehaviourError,
    UninitialisedError,
)
from gpucnn.emulator.launch import Launch
from gpucnn.emulator.launching import place_of, with_lines
from gpucnn.emulator.library import LoadedKernel
from gpucnn.emulator.paths import without_folders
from gpucnn.emulator.programs import run_program
from gpucnn.emulator.scratch import scratch_folder, scratch_folder_of
from gpucnn.emulator.source_lines import SourceLine, line_of_kernel
from gpucnn.emulator.symbols import Variable, symbol_table
from gpucnn.emulator.tensor_core import TensorCore
from gpucnn.emulator.translation import symbol_prefix

_REFUSED = 1
_ENVIRONMENT = {
    "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0:redzone=2048:exitcode=99",
    "UBSAN_OPTIONS": "print_stacktrace=1:exitcode=99",
}
_WHERE = re.compile(r"^emulator: (kernel .*)$", re.MULTILINE)
_EMULATOR = re.compile(r"^at (?P<stated>\S+)(?P<frames>( \d+)*)\nkind (?P<kind>\d+)$", re.MULTILINE)
_UNDEFINED = re.compile(r"^(?P<file>.+?):(?P<line>\d+):\d+: runtime error: (?P<what>.*)$", re.M)
_ADDRESS = re.compile(r"ERROR: AddressSanitizer: (?P<what>[\w-]+)")
# Accesses outside every variable. The sanitizer can only say what else the memory was, so the
# emulator's own words are better.
_STRAY = ("heap-buffer-overflow", "heap-use-after-free", "use-after-poison", "SEGV")
_KINDS_OF_UNDEFINED: tuple[tuple[re.Pattern[str], type[EmulatorError]], ...] = (
    (re.compile("address 0x(fefefe|aaaaaa)"), UninitialisedError),
    (re.compile("misaligned address"), MisalignedError),
    (re.compile("out of bounds|null pointer|insufficient space"), OutOfBoundsError),
    (re.compile(""), UndefinedBehaviourError),
)
"""Which class an undefined operation is, by what the sanitizer says of it; the first that fits."""
_KINDS_OF_ACCESS: dict[str, type[EmulatorError]] = {
    "stack-overflow": StackOverflowError,
    "FPE": UndefinedBehaviourError,
}
"""What the address sanitizer finds that is no access out of bounds."""
_ACCESS = re.compile(r"^emulator: (?P<what>out-of-bounds .*)$", re.MULTILINE)
_GLOBAL = re.compile(
    r"is located (?P<away>\d+) bytes (?:to the )?(?P<side>left|right|before|after) (?:of )?"
    r"global variable '(?:.*::)?(?P<name>[^':]+)' .* of size (?P<bytes>\d+)"
)
_LOCAL = re.compile(
    r"\[(?P<begin>\d+), (?P<end>\d+)\) '(?P<name>[^']+)'.* "
    r"<== Memory access at offset (?P<place>\d+)"
)
_SIZE = re.compile(r"^(?P<size>(READ|WRITE) of size \d+)", re.MULTILINE)
_STACK = re.compile(r"^ +#0 .*(?:\n +#\d+ .*)*", re.MULTILINE)
_FRAME = re.compile(r" (?P<file>[^\s:]+):(?P<line>\d+)(?::\d+)?$", re.MULTILINE)


class SanitizerRunner:
    """Runs launches with the program that the builder makes for sanitized kernels."""

    def __init__(self, program: Path) -> None:
        # Files of the cache cannot be executed.
        self._program = scratch_folder_of(self) / "emulator"
        shutil.copyfile(program, self._program)
        self._program.chmod(0o700)

    def launch(
        self,
        kernel: LoadedKernel,
        launch: Launch,
        arguments: Sequence[Argument],
        tensor_core: TensorCore,
    ) -> None:
        """Runs a kernel.

        Args:
            kernel: which.
            launch: how.
            arguments: as ``ArgumentPacker`` takes them, but no addresses.
            tensor_core: how products are added up.

        Raises:
            EmulatorError: whatever a sanitizer or the emulator finds.
        """
        packed = kernel.packed(arguments)
        if packed.has_addresses:
            raise LaunchError(
                f"{kernel} is given addresses as numbers, which lead nowhere in the process that "
                "the sanitizers run in; pass the arrays themselves, or use the mode race"
            )
        buffers = _buffers(packed)
        variables = _variables(kernel)
        values = [_memory(kernel.module + own.offset, own.bytes) for own, _ in variables]
        with scratch_folder() as folder:
            request, result = folder / "request", folder / "result"
            text = [
                f"library {kernel.library}",
                f"kernel {kernel.name}",
                f"symbols {symbol_prefix(kernel.source)}",
                f"grid {_numbers(launch.grid)}",
                f"block {_numbers(launch.block)}",
                f"shared_bytes {launch.shared_bytes}",
                f"seed {launch.seed % 2**64}",
                f"time_limit {launch.time_limit}",
                f"tensor_core {_numbers(tensor_core)}",
                *_variable_lines(kernel),
                *(f"buffer {buffer.nbytes}" for buffer in buffers),
                f"arguments {len(packed.content)}",
                *_pointer_lines(packed, buffers),
                *(f"variable {there.offset} {own.bytes}" for own, there in variables),
            ]
            memory = [*buffers, *values]
            content = packed.content + b"".join(each.tobytes() for each in memory)
            request.write_bytes("\n".join(text).encode() + b"\n\n" + content)
            command = [str(self._program), str(request), str(result)]
            done = run_program(command, os.environ | _ENVIRONMENT)
            sys.stderr.write(done.out)  # What the kernel has printed.
            if done.status:
                raise _error(kernel, done.status, done.errors)
            written = np.fromfile(result, np.uint8)
        start = 0
        for each in memory:
            result_of = written[start : start + each.nbytes]
            if not np.array_equal(each, result_of):  # What is only read may not be writable.
                each[...] = result_of
            start += each.nbytes


def _numbers(numbers: Iterable[int]) -> str:
    return " ".join(map(str, numbers))


def _variables(kernel: LoadedKernel) -> list[tuple[Variable, Variable]]:
    """The variables of a kernel's module, as they lie in this process and in a sanitized one."""
    there = symbol_table(kernel.library, is_sanitized=True).variables(symbol_prefix(kernel.source))
    return [(own, there[name]) for name, own in kernel.variables.items() if name in there]


def _buffers(packed: Packed) -> list[NDArray[np.uint8]]:
    """The memory of the arrays among the arguments; arrays that overlap share a buffer."""
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(memory_of(passed.array) for passed in packed.arrays):
        if merged and begin < merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((begin, end))
    return [_memory(begin, end - begin) for begin, end in merged]


def _memory(address: int, count: int) -> NDArray[np.uint8]:
    return np.ctypeslib.as_array((ctypes.c_uint8 * count).from_address(address))


def _pointer_lines(packed: Packed, buffers: Sequence[NDArray[np.uint8]]) -> Iterator[str]:
    starts = [buffer.ctypes.data for buffer in buffers]
    for passed in packed.arrays:
        begin, end = memory_of(passed.array)
        number = next(
            number
            for number, start in enumerate(starts)
            if start <= begin and end <= start + buffers[number].nbytes
        )
        size = f"{end - begin} {passed.array.itemsize}"
        yield f"pointer {passed.place} {number} {begin - starts[number]} {size} {passed.name}"


def _variable_lines(kernel: LoadedKernel) -> Iterator[str]:
    for variable, name in zip(kernel.shared_variables, kernel.variable_names, strict=True):
        yield f"shared {variable.offset} {variable.bytes} {name.decode()}"


def _error(kernel: LoadedKernel, status: int, report: str) -> EmulatorError:
    """What a user needs of a sanitizer's report: what happened, to which thread, and where."""
    if status == _REFUSED:
        return _refused(kernel, report)
    where = _WHERE.search(report)
    thread = where[1] if where else str(kernel)
    if undefined := _UNDEFINED.search(report):
        first = SourceLine(undefined["file"], undefined["line"])
        line = line_of_kernel([first, *_stack(report)], kernel.source)
        what = undefined["what"]
        kind = next(kind for pattern, kind in _KINDS_OF_UNDEFINED if pattern.search(what))
        return kind(with_lines(f"{thread}: {what}", line))
    if address := _ADDRESS.search(report):
        line = line_of_kernel(_stack(report), kernel.source)
        kind = _KINDS_OF_ACCESS.get(address["what"], OutOfBoundsError)
        return kind(with_lines(f"{thread}: {_access(address['what'], report)}", line))
    return EmulatorError(
        f"{thread}: the sanitizer's process ended with status {status}:\n"
        f"{without_folders(report[-2000:])}"
    )


def _access(kind: str, report: str) -> str:
    """What the address sanitizer has found, in the emulator's words if it has any."""
    size, access = _SIZE.search(report), _ACCESS.search(report)
    if access and (near := _near_variable(report)):
        return f"{access['what'].partition(':')[0]}: {near}"
    if access and kind in _STRAY:
        return access["what"]
    return f"{kind}{f', {size[1].lower()}' if size else ''}"


def _near_variable(report: str) -> str:
    """How far from which variable an access is, in words; empty if it is near none."""
    if near := min(_GLOBAL.finditer(report), key=lambda found: int(found["away"]), default=None):
        away, size = int(near["away"]), int(near["bytes"])
        is_before = near["side"] in ("left", "before")
    elif near := _LOCAL.search(report):
        begin, end, place = (int(near[key]) for key in ("begin", "end", "place"))
        is_before, size = place < begin, end - begin
        away = begin - place if is_before else place - end
    else:
        return ""
    where = "before" if is_before else "beyond the end of"
    return f"{away} bytes {where} {near['name']}, a variable of {size} bytes"


def _refused(kernel: LoadedKernel, report: str) -> EmulatorError:
    """The emulator's own message, with its place."""
    place = _EMULATOR.search(report)
    if place is None:
        return EmulatorError(without_folders(report.strip()))
    frames = [int(frame) for frame in place["frames"].split()]
    line = place_of(kernel, frames, place["stated"].removeprefix("-"))
    return FAILURE_KINDS[int(place["kind"])](with_lines(report[: place.start()].strip(), line))


def _stack(report: str) -> list[SourceLine]:
    """The lines of the first stack in a report."""
    stack = _STACK.search(report)
    frames = _FRAME.finditer(stack[0]) if stack else ()
    return [SourceLine(frame["file"], frame["line"]) for frame in frames]
