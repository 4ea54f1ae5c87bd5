"""A launch's arguments, compared with the kernel's parameters and laid out as PTX wants them.

PTX knows less of a parameter than the source does: its size, and whether it is a float. A pointer
is an integer of 64 bits there.
"""

from __future__ import annotations

import ctypes
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gpucnn.emulator.errors import EmulatorWarning, LaunchError
from gpucnn.emulator.ptx.layout import slot_address
from gpucnn.emulator.ptx.syntax import Variable

_PAGE = 4096
_HOST_ADDRESSES = range(1 << 32, 1 << 47)
"""What may be addresses of the host's memory (executor/executor.h); others are numbers."""


@runtime_checkable
class HasInterface(Protocol):
    """An object that describes its memory as NumPy arrays do."""

    __array_interface__: dict[str, Any]


Argument: TypeAlias = NDArray[Any] | np.generic | HasInterface | int | float | complex | None
"""What a kernel can be given."""


class Memory(NamedTuple):
    """Memory of the host that a launch may use.

    Attributes:
        begin: its address on the device.
        bytes: how much it is.
        host: its address here.
        name: what messages call it.
    """

    begin: int
    bytes: int
    host: int
    name: str


class Passed(NamedTuple):
    """A launch's arguments, ready.

    Attributes:
        parameters: the bytes that the kernel reads.
        memories: the arrays among the arguments; those that overlap are one.
        has_addresses: whether an integer, or an array of integers, may be addresses of the host.
    """

    parameters: bytes
    memories: list[Memory]
    has_addresses: bool


def passed(
    kernel: str, parameters: Sequence[Variable], arguments: Sequence[Argument], first_slot: int
) -> Passed:
    """The arguments of a launch.

    Args:
        kernel: how messages name the kernel.
        parameters: of the kernel.
        arguments: as for ``RawKernel``.
        first_slot: the number of the first array, after the module's variables.

    Raises:
        LaunchError: they do not fit the parameters.
    """
    if len(arguments) != len(parameters):
        raise LaunchError(f"{kernel}: {len(arguments)} arguments for {len(parameters)} parameters")
    values = [_value(argument) for argument in arguments]
    for number, (value, parameter) in enumerate(zip(values, parameters, strict=True), 1):
        if why := _misfit(value, parameter):
            raise LaunchError(f"{kernel}: argument {number} {why}")
    memories = _memories(kernel, values, first_slot)
    content = bytearray()
    has_addresses = False
    for value, parameter in zip(values, parameters, strict=True):
        content += bytes(-len(content) % parameter.alignment)
        if value is None:
            content += bytes(parameter.bytes)
        elif isinstance(value, np.ndarray):
            content += _device_address(value, memories).to_bytes(8, "little")
            has_addresses |= _are_addresses(value)
        else:
            content += value.tobytes()
            has_addresses |= _are_addresses(np.asarray(value))
    return Passed(bytes(content), memories, has_addresses)


def _value(argument: Argument) -> NDArray[Any] | np.generic | None:
    """An argument as CuPy would pass it: Python's numbers have 8 bytes, complex ones 16."""
    if argument is None or isinstance(argument, (np.ndarray, np.generic)):
        return argument
    if isinstance(argument, bool):
        return np.bool_(argument)
    if isinstance(argument, int):
        try:
            return np.int64(argument) if argument < 2**63 else np.uint64(argument)
        except OverflowError as error:
            raise LaunchError(f"{argument} does not fit 64 bits") from error
    if isinstance(argument, float):
        return np.float64(argument)
    if isinstance(argument, complex):
        return np.complex128(argument)
    if isinstance(argument, HasInterface):
        return np.asarray(argument)
    raise LaunchError(
        f"{argument!r} is a {type(argument).__name__}; kernels take NumPy arrays, numbers and None"
    )


