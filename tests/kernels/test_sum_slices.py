"""The second pass of sums that were cut: every slice of every element once, then the epilogue."""

from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest

from gpucnn.backends import why_unavailable
from gpucnn.backends.devices.emulator_device import EmulatorDevice
from gpucnn.backends.kernel_backend import KernelBackend
from gpucnn.backends.kernel_backend.prepared import Prepared
from gpucnn.check.case import Case
from gpucnn.check.expected import expect
from gpucnn.launch.launch import Slot
from gpucnn.launch.slices import Slices, sum_slices
from gpucnn.launch.variants import Variant
from gpucnn.operations import OPERATIONS
from gpucnn.operations.problem import FP32, Operand

pytestmark = pytest.mark.skipif(
    bool(why_unavailable("emulator")), reason=why_unavailable("emulator")
)
# Slices that a thread adds, or that threads share; elements, and vectors of them, of a block and
# beyond, few and many.
COUNTS = (2, 16, 17, 40)
SHAPES = ((1, 1), (3, 11), (13, 77), (3, 12), (13, 76))
MANY = ((700, 99), (2700, 100))


@pytest.mark.parametrize(
    ("mode", "count", "shape"),
    [*product(["fast", "race"], COUNTS, SHAPES), *product(["fast"], [17], MANY)],
)
@pytest.mark.parametrize("shards", [1, 3])
def test_sum_of_integers(rng, shards, count, shape, mode):
    """Small integers, whose sums are exact in any order."""
    backend = KernelBackend(EmulatorDevice(mode))
    partial, bias, residual = (
        rng.integers(-9, 10, size).astype(np.float32)
        for size in ((shards, count, *shape), shape[1:], shape)
    )
    problem = SimpleNamespace(
        takes=("partial", "bias", "residual"),
        gives=("result",),
        by_name={"result": Operand(shape, np.dtype(np.float32))},
        dtypes=FP32,
    )
    for epilogue, relu in product((False, True), repeat=2):
        launches = sum_slices(
            Slices(count, 1, shards), Slot("partial"), problem, backend.device.machine,
            bias="bias" if epilogue else None, residual="residual" if epilogue else None, relu=relu,
        )  # fmt: skip
        result = backend.asarray(np.full(shape, np.nan, np.float32))
        arrays = [*map(backend.asarray, (partial, bias, residual)), result]
        Prepared(problem, launches, backend._compiled).run(backend.device, arrays, {})
        expected = partial.sum((0, 1)) + (bias + residual if epilogue else 0)
        expected = np.maximum(expected, 0) if relu else expected
        np.testing.assert_array_equal(backend.to_numpy(result), expected)


@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("has_residual", [False, True])
@pytest.mark.parametrize("relu", [False, True])
def test_convolutions_finish_sums_that_were_cut(rng, has_bias, has_residual, relu):
    """The second pass has the epilogue then, once; small integers are exact again."""
    x, w, bias, residual = (
        rng.integers(-4, 5, shape).astype(np.float32)
        for shape in ((2, 5, 6, 8), (8, 3, 3, 8), (8,), (2, 5, 6, 8))
    )
    arguments = {
        "x": x, "w": w, "bias": bias if has_bias else None, "padding": (1, 1),
        "residual": residual if has_residual else None, "relu": relu,
    }  # fmt: skip
    case = Case(OPERATIONS["conv2d_forward"], arguments)
    backend = KernelBackend(EmulatorDevice("fast"))
    with backend.held_to(Variant.GEMM, shortest_slice=16):
        y = case.run(backend)["y"]
    np.testing.assert_array_equal(y, expect(case).outcome["y"])
