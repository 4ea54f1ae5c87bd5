"""``--arg`` of ``gpucnn emulate``: a kernel's arguments, written on the command line.

::

    DTYPE:SHAPE[:FILL]    float32:1024:random   uint8:16x32   int32:100:range   float32:64:0..1
    @FILE.npy             @x.npy
    DTYPE=VALUE           int32=5   float32=0.5   bool=true   complex64=1+2j
    null                  the null pointer
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gpucnn.errors import BackendError, did_you_mean, out_of_range, shortened
from gpucnn.paths import user_path
from gpucnn.text import shown

Value: TypeAlias = NDArray[Any] | np.generic | None
"""What a kernel is called with."""

_DTYPES = (
    *(f"float{bits}" for bits in (16, 32, 64)),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    *("complex64", "complex128", "bool"),
)
_OTHER_DTYPES = {
    **{"float": "float32", "double": "float64", "half": "float16", "int": "int32"},
    **{"unsigned": "uint32", "uint": "uint32", "char": "int8", "short": "int16", "long": "int64"},
}
"""By the names of C."""
_FILLS = ("zeros", "ones", "random", "range")
_MOST_ELEMENTS = 2**31
_WRITE = (
    "write an array as DTYPE:SHAPE[:FILL], such as float32:16x32:random, or as @FILE.npy, and a "
    "number as DTYPE=VALUE, such as int32=5"
)
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True)
class GivenArgument:
    """An argument as it was written.

    Attributes:
        text: what was written.
        value: of it; arrays are copied for every launch.
    """

    text: str
    value: Value

    def copy(self) -> Value:
        """The value for one launch."""
        return self.value.copy() if isinstance(self.value, np.ndarray) else self.value

    def __str__(self) -> str:
        """Dtype and shape of an array; a number as it was written."""
        if not isinstance(self.value, np.ndarray):
            return self.text
        return f"{self.value.dtype}:{'x'.join(map(str, self.value.shape))}"


def parse_argument(text: str, rng: np.random.Generator) -> GivenArgument:
    """The value that an ``--arg`` describes.

    Args:
        text: such as "float32:16x32:random".
        rng: for random numbers.

    Raises:
        BackendError: it does not follow the grammar, the number does not fit its dtype, or the
            file cannot be read.
    """
    if text == "null":
        return GivenArgument(text, None)
    if text.startswith("@"):
        return GivenArgument(text, _load(text))
    name, separator, rest = text.partition(":")
    if separator:
        shape, _, fill = rest.partition(":")
        array = _array(text, _dtype(text, name), _shape(text, shape), fill or "zeros", rng)
        return GivenArgument(text, array)
    name, separator, number = text.partition("=")
    if not separator:
        raise BackendError(f'--arg "{shortened(text)}" is no argument; {_WRITE}')
    dtype = _dtype(text, name)
    return GivenArgument(text, dtype.type(_number(text, dtype, number)))


def _dtype(text: str, name: str) -> np.dtype[Any]:
    name = name.strip()
    if name not in _DTYPES:
        hint = (
            f'did you mean "{_OTHER_DTYPES[name]}"?'
            if name in _OTHER_DTYPES
            else did_you_mean(name, _DTYPES)
        )
        raise BackendError(
            f'--arg "{shortened(text)}": there is no dtype "{shortened(name)}"; {hint}'
        )
    return np.dtype(name)


def _shape(text: str, shape: str) -> tuple[int, ...]:
    if not re.fullmatch(r"\d{1,12}(?:[x,]\d{1,12})*", shape, re.ASCII):
        raise BackendError(
            f'--arg "{shortened(text)}": "{shortened(shape)}" is not a shape, such as 1024 or 16x32'
        )
    sizes = tuple(int(size) for size in re.split("[x,]", shape))
    if (count := math.prod(sizes)) > _MOST_ELEMENTS:
        raise BackendError(
            f'--arg "{shortened(text)}" has {count:,} elements; at most {_MOST_ELEMENTS:,} are '
            "allowed"
        )
    return sizes


def _array(
    text: str, dtype: np.dtype[Any], shape: tuple[int, ...], fill: str, rng: np.random.Generator
) -> NDArray[Any]:
    if fill == "zeros":
        return np.zeros(shape, dtype)
    if fill == "ones":
        return np.ones(shape, dtype)
    if fill == "random":
        return _random(dtype, shape, rng)
    if fill == "range":
        return np.arange(math.prod(shape)).astype(dtype).reshape(shape)
    low, separator, high = fill.partition("..")
    if separator:
        return _uniform(text, dtype, shape, low, high, rng)
    if fill.isalpha() and fill.lower() not in ("nan", "inf", *_TRUTHS):
        raise BackendError(
            f'--arg "{shortened(text)}": "{shortened(fill)}" is not what an array can be filled '
            f"with; {did_you_mean(fill, _FILLS)}, or a number, or LOW..HIGH"
        )
    return np.full(shape, _number(text, dtype, fill), dtype)


def _random(dtype: np.dtype[Any], shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[Any]:
    """Normally distributed floats, integers from 0 to 99, or truth values."""
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    if dtype.kind == "c":
        real, imaginary = rng.standard_normal((2, *shape))
        return np.asarray(real + 1j * imaginary).astype(dtype)
    return rng.integers(0, 2 if dtype.kind == "b" else 100, shape).astype(dtype)


def _uniform(
    text: str,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    low: str,
    high: str,
    rng: np.random.Generator,
) -> NDArray[Any]:
    """Random numbers from ``low`` up to ``high``, which is not among them."""
    if dtype.kind not in "fiu":
        raise BackendError(f'--arg "{shortened(text)}": LOW..HIGH is for integers and floats')
    begin, end = _number(text, dtype, low), _number(text, dtype, high)
    if not begin < end or not math.isfinite(end - begin):
        raise BackendError(f'--arg "{shortened(text)}": {low} must be less than {high}')
    if dtype.kind == "f":
        return rng.uniform(begin, end, shape).astype(dtype)
    return rng.integers(begin, end, shape, dtype)


def _number(text: str, dtype: np.dtype[Any], number: str) -> Any:
    """A Python number that the dtype can hold."""
    try:
        if dtype.kind == "b":
            return _TRUTHS[number.lower()]
        if dtype.kind == "c":
            return complex(number)
        if dtype.kind == "f":
            value = float(number)
            return _within(value, -_most(dtype), _most(dtype)) if math.isfinite(value) else value
        limits = np.iinfo(dtype)
        return _within(int(number, 0), limits.min, limits.max)
    except (KeyError, ValueError) as error:
        reason = str(error) if isinstance(error, _RangeError) else f"it is not a number of {dtype}"
        raise BackendError(
            f'--arg "{shortened(text)}": the value is "{shortened(number)}"; {reason}'
        ) from None


class _RangeError(ValueError):
    """A number that the dtype cannot hold."""


def _within(value: Any, least: float, most: float) -> Any:
    if reason := out_of_range(value, least, most):
        raise _RangeError(reason)
    return value


def _most(dtype: np.dtype[Any]) -> float:
    return float(np.finfo(dtype).max)


def _load(text: str) -> NDArray[Any]:
    path = user_path(text[1:])
    try:
        with Path(path).open("rb") as file:
            array = np.load(file, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise BackendError(f"{shown(path)} is not an array of NumPy's: {error}") from error
    if not isinstance(array, np.ndarray) or array.dtype.name not in _DTYPES:
        what = f"an array of {array.dtype}" if isinstance(array, np.ndarray) else "several arrays"
        raise BackendError(
            f"{shown(path)} has {what}; --arg takes a .npy file of one of {', '.join(_DTYPES)}"
        )
    return np.ascontiguousarray(array)
