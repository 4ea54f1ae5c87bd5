"""Counter-based random numbers: Philox 4x32-10, the same bits on every backend.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).

A number is addressed, not drawn: it is word ``position % 4`` of the block with

    counter = (position // 4 low 32 bits, high 32 bits, step, stream),   key = seed (64 bits)

so nothing has a state to save, any element can be computed alone and in any order, and a run
that resumes needs its step only. ``stream`` separates the uses of randomness, ``step`` their
repetitions (an epoch, a training step).
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)


class Stream(IntEnum):
    """What a random number is for. Layers add their own index in the upper 24 bits."""

    INITIAL_WEIGHTS = 1
    SAMPLE_ORDER = 2
    VALIDATION_SPLIT = 3
    FLIP = 4
    CROP = 5
    DROPOUT = 6
    SYNTHETIC_DATA = 7
    TEST_SPLIT = 8
    ROTATION = 9
    RESIZED_CROP = 10
    COLOUR = 11
    CUTOUT = 12
    MIXING_SHARE = 13
    MIXING_KIND = 14
    CUTMIX = 15

    def of_layer(self, index: int) -> int:
        """The stream of the layer or parameter with this index in its model."""
        return int(self) | (index << 8)


def philox_4x32(counter: NDArray[np.uint32], seed: int) -> NDArray[np.uint32]:
    """Ten rounds of Philox over counters.

    Args:
        counter: (blocks, 4) uint32.
        seed: the 64-bit key, its low word first.

    Returns:
        (blocks, 4) uint32.
    """
    c0, c1, c2, c3 = (counter[:, word].astype(np.uint64) for word in range(4))
    key0, key1 = seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF
    for _ in range(_ROUNDS):
        product0, product1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0 = (product1 >> _SHIFT) ^ c1 ^ np.uint64(key0)
        c1 = product1 & _LOW
        c2 = (product0 >> _SHIFT) ^ c3 ^ np.uint64(key1)
        c3 = product0 & _LOW
        key0, key1 = (key0 + _WEYL[0]) & 0xFFFFFFFF, (key1 + _WEYL[1]) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=1).astype(np.uint32)


def _counters(blocks: NDArray[np.uint64], stream: int, step: int) -> NDArray[np.uint32]:
    counter = np.empty((blocks.size, 4), np.uint32)
    counter[:, 0] = blocks & _LOW
    counter[:, 1] = blocks >> _SHIFT
    counter[:, 2] = step & 0xFFFFFFFF
    counter[:, 3] = stream
    return counter


def words(seed: int, stream: int, step: int, count: int, offset: int = 0) -> NDArray[np.uint32]:
    """The uint32 words at positions ``offset … offset + count - 1``, shape (count,)."""
    first, last = offset // 4, (offset + count + 3) // 4
    blocks = np.arange(first, last, dtype=np.uint64)
    flat = philox_4x32(_counters(blocks, stream, step), seed).reshape(-1)
    return flat[offset - 4 * first :][:count]


def words_at(
    seed: int, stream: int, step: int, positions: NDArray[np.integer]
) -> NDArray[np.uint32]:
    """The uint32 words at any positions (n,), shape (n,): one for each sample, say."""
    place = positions.astype(np.uint64)
    blocks = philox_4x32(_counters(place // np.uint64(4), stream, step), seed)
    return blocks[np.arange(place.size), (place % np.uint64(4)).astype(np.intp)]


def to_uniform(word: NDArray[np.uint32]) -> NDArray[np.float32]:
    """Words to float32 in [0, 1): the upper 24 bits, exactly."""
    return (word >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)


def to_integers(word: NDArray[np.uint32], low: int, high: int) -> NDArray[np.int32]:
    """Words to int32 in [low, high), by multiplication and shift (Lemire, without rejection)."""
    span = np.uint64(high - low)
    return ((word.astype(np.uint64) * span) >> _SHIFT).astype(np.int32) + np.int32(low)


def uniform(seed: int, stream: int, step: int, count: int, offset: int = 0) -> NDArray[np.float32]:
    """float32 in [0, 1), shape (count,): those at ``offset`` and behind."""
    return to_uniform(words(seed, stream, step, count, offset))


def normal(seed: int, stream: int, step: int, count: int) -> NDArray[np.float64]:
    """Standard normal float64, shape (count,), by Box and Muller, two words a number."""
    pairs = words(seed, stream, step, 2 * count).reshape(count, 2).astype(np.float64)
    radius = np.sqrt(-2.0 * np.log((pairs[:, 0] + 0.5) * 2.0**-32))
    return np.asarray(radius * np.cos(2.0 * np.pi * (pairs[:, 1] + 0.5) * 2.0**-32))


def permutation(seed: int, stream: int, step: int, count: int) -> NDArray[np.int64]:
    """A permutation of ``range(count)``: the order that sorts as many 64-bit random keys."""
    pairs = words(seed, stream, step, 2 * count).reshape(count, 2).astype(np.uint64)
    return np.argsort((pairs[:, 0] << _SHIFT) | pairs[:, 1], kind="stable")
