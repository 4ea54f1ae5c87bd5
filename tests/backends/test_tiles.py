"""The tiles of matrix products: which is chosen, and that kernels can be compiled for each."""

import pytest

from gpucnn.launch.tiles import MANY_ROWS, TILES, gemm_tile


@pytest.mark.parametrize(
    ("rows", "columns", "tile"),
    [
        (MANY_ROWS, 1024, (128, 128)),
        (MANY_ROWS, 64, (128, 64)),
        (MANY_ROWS, 32, (128, 32)),
        (MANY_ROWS, 10, (128, 16)),
        (16, 144, (16, 128)),
        (64, 576, (64, 128)),
        (512, 4608, (128, 128)),
    ],
)
def test_chosen_tile(rows, columns, tile):
    chosen = gemm_tile(rows, columns)
    assert (chosen.rows, chosen.columns) == tile


def test_every_tile_is_one_that_kernels_can_be_compiled_for():
    """The assertions of gemm_tile.cuh that can be made here, and a block's static memory."""
    for tile in TILES:
        assert tile.threads % 32 == 0
        assert tile.threads <= 256
        assert tile.is_shared_equally
        assert 2 * 4 * tile.depth * (tile.rows + tile.columns + 8) == tile.shared_bytes
        assert tile.shared_bytes <= 48 * 1024
