"""Pickles of plain values and arrays of bytes, read without executing anything.

A pickle is a program: its opcodes push values on a stack, and some of them call whatever function
the file names. This reader knows the opcodes of CIFAR's files, which Python 2 wrote in protocols 0
and 2. They make numbers, strings, lists, tuples and dictionaries. Of functions, only the two that
numpy restores an array with are recognised, by their names; nothing is imported or called. Any
other opcode or name is an error.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from gpucnn.errors import DataError, shortened
from gpucnn.files import read_regular
from gpucnn.text import shown

T = TypeVar("T")

_MOST_OPCODES = 500_000
"""Each adds one value of some 100 bytes at most; the largest file of CIFAR has about 200,000."""
_LONGEST_LINE = 1 << 8
_LONGEST_COPIED = 1 << 16
"""A longer string, which only the content of an array is, stays a view of the file."""


class _Name(Enum):
    """What a file may name of numpy."""

    RECONSTRUCT = "_reconstruct"
    ARRAY = "ndarray"
    DTYPE = "dtype"


_NAMES = {
    "numpy.core.multiarray _reconstruct": _Name.RECONSTRUCT,
    "numpy._core.multiarray _reconstruct": _Name.RECONSTRUCT,
    "numpy ndarray": _Name.ARRAY,
    "numpy dtype": _Name.DTYPE,
}


@dataclass
class _Dtype:
    """A dtype in the making."""

    code: object


@dataclass
class _Array:
    """An array, which has no values before its state is given (BUILD)."""

    values: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))


class _PickleError(Exception):
    """Why a file cannot be read, as a part of a message."""


def read_plain_pickle(path: Path, most: int) -> dict[bytes, object]:
    """Reads a file that has one dictionary.

    Args:
        path: of the file.
        most: bytes that it may have.

    Returns:
        None, bool, int, bytes, list, tuple, dict and uint8 arrays, by keys that are bytes. All text
        comes as bytes, and strings of more than 64 KiB as memoryviews.

    Raises:
        DataError: the file is damaged or has something else in it.
        OSError: it cannot be read, or is larger.
    """
    content = read_regular(path, most)
    try:
        value = _Reader(memoryview(content)).read()
        if not isinstance(value, dict):
            raise _PickleError("has no dictionary")
    except _PickleError as error:
        raise DataError(f"{shown(path)}: {error}; get the file again") from None
    return value


class _Reader:
    """The machine that opcodes are written for, as far as it is harmless.

    Args:
        content: the whole file.
    """

    def __init__(self, content: memoryview) -> None:
        self._content = content
        self._position = 0
        self._stack: list[object] = []
        self._below_marks: list[list[object]] = []
        self._memo: dict[int, object] = {}

    def read(self) -> object:
        """The value that the file holds.

        Raises:
            _PickleError: it cannot be read.
        """
        for _ in range(_MOST_OPCODES):
            place = self._position
            opcode = self._bytes(1)
            if opcode == pickle.STOP:
                if self._position < len(self._content):
                    raise _PickleError("goes on after the end of its pickle")
                return self._plain(self._pop())
            carry_out = self._OPCODES.get(opcode)
            if carry_out is None:
                raise _PickleError(
                    f"has the pickle opcode {_opcode_name(opcode)} at byte {place:,}, which is not "
                    f"carried out: CIFAR's files have none"
                )
            carry_out(self)
        raise _PickleError(f"has more than {_MOST_OPCODES:,} pickle opcodes, more than CIFAR has")

    # Reading arguments of opcodes

    def _view(self, count: int) -> memoryview:
        view = self._content[self._position : self._position + count]
        if len(view) < count:
            raise _PickleError("ends too early")
        self._position += count
        return view

    def _bytes(self, count: int) -> bytes:
        return bytes(self._view(count))

    def _number(self, size: int, signed: bool = False) -> int:
        return int.from_bytes(self._view(size), "little", signed=signed)

    def _line(self) -> bytes:
        piece = bytes(self._content[self._position : self._position + _LONGEST_LINE])
        line, newline, _ = piece.partition(b"\n")
        if not newline:
            raise _PickleError("has a line that does not end")
        self._position += len(line) + 1
        return line

    def _decimal(self) -> int:
        line = self._line()
        if not line.lstrip(b"-").isdigit() or len(line) > 20:
            raise _PickleError(f"has {_quoted(line)} for a number")
        try:
            return int(line)
        except ValueError:  # such as --1
            raise _PickleError(f"has {_quoted(line)} for a number") from None

    # The stack

    def _pop(self) -> object:
        if not self._stack:
            raise _PickleError("is damaged (a pickle opcode lacks its value)")
        return self._stack.pop()

    def _popped(self, count: int) -> list[object]:
        """The last values of the stack, in the order in which they were pushed."""
        return [self._pop() for _ in range(count)][::-1]

    def _last(self, kind: type[T]) -> T:
        """The value on top of the stack, which must be of a kind."""
        value = self._stack[-1] if self._stack else None
        if not isinstance(value, kind):
            raise _PickleError(f"is damaged (a pickle opcode lacks its {kind.__name__})")
        return value

    def _since_mark(self) -> list[object]:
        if not self._below_marks:
            raise _PickleError("is damaged (a pickle opcode lacks its mark)")
        items, self._stack = self._stack, self._below_marks.pop()
        return items

    @staticmethod
    def _plain(value: object) -> object:
        """A value as it goes into a container: an array's values, if it is one."""
        return value.values if isinstance(value, _Array) else value

    # Opcodes

    def _protocol(self) -> None:
        protocol = self._number(1)
        if protocol > 3:
            raise _PickleError(f"is a pickle of protocol {protocol}; CIFAR's files have 0 and 2")

    def _mark(self) -> None:
        self._below_marks.append(self._stack)
        self._stack = []

    def _string(self, length: int) -> None:
        if length < 0:
            raise _PickleError(f"has a string of {length} bytes")
        view = self._view(length)
        self._stack.append(bytes(view) if length <= _LONGEST_COPIED else view)

    def _quoted_string(self) -> None:
        line = self._line()
        is_quoted = len(line) >= 2 and line[:1] == line[-1:] and line[:1] in (b"'", b'"')
        if not is_quoted or b"\\" in line:
            raise _PickleError(f"has {_quoted(line)} for a string")
        self._stack.append(line[1:-1])

    def _tuple(self, items: list[object]) -> None:
        self._stack.append(tuple(map(self._plain, items)))

    def _append(self, items: list[object]) -> None:
        self._last(list).extend(map(self._plain, items))

    def _set(self, items: list[object]) -> None:
        target = self._last(dict)
        keys, values = items[::2], items[1::2]
        if len(keys) != len(values):
            raise _PickleError("is damaged (a dictionary has a key without a value)")
        for key, value in zip(keys, values, strict=True):
            if not isinstance(key, bytes):
                raise _PickleError("has a dictionary with keys that are not text")
            target[key] = self._plain(value)

    def _new(self, container: object, fill: Callable[[list[object]], None]) -> None:
        """Pushes a container with what the stack has after the last mark."""
        items = self._since_mark()
        self._stack.append(container)
        fill(items)

    def _put(self, key: int) -> None:
        if not self._stack:
            raise _PickleError("is damaged (there is no value to be kept)")
        self._memo[key] = self._stack[-1]

    def _get(self, key: int) -> None:
        if key not in self._memo:
            raise _PickleError(f"is damaged (there is no value {key} to be repeated)")
        self._stack.append(self._memo[key])

    def _global(self) -> None:
        name = b" ".join((self._line(), self._line())).decode("latin-1")
        if name not in _NAMES:
            raise _PickleError(
                f"names {shortened(name.replace(' ', '.'))} (pickle opcode GLOBAL), which is not "
                f"carried out: of what pickles can name, CIFAR's files have numpy's arrays alone"
            )
        self._stack.append(_NAMES[name])

    def _reduce(self) -> None:
        arguments, function = self._pop(), self._pop()
        if function is _Name.RECONSTRUCT:
            is_array = isinstance(arguments, tuple) and arguments and arguments[0] is _Name.ARRAY
            if not is_array:
                raise _PickleError("is damaged (an array is restored from something else)")
            self._stack.append(_Array())
        elif function is _Name.DTYPE:
            if not isinstance(arguments, tuple) or not arguments:
                raise _PickleError("is damaged (a dtype has no code)")
            self._stack.append(_Dtype(arguments[0]))
        else:
            raise _PickleError("calls what is no function (pickle opcode REDUCE)")

    def _build(self) -> None:
        state = self._pop()
        target = self._stack[-1] if self._stack else None
        if isinstance(target, _Array):
            target.values = _array(state)
        elif not isinstance(target, _Dtype):  # the state of a dtype adds nothing for bytes
            raise _PickleError("gives a state to what has none (pickle opcode BUILD)")

    _OPCODES: ClassVar[dict[bytes, Callable[[_Reader], None]]] = {
        pickle.PROTO: _protocol,
        pickle.MARK: _mark,
        pickle.NONE: lambda self: self._stack.append(None),
        pickle.NEWTRUE: lambda self: self._stack.append(True),
        pickle.NEWFALSE: lambda self: self._stack.append(False),
        pickle.INT: lambda self: self._stack.append(self._decimal()),
        pickle.BININT: lambda self: self._stack.append(self._number(4, signed=True)),
        pickle.BININT1: lambda self: self._stack.append(self._number(1)),
        pickle.BININT2: lambda self: self._stack.append(self._number(2)),
        pickle.LONG1: lambda self: self._stack.append(self._number(self._number(1), signed=True)),
        pickle.STRING: _quoted_string,
        pickle.BINSTRING: lambda self: self._string(self._number(4, signed=True)),
        pickle.SHORT_BINSTRING: lambda self: self._string(self._number(1)),
        pickle.BINUNICODE: lambda self: self._string(self._number(4)),
        pickle.BINBYTES: lambda self: self._string(self._number(4)),
        pickle.SHORT_BINBYTES: lambda self: self._string(self._number(1)),
        pickle.EMPTY_LIST: lambda self: self._stack.append([]),
        pickle.EMPTY_TUPLE: lambda self: self._stack.append(()),
        pickle.EMPTY_DICT: lambda self: self._stack.append({}),
        pickle.LIST: lambda self: self._new([], self._append),
        pickle.DICT: lambda self: self._new({}, self._set),
        pickle.TUPLE: lambda self: self._tuple(self._since_mark()),
        pickle.TUPLE1: lambda self: self._tuple(self._popped(1)),
        pickle.TUPLE2: lambda self: self._tuple(self._popped(2)),
        pickle.TUPLE3: lambda self: self._tuple(self._popped(3)),
        pickle.APPEND: lambda self: self._append(self._popped(1)),
        pickle.APPENDS: lambda self: self._append(self._since_mark()),
        pickle.SETITEM: lambda self: self._set(self._popped(2)),
        pickle.SETITEMS: lambda self: self._set(self._since_mark()),
        pickle.PUT: lambda self: self._put(self._decimal()),
        pickle.BINPUT: lambda self: self._put(self._number(1)),
        pickle.LONG_BINPUT: lambda self: self._put(self._number(4)),
        pickle.GET: lambda self: self._get(self._decimal()),
        pickle.BINGET: lambda self: self._get(self._number(1)),
        pickle.LONG_BINGET: lambda self: self._get(self._number(4)),
        pickle.GLOBAL: _global,
        pickle.REDUCE: _reduce,
        pickle.BUILD: _build,
    }


