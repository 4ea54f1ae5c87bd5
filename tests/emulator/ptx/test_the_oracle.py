"""The oracle's floats against NumPy's, where NumPy has them: rounded to nearest."""

from random import Random

import numpy as np
import pytest
from emulator.ptx.oracle.arithmetic import computed
from emulator.ptx.oracle.conversions import converted, to_integral
from emulator.ptx.oracle.floats import F16, F32, F64
from emulator.ptx.oracle.operands import floating

TYPES = {"f16": np.float16, "f32": np.float32, "f64": np.float64}
OPERATIONS = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "sqrt": np.sqrt,
}


def drawn(of, count, random):
    """So many rows of bits."""
    kind = floating(of)
    rows = []
    for _ in range(2000):
        row = []
        for _ in range(count):
            row.append(kind.draw(random, row))
        rows.append(row)
    return rows


def columns(rows):
    return np.array(rows, dtype=np.uint64).T


def as_numbers(of, bits):
    return bits.astype(f"u{of.bits // 8}").view(TYPES[of.name])


def as_bits(of, numbers):
    return numbers.view(f"u{of.bits // 8}").tolist()


@pytest.fixture
def random():
    return Random(20240229)


@pytest.mark.parametrize("of", [F16, F32, F64], ids=lambda of: of.name)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_arithmetic(of, operation, random):
    count = 1 if operation == "sqrt" else 2
    rows = drawn(of, count, random)
    with np.errstate(all="ignore"):
        results = OPERATIONS[operation](*(as_numbers(of, bits) for bits in columns(rows)))
    for row, result in zip(rows, as_bits(of, results), strict=True):
        assert computed(of, operation, "rn", (), *row).accepts(result), (row, result)


@pytest.mark.parametrize("to", [F16, F32, F64], ids=lambda of: of.name)
@pytest.mark.parametrize("of", [F16, F32, F64], ids=lambda of: of.name)
def test_conversions(to, of, random):
    rows = drawn(of, 1, random)
    with np.errstate(all="ignore"):
        results = as_numbers(of, *columns(rows)).astype(TYPES[to.name])
    for (bits,), result in zip(rows, as_bits(to, results), strict=True):
        assert converted(to, of, "rn", False, False, False, bits).accepts(result), (bits, result)


@pytest.mark.parametrize("of", [F16, F32, F64], ids=lambda of: of.name)
@pytest.mark.parametrize(
    ("rounding", "function"),
    [("rni", np.rint), ("rzi", np.trunc), ("rmi", np.floor), ("rpi", np.ceil)],
)
def test_whole_numbers(of, rounding, function, random):
    rows = drawn(of, 1, random)
    with np.errstate(all="ignore"):
        results = function(as_numbers(of, *columns(rows)))
    for (bits,), result in zip(rows, as_bits(of, results), strict=True):
        assert to_integral(of, rounding, False, False, bits).accepts(result), (bits, result)
