"""The matrix product: every tile, both ways round, with rows that are moved as vectors or not."""

from functools import cache
from itertools import product

import numpy as np
import pytest
from tolerance import assert_close, sum_bound

from gpucnn.launch.tiles import TILES

# Beyond one tile and within one; a sum in one slice and in several; lengths 4 divides or not.
SIZES = [(1, 1, 1), (3, 5, 7), (33, 17, 20), (130, 132, 24), (8, 140, 36), (70, 10, 1027)]
TRANSPOSED = list(product([False, True], repeat=2))


def multiply(backend, tile, M, N, K, transpose_a, transpose_b, rng):
    """op(a) and op(b) on the host, the bias, and the backend's result."""
    a = rng.standard_normal((K, M) if transpose_a else (M, K)).astype(np.float32)
    b = rng.standard_normal((N, K) if transpose_b else (K, N)).astype(np.float32)
    bias = rng.standard_normal(N).astype(np.float32) if M % 2 == 0 else None
    added = None if bias is None else backend.asarray(bias)
    with backend.held_to(tile=tile):
        result = backend.matmul(
            backend.asarray(a), backend.asarray(b), transpose_a, transpose_b, added
        )
    bias = np.zeros(N) if bias is None else bias.astype(float)
    a, b = a.T if transpose_a else a, b.T if transpose_b else b
    return a.astype(float), b.astype(float), bias, backend.to_numpy(result)


@cache
def compile_up_front(backend, tile):
    def rehearse(planner):
        for sizes, transposed in product(SIZES, TRANSPOSED):
            multiply(planner, tile, *sizes, *transposed, np.random.default_rng(0))

    backend.compile_ahead(rehearse)


def check(backend, tile, sizes, transposed):
    drawn = np.random.default_rng(3)
    a, b, bias, result = multiply(backend, tile, *sizes, *transposed, drawn)
    magnitudes = abs(a) @ abs(b) + abs(bias)
    assert_close(result, a @ b + bias, sum_bound(sizes[2] + 1, magnitudes, np.float32))
    again = multiply(backend, tile, *sizes, *transposed, np.random.default_rng(3))[-1]
    np.testing.assert_array_equal(again.view(np.uint32), result.view(np.uint32))


@pytest.mark.parametrize("transposed", TRANSPOSED)
@pytest.mark.parametrize("sizes", SIZES[2:])
def test_chosen_tile(kernel_backend, sizes, transposed):
    compile_up_front(kernel_backend, None)
    check(kernel_backend, None, sizes, transposed)


@pytest.mark.slow
@pytest.mark.parametrize("transposed", TRANSPOSED)
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("tile", TILES, ids=lambda tile: f"{tile.rows}x{tile.columns}")
def test_every_tile(kernel_backend, tile, sizes, transposed):
    compile_up_front(kernel_backend, tile)
    check(kernel_backend, tile, sizes, transposed)