def _array(state: object) -> NDArray[np.uint8]:
    """An array of bytes from numpy's state of it: version, shape, dtype, order, content."""
    if not isinstance(state, tuple) or len(state) != 5:
        raise _PickleError("is damaged (an array has another state than numpy gives it)")
    _, shape, dtype, is_fortran, content = state
    if not isinstance(dtype, _Dtype) or dtype.code != b"u1":
        raise _PickleError("has an array of something else than bytes")
    if not isinstance(content, (bytes, memoryview)):
        raise _PickleError("has an array whose content is not a string")
    if not isinstance(shape, tuple) or [type(side) for side in shape] != [int, int]:
        raise _PickleError("has an array whose shape is not two numbers")
    if min(shape) < 1 or math.prod(shape) != len(content):
        sides = shortened(str(shape))
        raise _PickleError(f"has an array of shape {sides} with {len(content):,} bytes")
    return np.frombuffer(content, np.uint8).reshape(shape, order="F" if is_fortran else "C")


def _opcode_name(opcode: bytes) -> str:
    import pickletools

    names = {known.code: known.name for known in pickletools.opcodes}
    return names.get(opcode.decode("latin-1"), f"{opcode[0]:#04x}")


def _quoted(line: bytes) -> str:
    return f'"{shortened(line.decode("latin-1"))}"'
