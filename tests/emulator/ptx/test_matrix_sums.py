"""Sums that tensor cores round: cut off as in hardware, or rounded to nearest each time."""

from functools import partial

import pytest
from emulator.ptx.oracle.floats import TF32
from emulator.ptx.oracle.kernel import BLOCK
from emulator.ptx.oracle.matrices import (
    cut_off,
    nearest,
    rounded_products,
    small_products,
    special_products,
)
from emulator.ptx.oracle.trial import Conditions, disagreements

from gpucnn.backends.devices.emulator_device import why_unavailable
from gpucnn.emulator.ptx.program import Accumulation

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())

ACCUMULATIONS = [Accumulation(8, 4, 1), Accumulation(16, 8, 2), Accumulation(4, 4, 0)]
CASES = pytest.mark.parametrize(
    "cases", [BLOCK, pytest.param(8 * BLOCK, marks=pytest.mark.slow)], ids=["few", "many"]
)


@CASES
@pytest.mark.parametrize("accumulation", ACCUMULATIONS, ids=str)
def test_sums_are_cut_off(accumulation, cases):
    def sum_of(shape):
        is_short = shape.of is TF32
        at_once = accumulation.terms_tf32 if is_short else accumulation.terms_16_bit
        return partial(cut_off, at_once, accumulation.extra_bits)

    assert disagreements(list(rounded_products(sum_of)), cases, Conditions(accumulation)) == []


@CASES
def test_sums_are_rounded_to_nearest(cases):
    products = list(rounded_products(lambda _shape: nearest))
    assert disagreements(products, cases) == []


@pytest.mark.parametrize("accumulation", ACCUMULATIONS, ids=str)
@pytest.mark.parametrize("products", [small_products, special_products])
def test_exact_and_special_sums_do_not_depend_on_it(products, accumulation):
    assert disagreements(list(products()), BLOCK, Conditions(accumulation)) == []
