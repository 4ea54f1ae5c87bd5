"""A series of cases for each operation, always the same."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator

import numpy as np

from gpucnn.check.case import Case, problem_of
from gpucnn.launch import tiled_variants, variants_of
from gpucnn.launch.tiles import TILES
from gpucnn.launch.variants import Variant
from gpucnn.operations import OPERATIONS, Problem


def draw(name: str, count: int, seed: int = 0) -> list[Case]:
    """Draws ``count`` cases of an operation, or of each variant of its kernels.

    The same arguments give the same cases.

    Args:
        name: the operation's.
        count: how many of each variant.
        seed: of the series.
    """
    kind = OPERATIONS[name]
    has_variants = any(tiled_variants(kind))
    return [
        case
        for variant in (tuple(Variant) if has_variants else (None,))
        for case in _series(kind, variant, count, seed)
    ]


def _series(kind: type[Problem], variant: Variant | None, count: int, seed: int) -> Iterator[Case]:
    """Every other case of a matrix product has the plan's tile; the others take all in turn."""
    rng = np.random.default_rng([seed, zlib.crc32(f"{kind.operation} {variant}".encode())])
    every = (kind.draw(rng, number) for number in itertools.count())
    able = (a for a in every if variant is None or variant in variants_of(problem_of(kind, a)))
    tiles = TILES if variant in tiled_variants(kind) else ()
    alternating = [each for tile in tiles for each in (None, tile)] or [None]
    for arguments, tile in itertools.islice(zip(able, itertools.cycle(alternating)), count):
        yield Case(kind, arguments, variant, tile)
