"""The second pass of sums that were cut: every slice of every element once, then the epilogue."""

from itertools import product

import numpy as np
import pytest

from gpucnn.backends import why_unavailable
from gpucnn.backends.devices.emulator.device import EmulatorDevice
from gpucnn.backends.kernel_backend import KernelBackend
from gpucnn.backends.kernel_backend.epilogue import Epilogue
from gpucnn.launch.slices import Slices

pytestmark = pytest.mark.skipif(
    bool(why_unavailable("emulator")), reason=why_unavailable("emulator")
)
# Slices that a thread adds, or that threads share; elements of a block and beyond, few and many.
COUNTS = (2, 16, 17, 40)
SHAPES = ((1, 1), (3, 11), (13, 77), (700, 100))


@pytest.mark.parametrize("mode", ["fast", "race"])
@pytest.mark.parametrize(("count", "shape"), [*product(COUNTS, SHAPES[:3]), (17, SHAPES[3])])
def test_sum_of_integers(rng, count, shape, mode):
    """Small integers, whose sums are exact in any order."""
    backend = KernelBackend(EmulatorDevice(mode))
    partial, bias, residual = (
        rng.integers(-9, 10, size).astype(np.float32)
        for size in ((count, *shape), shape[1:], shape)
    )
    for epilogue, relu in product((False, True), repeat=2):
        added = (bias, residual) if epilogue else (None, None)
        result = backend.asarray(np.full(shape, np.nan, np.float32))
        backend._sum_slices(
            Slices(count, 1),
            backend.asarray(partial),
            result,
            Epilogue(*(None if a is None else backend.asarray(a) for a in added), relu),
        )
        expected = partial.sum(0) + (bias + residual if epilogue else 0)
        expected = np.maximum(expected, 0) if relu else expected
        np.testing.assert_array_equal(backend.to_numpy(result), expected)
