"""Every operation at the shapes of well-known networks, and at awkward ones, in every variant.

On a device that only plans, this tells all kernels and variants; arrays have no contents here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np

from gpucnn.backends.base import Backend
from gpucnn.backends.interface.arrays import Array
from gpucnn.backends.kernel_backend import KernelBackend
from gpucnn.bench import ceilings
from gpucnn.kernelcheck.check import run
from gpucnn.kernelcheck.problems import draw
from gpucnn.launch import tiled_variants, variants_of
from gpucnn.launch.tiles import TILES, GemmTile
from gpucnn.operations import OPERATIONS, Problem

_DRAWN = 12
"""Drawn problems of each operation and variant."""

_MATRICES = ((128, 3136, 128), (128, 128, 10), (256, 512, 100), (64, 2048, 1000), (3, 5, 7))
"""Batch, inputs and outputs of linear layers."""
_CHANNELS = (1, 3, 10, 64, 100, 1000)


def run_all(backend: KernelBackend) -> None:
    """Runs every operation of the backend over all of these problems, and takes the rest too."""
    for rows, inputs, outputs in _MATRICES:
        _multiply(backend, rows, inputs, outputs)
    _multiply_in_every_tile(backend)
    for channels in _CHANNELS:
        _classify(backend, channels)
    _optimize(backend)
    for kind in OPERATIONS.values():
        _run_described(backend, kind)
    # Not launched by an operation, but by measurements.
    backend.device.compile(ceilings.SOURCE)


def _run_described(backend: KernelBackend, kind: type[Problem]) -> None:
    """The shapes worth timing and those worth compiling, in each variant; some that are drawn."""
    for timed in kind.timed():
        _run_in_variants(backend, timed.problem, timed.numbers)
    for problem in kind.built():
        _run_in_variants(backend, problem, dict.fromkeys(problem.numbers, 0.5), TILES)
    for problem in kind.built_as_chosen():
        backend.run(problem, *_arrays(backend, problem), **dict.fromkeys(problem.numbers, 0.5))
    for drawn in draw(kind.operation, _DRAWN):
        run(drawn, backend)


def _run_in_variants(
    backend: KernelBackend,
    problem: Problem,
    numbers: Mapping[str, float],
    tiles: Sequence[GemmTile] = (),
) -> None:
    """In each variant, those that are matrix products with these tiles besides the chosen one."""
    arrays = _arrays(backend, problem)
    for variant in variants_of(problem) or (None,):
        for tile in (None, *(tiles if variant in tiled_variants(type(problem)) else ())):
            with backend.held_to(variant, tile):
                backend.run(problem, *arrays, **numbers)


def _arrays(backend: KernelBackend, problem: Problem) -> list[Array | None]:
    """Of what the problem takes and gives."""
    return [
        None if each is None else backend.empty(each.shape, each.dtype) for each in problem.operands
    ]


def _multiply_in_every_tile(backend: KernelBackend) -> None:
    """Both ways round, and rows that are moved as vectors or not."""
    flags = (False, True)
    sizes = ((64, 128, 256), (3, 5, 7))
    for tile, (M, N, K), transpose_a, transpose_b in product(TILES, sizes, flags, flags):
        a = backend.empty((K, M) if transpose_a else (M, K))
        b = backend.empty((N, K) if transpose_b else (K, N))
        with backend.held_to(tile=tile):
            backend.matmul(a, b, transpose_a, transpose_b, backend.empty((N,)))


def _multiply(backend: Backend, rows: int, inputs: int, outputs: int) -> None:
    x, w = backend.empty((rows, inputs)), backend.empty((outputs, inputs))
    dy = backend.matmul(x, w, transpose_b=True)
    bias = backend.empty((outputs,))
    backend.matmul(x, w, transpose_b=True, bias=bias)
    backend.matmul(x, w, transpose_b=True, bias=bias, relu=True)
    backend.matmul(dy, w)
    backend.matmul(dy, x, transpose_a=True)
    backend.matmul(backend.empty((inputs, rows)), w, transpose_a=True, transpose_b=True)
    backend.channel_sum(dy)


def _classify(backend: Backend, classes: int) -> None:
    scores, labels = backend.empty((128, classes)), backend.empty((128,), np.int32)
    losses, probabilities = backend.softmax_cross_entropy_forward(scores, labels, 0.1)
    backend.softmax_cross_entropy_input_grad(probabilities, labels, 0.1, 1 / 128)
    backend.softmax(scores)
    backend.mean_squared_error_forward(scores, labels)
    backend.mean_squared_error_input_grad(scores, labels, 1 / 128)
    backend.accumulate_metrics(backend.empty((2,), np.float64), losses, scores, labels)


def _optimize(backend: Backend) -> None:
    w, g, m, v = (backend.empty((1001,)) for _ in range(4))
    guard = backend.empty((1,), np.int32)
    backend.guard_step(guard, backend.global_norm(g), backend.empty((128,)), 1)
    backend.sgd_step(w, g, None, 0.1, 0.0, False, 1e-4)
    for nesterov in (False, True):
        backend.sgd_step(w, g, v, 0.1, 0.9, nesterov, 1e-4)
    backend.adam_step(w, g, m, v, 1, 1e-3, 0.9, 0.999, 1e-8, 1e-4)
    backend.adamw_step(w, g, m, v, 1, 1e-3, 0.9, 0.999, 1e-8, 1e-4)
    backend.clip_by_global_norm(g, backend.global_norm(g), 1.0)
    backend.clip_by_value(g, 1.0)
