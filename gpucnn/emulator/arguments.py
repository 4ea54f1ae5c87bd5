"""A launch's arguments, compared with the kernel's parameters and packed for the runtime.

They lie in one buffer, in order, each at the next multiple of 16 bytes (include/entry.h).
"""

from __future__ import annotations

import ctypes
import struct
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gpucnn.emulator.errors import EmulatorWarning, LaunchError

_SLOT = 16
_NOTHING = ctypes.c_char * 0
_KINDS = {"f": "f", "i": "i", "u": "u", "b": "u", "c": "s", "V": "s", "m": "i", "M": "i"}
"""NumPy's kinds of values as include/entry.h writes them."""
_NUMBERS = "fiu"


@runtime_checkable
class _HasInterface(Protocol):
    """An object that describes its memory as NumPy arrays do."""

    __array_interface__: dict[str, Any]


Argument: TypeAlias = NDArray[Any] | np.generic | _HasInterface | int | float | complex | None
"""What a kernel can be given."""


class Parameter(NamedTuple):
    """A kernel's parameter.

    Attributes:
        name: as it is declared; empty if it has none there.
        kind: "p" for a pointer, "f" for a floating-point number, "i" and "u" for integers with and
            without a sign, "s" for anything else.
        bytes: its size; of a pointer, the size of what it points to.
        pointee: of a pointer, the kind of what it points to.
    """

    name: str
    kind: str
    bytes: int
    pointee: str = ""


class PassedArray(NamedTuple):
    """An array among a launch's arguments.

    Attributes:
        place: of its address in the buffer.
        array: with its memory.
        name: what messages call it.
    """

    place: int
    array: NDArray[Any]
    name: str


class Packed(NamedTuple):
    """A launch's arguments as the runtime takes them.

    Attributes:
        content: the buffer.
        arrays: the arrays among them.
        has_addresses: whether one is an address, or an array of addresses: nothing is known of
            the memory there.
    """

    content: bytes
    arrays: tuple[PassedArray, ...]
    has_addresses: bool


class ArgumentPacker:
    """Packs the arguments of one kernel.

    Args:
        kernel: how messages name the kernel.
        parameters: of the kernel.
    """

    def __init__(self, kernel: str, parameters: Sequence[Parameter]) -> None:
        self._kernel = kernel
        self._parameters = tuple(parameters)
        self._slots = struct.Struct("=" + "".join(map(_format, self._parameters)))
        sizes = [struct.calcsize(f"={_format(parameter)}") for parameter in self._parameters]
        self._places = [sum(sizes[:number]) for number in range(len(sizes))]
        self._accepted: set[tuple[int, type, int, int]] = set()

    def __call__(self, arguments: Sequence[Argument]) -> Packed:
        """The arguments as the runtime takes them.

        Raises:
            LaunchError: they do not fit the parameters.
        """
        if len(arguments) != len(self._parameters):
            raise LaunchError(
                f"{self._kernel}: {len(arguments)} arguments for {len(self._parameters)} parameters"
            )
        values: list[int | bytes] = []
        arrays: list[PassedArray] = []
        has_addresses = False
        for number, argument in enumerate(arguments):
            given = argument if isinstance(argument, np.ndarray) else _given(argument)
            if given is None:
                self._check(number, given)
                values.append(0)
                continue
            known = number, type(given), given.dtype.num, given.itemsize
            if known not in self._accepted:
                self._check(number, given)
                self._accepted.add(known)
            if isinstance(given, np.ndarray):
                values.append(address_of(given))
                has_addresses |= self._parameters[number].pointee == "p"
                arrays.append(PassedArray(self._places[number], given, self._name(number, given)))
            elif self._parameters[number].kind == "p":
                has_addresses = True
                values.append(int(given))
            else:
                values.append(given.tobytes())
        return Packed(self._slots.pack(*values), tuple(arrays), has_addresses)

    def _check(self, number: int, given: NDArray[Any] | np.generic | None) -> None:
        parameter = self._parameters[number]
        if why := _misfit(given, parameter):
            name = f" ({parameter.name})" if parameter.name else ""
            raise LaunchError(f"{self._kernel}: argument {number + 1}{name} {why}")

    def _name(self, number: int, array: NDArray[Any]) -> str:
        if not (array.flags.c_contiguous or array.flags.f_contiguous):
            warnings.warn(
                f"{self._kernel}: argument {number + 1} is a view with strides of {array.strides} "
                "bytes; the kernel sees the memory below it, as on a GPU",
                EmulatorWarning,
                stacklevel=7,
            )
        name = self._parameters[number].name
        named = f"{name}, " if name else ""
        return f"argument {number + 1} ({named}{array.dtype}, {array.size} elements)"


