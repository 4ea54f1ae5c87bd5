"""Random numbers for what is timed, in a moment however many there are."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_PERIOD = 1_048_573
"""Numbers that are drawn; a longer array consists of them, again and again. A prime, so that no two
images or rows begin alike. To draw all of them would take longer than to time the operation."""


def random_array(generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """An array of normally distributed numbers, which repeat themselves in a long one."""
    size = math.prod(shape)
    drawn = generator.standard_normal(min(size, _PERIOD), np.float32)
    array = np.empty(size, np.float32)
    for begin in range(0, size, _PERIOD):
        array[begin : begin + _PERIOD] = drawn[: size - begin]
    return array.reshape(shape)
