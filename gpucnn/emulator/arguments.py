"""A launch's arguments, held against the kernel's parameters and packed for the runtime."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.devices.device import Argument
from gpucnn.errors import BackendError

Parameter: TypeAlias = tuple[str, int]
"""Kind and size, as include/entry.h writes them: of a pointer, the size of what it points to."""

_Value: TypeAlias = int | bytes | np.generic
"""What ``struct`` packs."""

_KINDS = {"f": "f", "i": "i", "u": "u", "b": "u", "V": "s"}
"""NumPy's kinds of scalars as include/entry.h writes them."""
_FORMATS = {
    ("f", 2): "e6x", ("f", 4): "f4x", ("f", 8): "d",
    ("i", 1): "b7x", ("i", 2): "h6x", ("i", 4): "i4x", ("i", 8): "q",
    ("u", 1): "B7x", ("u", 2): "H6x", ("u", 4): "I4x", ("u", 8): "Q",
}  # fmt: skip
"""How a slot of 8 bytes holds a number, in the letters of the module ``struct``."""
_NOTHING = ctypes.c_char * 0


class ArgumentPacker:
    """Packs the arguments of one kernel into slots of 8 bytes.

    Args:
        kernel: how messages name the kernel.
        parameters: kind and size of each.
    """

    def __init__(self, kernel: str, parameters: Sequence[Parameter]) -> None:
        self._kernel = kernel
        self._parameters = tuple(parameters)
        self._slots = struct.Struct("=" + "".join(map(_format, self._parameters)))

    def __call__(self, arguments: Sequence[Argument]) -> bytes:
        """The slots.

        Raises:
            BackendError: the arguments do not fit the parameters.
        """
        if len(arguments) != len(self._parameters):
            raise BackendError(
                f"{self._kernel}: {len(arguments)} arguments for {len(self._parameters)} parameters"
            )
        values: list[_Value] = []
        for argument, parameter in zip(arguments, self._parameters, strict=True):
            given = _described(argument)
            if given != parameter and not (argument is None and parameter[0] == "p"):
                raise BackendError(
                    f"{self._kernel}: argument {len(values) + 1} is {_words(given)}, "
                    f"its parameter {_words(parameter)}"
                )
            values.append(_value(argument))
        return self._slots.pack(*values)


def address_of(array: NDArray[Any]) -> int:
    """Where a NumPy array's memory begins; much faster than ``array.ctypes.data``."""
    buffer: Any = array  # which NumPy's types say from Python 3.12 on
    try:
        return ctypes.addressof(_NOTHING.from_buffer(buffer))
    except (TypeError, ValueError):  # Read-only or strided.
        return int(array.ctypes.data)


def _value(argument: Argument) -> _Value:
    if isinstance(argument, np.ndarray):
        return address_of(argument)
    if isinstance(argument, np.void):
        return argument.tobytes()
    if isinstance(argument, np.bool_):
        return int(argument)
    return argument if isinstance(argument, np.generic) else 0  # null


def _described(argument: Argument) -> Parameter:
    if isinstance(argument, np.ndarray):
        return "p", argument.itemsize
    if isinstance(argument, np.generic):
        return _KINDS.get(argument.dtype.kind, "?"), argument.itemsize
    return type(argument).__name__, 0


def _format(parameter: Parameter) -> str:
    kind, size = parameter
    if kind == "p":
        return "Q"
    return f"{size}s{8 - size}x" if kind == "s" else _FORMATS[parameter]


def _words(parameter: Parameter) -> str:
    kind, size = parameter
    words = {"p": "a pointer to", "f": "a float of", "i": "a signed integer of"}
    words |= {"u": "an unsigned integer of", "s": "a structure of"}
    return f"{words[kind]} {size} bytes" if kind in words else kind
