"""The matrix product in every tile, both ways round: a drawn tile meets one way or two."""

from itertools import product

import numpy as np
import pytest

from gpucnn.check.case import Case
from gpucnn.check.checker import run
from gpucnn.check.expected import expect
from gpucnn.launch.tiles import TILES
from gpucnn.operations import OPERATIONS
from gpucnn.operations.sampling import normal

SIZES = [(33, 17, 20), (130, 132, 24)]
"""M, N and K within one tile of most sizes and beyond it; lengths that 4 divides or does not."""


def cases(tile):
    rng = np.random.default_rng(3)
    for (M, N, K), (transpose_a, transpose_b) in product(SIZES, product([False, True], repeat=2)):
        arguments = {
            "a": normal(rng, *((K, M) if transpose_a else (M, K))),
            "b": normal(rng, *((N, K) if transpose_b else (K, N))),
            "transpose_a": transpose_a,
            "transpose_b": transpose_b,
            "bias": normal(rng, N),
        }
        yield Case(OPERATIONS["matmul"], arguments, tile=tile)


@pytest.mark.slow
@pytest.mark.parametrize("tile", TILES, ids=lambda tile: f"{tile.rows}x{tile.columns}")
def test_every_tile(kernel_backend, tile):
    kernel_backend.compile_ahead(lambda planner: [run(each, planner) for each in cases(tile)])
    for case in cases(tile):
        complaint = expect(case).complaint(run(case, kernel_backend))
        assert not complaint, f"{case}: {complaint}"