def _misfit(value: NDArray[Any] | np.generic | None, parameter: Variable) -> str:
    """Why an argument does not fit its parameter; empty if it does."""
    is_pointer = parameter.type in ("u64", "s64", "b64") and parameter.bytes == 8
    if value is None or isinstance(value, np.ndarray):
        what = "None" if value is None else "an array"
        return "" if is_pointer else f"is {what}, the parameter is {_described(parameter)}"
    if value.dtype.itemsize != parameter.bytes:
        return (
            f"is a {value.dtype} of {value.dtype.itemsize} bytes, the parameter is "
            f"{_described(parameter)}; on a GPU it would be garbage"
        )
    if (value.dtype.kind == "f") != (parameter.type in ("f32", "f64")) and parameter.type in (
        "f32", "f64", "u32", "u64", "u16",
    ):  # fmt: skip
        return f"is a {value.dtype}, the parameter is {_described(parameter)}"
    return ""


def _described(parameter: Variable) -> str:
    kinds = {
        "f32": "a floating-point number", "f64": "a floating-point number", "u8": "an integer",
        "u16": "an integer", "u32": "an integer", "u64": "an integer or a pointer",
    }  # fmt: skip
    return f"{kinds.get(parameter.type, 'something')} of {parameter.bytes} bytes"


def _memories(
    kernel: str, values: Sequence[NDArray[Any] | np.generic | None], first_slot: int
) -> list[Memory]:
    """The memory of all arrays: that of those that overlap, which are views of one, is one."""
    found: list[tuple[int, int, list[str]]] = []
    arrays = [(n, value) for n, value in enumerate(values, 1) if isinstance(value, np.ndarray)]
    for number, array in arrays:
        _warn_of_strides(kernel, number, array)
    ranges = sorted((*_range(array), _name(number, array)) for number, array in arrays)
    for low, high, name in ranges:
        if found and (low < found[-1][1] or (low, high) == found[-1][:2]):
            begin, end, names = found[-1]
            found[-1] = begin, max(end, high), [*names, name]
        else:
            found.append((low, high, [name]))
    return [
        # The place in a page stays, and so does the alignment.
        Memory(slot_address(first_slot + k) + low % _PAGE, high - low, low, " and ".join(names))
        for k, (low, high, names) in enumerate(found)
    ]


def _warn_of_strides(kernel: str, number: int, array: NDArray[Any]) -> None:
    if not array.flags.forc:
        warnings.warn(
            f"{kernel}: argument {number} is a view with strides of {array.strides} bytes; the "
            "kernel sees the memory below it, as on a GPU",
            EmulatorWarning,
            stacklevel=8,
        )


def _range(array: NDArray[Any]) -> tuple[int, int]:
    """The first address of an array's memory, and the one after the last."""
    if array.flags.c_contiguous:
        return array.ctypes.data, array.ctypes.data + array.nbytes
    low, high = np.lib.array_utils.byte_bounds(array)
    return int(low), int(high)


def _name(number: int, array: NDArray[Any]) -> str:
    return f"argument {number} ({array.dtype}, {array.size} elements)"


def _device_address(array: NDArray[Any], memories: Sequence[Memory]) -> int:
    low, high = _range(array)
    # An empty array may begin where another one ends.
    memory = next(m for m in memories if m.host <= low and high <= m.host + m.bytes)
    return memory.begin + array.ctypes.data - memory.host


def _are_addresses(values: NDArray[Any]) -> bool:
    """Whether integers may be addresses of the host, or null."""
    if values.dtype.kind not in "iu" or values.dtype.itemsize != 8:
        return False
    given = values[values != 0]
    low, high = _HOST_ADDRESSES[0], _HOST_ADDRESSES[-1]
    return given.size > 0 and bool((given >= low).all() and (given <= high).all())


def as_buffer(memories: Sequence[Memory]) -> ctypes.Array[ctypes.c_uint64]:
    """The memories as the executor takes them (``Array`` of executor/executor.h)."""
    words = [word for memory in memories for word in memory[:3]]
    return (ctypes.c_uint64 * len(words))(*words)
