"""Initial values of weights, drawn on the host, so that they are the same on every backend."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from gpucnn import random
from gpucnn.errors import ConfigError, did_you_mean

Initialiser: TypeAlias = Literal["he", "glorot", "lecun", "zeros"]


def _he(shape: tuple[int, ...], seed: int, stream: int) -> NDArray[np.float64]:
    """Normal, variance 2/fan_in (He, Zhang, Ren, Sun 2015): for ReLU."""
    fan_in, _ = fans(shape)
    return random.normal(seed, stream, 0, math.prod(shape)) * math.sqrt(2.0 / fan_in)


def _glorot(shape: tuple[int, ...], seed: int, stream: int) -> NDArray[np.float64]:
    """Uniform, variance 2/(fan_in + fan_out) (Glorot, Bengio 2010): for tanh and sigmoid."""
    limit = math.sqrt(6.0 / sum(fans(shape)))
    draws = random.uniform(seed, stream, 0, math.prod(shape)).astype(np.float64)
    return limit * (2.0 * draws - 1.0)


def _lecun(shape: tuple[int, ...], seed: int, stream: int) -> NDArray[np.float64]:
    """Normal, variance 1/fan_in (LeCun, Bottou, Orr, Müller 1998)."""
    fan_in, _ = fans(shape)
    return random.normal(seed, stream, 0, math.prod(shape)) * math.sqrt(1.0 / fan_in)


def _zeros(shape: tuple[int, ...], seed: int, stream: int) -> NDArray[np.float64]:  # noqa: ARG001
    """All zero."""
    return np.zeros(math.prod(shape))


_Draw: TypeAlias = Callable[[tuple[int, ...], int, int], NDArray[np.float64]]
_INITIALISERS: dict[str, _Draw] = dict(
    zip(get_args(Initialiser), (_he, _glorot, _lecun, _zeros), strict=True)
)


def names() -> list[str]:
    """The initialisers' names."""
    return list(_INITIALISERS)


def summary(name: str) -> str:
    """What an initialiser draws, in a line."""
    return (_INITIALISERS[name].__doc__ or "").partition("\n")[0]


def check(name: str) -> None:
    """Raises ConfigError unless ``name`` is an initialiser."""
    if name not in _INITIALISERS:
        known = did_you_mean(name, _INITIALISERS)
        raise ConfigError(f'there is no initialiser "{name}"; {known}')


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Inputs to an output, and outputs of an input: of filters (K, R, S, C/groups) or (K, C)."""
    taps = math.prod(shape[1:-1])
    return taps * shape[-1], taps * shape[0]


def draw(name: str, shape: tuple[int, ...], seed: int, stream: int) -> NDArray[np.float64]:
    """Values of a weight, float64 of this shape: output channels first, input channels last."""
    return _INITIALISERS[name](shape, seed, stream).reshape(shape)