def _format(parameter: Parameter) -> str:
    """How a slot holds an argument, in the letters of the module ``struct``."""
    if parameter.kind == "p":
        return "Q8x"
    return f"{parameter.bytes}s{-parameter.bytes % _SLOT}x"


def address_of(array: NDArray[Any]) -> int:
    """Where a NumPy array's memory begins; much faster than ``array.ctypes.data``."""
    buffer: Any = array  # which NumPy's types say from Python 3.12 on
    try:
        return ctypes.addressof(_NOTHING.from_buffer(buffer))
    except (TypeError, ValueError):  # Read-only or strided.
        return int(array.ctypes.data)


def memory_of(array: NDArray[Any]) -> tuple[int, int]:
    """The first address of an array's memory, and the one after the last."""
    if array.flags.c_contiguous:
        begin = address_of(array)
        return begin, begin + array.nbytes
    low, high = np.lib.array_utils.byte_bounds(array)
    return int(low), int(high)


def _given(argument: Argument) -> NDArray[Any] | np.generic | None:
    """An argument as CuPy would pass it: Python's numbers have 8 bytes, complex ones 16."""
    if argument is None or isinstance(argument, (np.ndarray, np.generic)):
        return argument
    if isinstance(argument, bool):
        return np.bool_(argument)
    if isinstance(argument, int):
        is_large = argument >= 2**63
        return np.uint64(argument) if is_large else np.int64(argument)
    if isinstance(argument, float):
        return np.float64(argument)
    if isinstance(argument, complex):
        return np.complex128(argument)
    if isinstance(argument, _HasInterface):
        return np.asarray(argument)
    raise LaunchError(
        f"{argument!r} is a {type(argument).__name__}, which no kernel takes; pass NumPy arrays "
        "and scalars, Python's numbers, or None for a null pointer"
    )


def _misfit(given: NDArray[Any] | np.generic | None, parameter: Parameter) -> str:
    """What is wrong with an argument; empty if it fits."""
    kind, size = parameter.kind, parameter.bytes
    if given is None:
        return "" if kind == "p" else f"is None, its parameter {_words(parameter)}"
    if isinstance(given, np.ndarray):
        if kind != "p":
            return f"is an array, its parameter {_words(parameter)}; pass a scalar"
        if given.dtype.hasobject:
            return f"is an array of {given.dtype}, which has no numbers in memory"
        wrong = (
            parameter.pointee in _NUMBERS
            and _KINDS.get(given.dtype.kind, "?") in _NUMBERS
            and given.itemsize != size
            and given.itemsize != 1
        )
        return f"is an array of {given.dtype}, its parameter {_words(parameter)}" if wrong else ""
    own = _KINDS.get(given.dtype.kind, "?")
    if kind == "p":
        is_address = own in "iu" and given.itemsize == 8
        return "" if is_address else f"is {_value(given)}, its parameter {_words(parameter)}"
    is_same = own == kind or {own, kind} == {"i", "u"} or (own == "f" and kind == "s")
    if given.itemsize != size or not is_same:
        advice = f"; pass np.{_numpy_name(parameter)}" if kind in _NUMBERS else ""
        return f"is {_value(given)}, its parameter {_words(parameter)}{advice}"
    return ""


def _value(given: np.generic) -> str:
    """A value in words, such as "a NumPy int64 of 8 bytes"."""
    return f"a NumPy {given.dtype} of {given.itemsize} bytes"


def _words(parameter: Parameter) -> str:
    words = {
        "f": "a float",
        "i": "a signed integer",
        "u": "an unsigned integer",
        "s": "a structure",
    }
    if parameter.kind != "p":
        return f"{words[parameter.kind]} of {parameter.bytes} bytes"
    pointee = words.get(parameter.pointee, "a pointer")
    return f"a pointer to {pointee} of {parameter.bytes} bytes"


def _numpy_name(parameter: Parameter) -> str:
    names = {"f": "float", "i": "int", "u": "uint"}
    return f"{names[parameter.kind]}{8 * parameter.bytes}"
