"""What the executor reports of a failure, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gpucnn.emulator.errors import (
    AssertionFailedError,
    DivergenceError,
    EmulatorError,
    MisalignedError,
    OutOfBoundsError,
    RaceError,
    TimeLimitError,
    UninitialisedError,
    UnsupportedError,
)
from gpucnn.emulator.mangling import source_name
from gpucnn.emulator.ptx.arguments import Memory
from gpucnn.emulator.ptx.assembler import line_of
from gpucnn.emulator.ptx.layout import DEVICE, Place
from gpucnn.emulator.ptx.syntax import Module, Statement

_CLASSES: dict[int, type[EmulatorError]] = {
    1: RaceError,
    2: OutOfBoundsError,
    3: MisalignedError,
    4: DivergenceError,
    5: UninitialisedError,
    6: AssertionFailedError,
    7: TimeLimitError,
    8: UnsupportedError,
    9: EmulatorError,
}
"""The class of each FailureKind of executor/executor.h."""


@dataclass(frozen=True)
class Failure:
    """What ended a launch.

    Attributes:
        kind: a number of FailureKind.
        words: what the executor says of it, in parts.
        instruction: the number of the instruction.
        thread: in the block.
        block: in the grid.
        other_instruction: that the first one conflicts with; -1 without.
        other_thread: the thread of that instruction; -1 without.
    """

    kind: int
    words: Sequence[str]
    instruction: int
    thread: int
    block: tuple[int, int, int]
    other_instruction: int
    other_thread: int


@dataclass(frozen=True)
class Context:
    """What a message needs to know of the launch.

    Attributes:
        kernel: what messages call it.
        module: whose kernel it is.
        statements: by the number of the instruction.
        block: threads along x, y and z.
        memories: arrays and variables.
        shared: variables of shared memory.
        time_limit: of the launch, in seconds.
    """

    kernel: str
    module: Module
    statements: Sequence[Statement]
    block: tuple[int, int, int]
    memories: Sequence[Memory]
    shared: Sequence[Place]
    time_limit: float


def error(failure: Failure, context: Context) -> EmulatorError:
    """The error that a failure is."""
    describe = _DESCRIBE[failure.kind]
    return _CLASSES[failure.kind](f"{context.kernel}: {describe(failure, context)}")


def _thread(number: int, context: Context) -> str:
    x, y, _ = context.block
    return f"thread ({number % x},{number // x % y},{number // x // y})"


def _instruction(number: int, context: Context) -> str:
    """Where an instruction is, and what it is: "tile.cu:12 [ld.shared.f32 %f1, [%r2]]"."""
    statement = context.statements[number]
    where = f"{line_of(context.module, statement.location)} " if statement.location else ""
    return f"{where}[{statement}]"


def _here(failure: Failure, context: Context) -> str:
    block = ",".join(map(str, failure.block))
    return (
        f"at {_instruction(failure.instruction, context)} by "
        f"{_thread(failure.thread, context)} of block ({block})"
    )


def _there(failure: Failure, context: Context) -> str:
    return (
        f"at {_instruction(failure.other_instruction, context)} by "
        f"{_thread(failure.other_thread, context)}"
    )


def _race(failure: Failure, context: Context) -> str:
    what, other = failure.words
    return (
        f"{what} of shared memory {_here(failure, context)} races with {other} "
        f"{_there(failure, context)}"
    )


def _out_of_bounds(failure: Failure, context: Context) -> str:
    match failure.words:
        case ["shared", address]:
            what = f"access of shared memory, {_in_shared(int(address), context)},"
        case ["branch", index]:
            what = f"branch by index {index}, which its list does not have,"
        case ["barrier", number]:
            what = f"barrier {number}, although only 0 to 15 exist,"
        case ["copy", given, size]:
            what = f"copy of {given} bytes to a place for {size}"
        case [kind, size, space, address]:
            where = (
                _in_global(int(address), context)
                if space == "global"
                else f"at {address} of {space} memory, which does not reach so far,"
            )
            what = f"{kind} of {size} bytes {where}"
        case _:
            what = "access"
    return f"{what} {_here(failure, context)}"


def _in_global(address: int, context: Context) -> str:
    """Where an address lies relative to the array that it misses."""
    if not address & DEVICE:
        return f"at address {address:#x}, which is in no array,"
    nearest = min(context.memories, key=lambda m: abs(address - m.begin), default=None)
    if nearest is None:
        return "in no array"
    offset = address - nearest.begin
    if offset < 0:
        return f"{-offset} bytes before {nearest.name}"
    return f"{offset - nearest.bytes} bytes after the end of {nearest.name}"


def _in_shared(address: int, context: Context) -> str:
    before = [place for place in context.shared if place.address <= address]
    if not before:
        return f"at {address}, before all variables"
    place = max(before, key=lambda place: place.address)
    return f"{address - place.address} bytes from the beginning of {_named(place)}"


def _named(place: Place) -> str:
    size = place.variable.bytes
    what = f"{size} bytes" if size else "dynamic"
    return f"{source_name(place.variable.name)} ({what})"


def _misaligned(failure: Failure, context: Context) -> str:
    kind, size, address = failure.words
    offset = int(address) % int(size)
    return (
        f"{kind} of {size} bytes {_here(failure, context)} at an address that is {offset} bytes "
        f"past a multiple of {size}"
    )


def _lanes(mask: str) -> str:
    """The lanes of a mask, such as "0-3, 7"."""
    bits, found, lane = int(mask), [], 0
    while lane < 32:
        if bits >> lane & 1:
            first = lane
            while bits >> (lane + 1) & 1:
                lane += 1
            found.append(str(first) if first == lane else f"{first}-{lane}")
        lane += 1
    return ", ".join(found)


def _divergence(failure: Failure, context: Context) -> str:
    here = _here(failure, context)
    there = f" {_there(failure, context)}" if failure.other_instruction >= 0 else ""
    match failure.words:
        case ["shuffle", lane]:
            return f"shuffle from lane {lane}, which does not take part, {here}"
        case ["unnamed", mask]:
            return f"collective whose mask (lanes {_lanes(mask)}) lacks its own lane {here}"
        case ["partial", mask]:
            return (
                f"collective that needs a whole warp, with only lanes {_lanes(mask)} left, {here}"
            )
        case ["missing", mask]:
            elsewhere = f"; one of them waits{there}" if there else ""
            return (
                f"collective waits for lanes {_lanes(mask)}, which do not come, {here}{elsewhere}"
            )
        case ["barrier", mask]:
            elsewhere = f" while others wait{there}" if there else ""
            return f"barrier is reached by lanes {_lanes(mask)} alone {here}{elsewhere}"
        case ["count", count]:
            return f"barrier of {count} threads, which is no multiple of 32, {here}"
        case ["counts", count, other]:
            return f"barrier of {count} threads, of which others expect {other}, {here}"
        case ["deadlock", number]:
            elsewhere = f"; others wait{there}" if there else ""
            return f"barrier {number} waits for threads that do not come, {here}{elsewhere}"
    return f"threads wait for one another {here}"


def _uninitialised(failure: Failure, context: Context) -> str:
    where = _in_shared(int(failure.words[0]), context)
    return (
        f"read of shared memory that the block has not written, {where}, {_here(failure, context)}"
    )


def _assertion(failure: Failure, context: Context) -> str:
    match failure.words:
        case ["assert", *words]:  # which may have the mark that parts are joined with
            what = f"assertion {'|'.join(words)} has failed"
        case _:
            what = "kernel has stopped itself"
    return f"{what} {_here(failure, context)}"


def _time(failure: Failure, context: Context) -> str:
    return (
        f"launch has taken longer than {context.time_limit:g} seconds; it had come to "
        f"{_here(failure, context).removeprefix('at ')}"
    )


def _unsupported(failure: Failure, context: Context) -> str:
    return f"{failure.words[0]} is not supported by the executor of PTX {_here(failure, context)}"


def _host(failure: Failure, _context: Context) -> str:
    return f"this machine has no more {failure.words[0]} for it; let fewer workers run it"


_DESCRIBE = {
    1: _race,
    2: _out_of_bounds,
    3: _misaligned,
    4: _divergence,
    5: _uninitialised,
    6: _assertion,
    7: _time,
    8: _unsupported,
    9: _host,
}
