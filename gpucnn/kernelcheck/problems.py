"""All operations, and series of problems for each of them."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator

import numpy as np

from gpucnn import operations
from gpucnn.kernelcheck import (
)
from gpucnn.kernelcheck.problem import Operation, Problem, described
from gpucnn.launch.variants import Variant

OPERATIONS: dict[str, Operation] = {
    operation.name: operation
    for family in (
    )
    for operation in family.OPERATIONS
} | {name: described(kind) for name, kind in operations.OPERATIONS.items()}
"""Every operation of a backend, by name."""


def draw(name: str, count: int, seed: int = 0) -> list[Problem]:
    """So many problems of an operation, and for each variant of its kernels, always the same.

    Args:
        name: of the operation.
        count: how many, a variant.
        seed: another gives another series.
    """
    operation = OPERATIONS[name]
    return [
        problem
        for variant in operation.variants or (None,)
        for problem in _series(operation, variant, count, seed)
    ]


def _series(
    operation: Operation, variant: Variant | None, count: int, seed: int
) -> Iterator[Problem]:
    """Every other problem of a matrix product has the backend's tile, the others each in turn."""
    rng = np.random.default_rng([seed, zlib.crc32(f"{operation.name} {variant}".encode())])
    every = (operation.draw(rng, number) for number in itertools.count())
    able = (a for a in every if variant is None or variant in operation.able(a))
    tiles = operation.tiles.get(variant, ())
    alternating = [each for tile in tiles for each in (None, tile)] or [None]
    for arguments, tile in itertools.islice(zip(able, itertools.cycle(alternating)), count):
        yield Problem(operation, arguments, variant, tile)
