"""Every operation at the shapes of well-known networks, and at awkward ones, in every variant.

On a device that only records, this finds all kernels and variants. The arrays have no contents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gpucnn.backends.interface.arrays import Array
from gpucnn.backends.kernel_backend import KernelBackend
from gpucnn.bench import ceilings
from gpucnn.check.cases import draw
from gpucnn.check.checker import run
from gpucnn.launch import tiled_variants, variants_of
from gpucnn.launch.tiles import TILES, GemmTile
from gpucnn.operations import OPERATIONS, Problem

_DRAWN = 8
"""Drawn cases of each operation and variant."""


def run_all(backend: KernelBackend) -> None:
    """Runs every operation over all of these problems, and compiles what no operation launches."""
    for kind in OPERATIONS.values():
        _run_described(backend, kind)
    # Launched by measurements only.
    backend.device.compile(ceilings.SOURCE)


def _run_described(backend: KernelBackend, kind: type[Problem]) -> None:
    """Runs the shapes that are worth compiling, and a few drawn cases."""
    for problem in kind.built():
        _run_in_variants(backend, problem, dict.fromkeys(problem.numbers, 0.5), TILES)
    for problem in kind.built_as_chosen():
        backend.run(problem, *_arrays(backend, problem), **dict.fromkeys(problem.numbers, 0.5))
    for case in draw(kind.operation, _DRAWN):
        run(case, backend)


def _run_in_variants(
    backend: KernelBackend,
    problem: Problem,
    numbers: Mapping[str, float],
    tiles: Sequence[GemmTile] = (),
) -> None:
    """Runs a problem in each variant; matrix products with these tiles and with the chosen one."""
    arrays = _arrays(backend, problem)
    for variant in variants_of(problem) or (None,):
        for tile in (None, *(tiles if variant in tiled_variants(type(problem)) else ())):
            with backend.held_to(variant, tile):
                backend.run(problem, *arrays, **numbers)


def _arrays(backend: KernelBackend, problem: Problem) -> list[Array | None]:
    """Arrays of what the problem takes and gives."""
    return [
        None if each is None else backend.empty(each.shape, each.dtype) for each in problem.operands
    ]
