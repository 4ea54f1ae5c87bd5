"""How sums are cut: every term once, in slices neither too short nor too long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucnn.backends.devices.planner import PlanningDevice
from gpucnn.backends.kernel_backend import KernelBackend
from gpucnn.launch import EMULATED
from gpucnn.launch.slices import cut, cut_product

AT_ONCE = 264
"""Blocks of a product that run at the same time: two on each of 132 multiprocessors."""


@given(
    terms=st.integers(0, 10**7), blocks=st.integers(0, 10**4), shortest=st.sampled_from([4, 256])
)
def test_slices_cover_the_sum_once(terms, blocks, shortest):
    slices = cut(terms, blocks, EMULATED, shortest)
    assert slices.length % shortest == 0
    assert (
        (slices.count - 1) * slices.length < max(1, terms) <= max(1, slices.count * slices.length)
    )
    assert slices.count == 1 or slices.count * blocks <= 512


@given(
    terms=st.integers(0, 10**7),
    blocks=st.integers(0, 10**4),
    shortest=st.sampled_from([16, 64, 256]),
    longest=st.sampled_from([2**31 - 1, 100_000, 500]),
)
def test_slices_of_products_cover_the_sum_once(terms, blocks, shortest, longest):
    slices = cut_product(terms, blocks, AT_ONCE, shortest, longest)
    assert slices.length % 16 == 0
    assert slices.length <= longest
    assert (slices.count - 1) * slices.length < max(1, terms) <= slices.count * slices.length
    if slices.count > 1:
        assert slices.length >= min(shortest, longest - 15)
    assert slices.count * blocks <= max(blocks, 4 * AT_ONCE) or slices.length == longest // 16 * 16


@pytest.mark.parametrize(
    ("terms", "blocks", "count"),
    [
        (4608, 256, 1),  # A wave, nearly.
        (2304, 128, 2),  # Half a one.
        (4608, 64, 4),
        (4608, 288, 3),  # The second wave would be a tenth of one; then three and a half shorter.
        (524_288, 1, 263),
        (255, 1, 1),
        (100_000, 5000, 1),
    ],
)
def test_slices_fill_waves(terms, blocks, count):
    assert cut_product(terms, blocks, AT_ONCE).count == count


@pytest.mark.parametrize(
    ("rows", "inner", "columns", "slices"),
    [(64, 512, 128, 8), (64, 3136, 128, 49), (64, 100, 10, 1), (8192, 512, 1024, 1)],
)
def test_small_products_have_short_slices(rows, inner, columns, slices):
    grids = []

    class Recorder(PlanningDevice):
        def launch(self, kernel, grid, *rest):
            grids.append(grid)

    backend = KernelBackend(Recorder())
    backend.matmul(backend.empty((rows, inner)), backend.empty((inner, columns)))
    assert grids[0][2] == slices
    assert len(grids) == (1 if slices == 1 else 2)
