"""Operands swapped in the inline assembly of mma: mode ptx notices, and nothing else can."""

import shutil

import numpy as np
import pytest

from gpucnn.backends.devices.emulator_device import why_unavailable
from gpucnn.backends.devices.source import KERNELS
from gpucnn.emulator import RawKernel

# D (16, 8) = A (16, 8) · B (8, 8) by a warp.
PRODUCT = r"""
#include "ptx/mma.cuh"

extern "C" __global__ void product(const float* a, const float* b, float* d) {
    const int lane = threadIdx.x, g = lane >> 2, t = lane & 3;
    float sums[4] = {};
    unsigned of_a[4], of_b[2];
    for (int i = 0; i < 4; ++i) {
        of_a[i] = float_to_tf32(a[(g + i % 2 * 8) * 8 + t + i / 2 * 4]);
    }
    for (int i = 0; i < 2; ++i) {
        of_b[i] = float_to_tf32(b[(t + i * 4) * 8 + g]);
    }
    mma_m16n8k8_tf32(sums, of_a, of_b);
    for (int i = 0; i < 4; ++i) {
        d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sums[i];
    }
}
"""
IN_ORDER = '" {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"'
SWAPPED = {
    "sums": '" {%0, %2, %1, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %2, %1, %3};"',
    "a": '" {%0, %1, %2, %3}, {%4, %6, %5, %7}, {%8, %9}, {%0, %1, %2, %3};"',
    "b": '" {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%9, %8}, {%0, %1, %2, %3};"',
}


@pytest.fixture
def product(tmp_path, rng):
    """Computes a product in a mode, with other operands in the assembly; and what it should be."""
    a, b = (rng.integers(-8, 9, shape).astype(np.float32) for shape in ((16, 8), (8, 8)))

    def compute(mode, operands):
        folder = shutil.copytree(KERNELS / "include", tmp_path / "include", dirs_exist_ok=True)
        file = folder / "ptx/instruction.cuh"
        text = file.read_text("utf-8")
        assert text.count(IN_ORDER) == 1
        file.write_text(text.replace(IN_ORDER, operands), "utf-8")
        kernel = RawKernel(PRODUCT, "product", (f"-I{folder}",), mode=mode)
        d = np.empty((16, 8), np.float32)
        kernel((1,), (32,), (a, b, d))
        return d

    return compute, a @ b


@pytest.mark.nvrtc
def test_operands_in_order(product):
    compute, expected = product
    np.testing.assert_array_equal(compute("ptx", IN_ORDER), expected)


@pytest.mark.nvrtc
@pytest.mark.parametrize("operands", SWAPPED.values(), ids=SWAPPED)
def test_swapped_operands_give_another_product(product, operands):
    compute, expected = product
    assert (compute("ptx", operands) != expected).any()


@pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())
@pytest.mark.parametrize(("mode", "which"), [("fast", "sums"), ("race", "a"), ("sanitize", "b")])
def test_modes_that_run_the_source_cannot_see_it(product, mode, which):
    """They take what the opcode says from a header of their own, whatever the assembly is."""
    compute, expected = product
    np.testing.assert_array_equal(compute(mode, SWAPPED[which]), expected)
