"""Textbook kernels through the public interface: right in every mode, and their faults found."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from gpucnn.backends.devices.emulator_device import why_unavailable
from gpucnn.emulator import RawKernel, RawModule
from gpucnn.emulator.errors import (
    DivergenceError,
    OutOfBoundsError,
    RaceError,
    UndefinedBehaviourError,
    UninitialisedError,
)

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())

CODE = Path(__file__).with_name("classic_kernels.cu").read_text(encoding="utf-8")
MODES = ("fast", "race", "sanitize")
SEEDS = {"fast": range(4), "race": range(4), "sanitize": range(1)}
EPSILON = float(np.finfo(np.float32).eps)


@pytest.fixture(
    params=[
        *((mode, seed) for mode in MODES for seed in SEEDS[mode]),
        pytest.param(("ptx", 0), marks=[pytest.mark.nvrtc, pytest.mark.cuda_headers]),
    ],
    ids=lambda mode_and_seed: "{}-{}".format(*mode_and_seed),
)
def schedule(request):
    """A mode and a seed, as they are given to the emulator's classes."""
    return dict(zip(("mode", "seed"), request.param, strict=True))


@pytest.fixture
def kernel(schedule):
    """Makes a kernel of the file from its name."""
    return lambda name: RawKernel(CODE, name, options=("--std=c++17",), **schedule)


def floats(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def test_a_sum(kernel, rng):
    n, blocks = 1000, 3
    x, y = floats(rng, n), np.zeros(blocks, np.float32)
    kernel("sum")((blocks,), (64,), (x, y, np.int32(n)))
    share = [np.concatenate([x[i : i + 64] for i in range(64 * b, n, 192)]) for b in range(blocks)]
    for total, own in zip(y, share, strict=True):
        expected, magnitude = sum(map(float, own)), sum(abs(float(v)) for v in own)
        assert abs(total - expected) <= len(own) * EPSILON * magnitude


def test_the_largest(kernel, rng):
    x, y = floats(rng, 200), np.zeros(1, np.float32)
    kernel("largest")((1,), (256,), (x, y, np.int32(200)), shared_mem=256 * 4)
    assert y[0] == max(x.tolist())


def test_a_matrix_product(kernel, rng):
    m, n, k = 35, 20, 50
    a, b, c = floats(rng, m, k), floats(rng, k, n), np.full((m, n), np.nan, np.float32)
    kernel("multiply")((2, 3), (16, 16), (a, b, c, np.int32(m), np.int32(n), np.int32(k)))
    for i in range(m):
        for j in range(n):
            products = [float(a[i, p]) * float(b[p, j]) for p in range(k)]
            assert abs(c[i, j] - sum(products)) <= (k + 1) * EPSILON * sum(map(abs, products))


def test_an_elementwise_kernel(kernel, rng):
    n, x, y = 1000, floats(rng, 1000), floats(rng, 1000)
    expected = np.float64(0.5) * x.astype(np.float64) + y.astype(np.float64)
    kernel("saxpy")((2,), (128,), (np.float32(0.5), x, y, np.int32(n)))
    np.testing.assert_allclose(y, expected, rtol=2 * EPSILON, atol=2 * EPSILON)


def test_threads_that_have_nothing_to_do(kernel, rng):
    x, y = floats(rng, 100), np.zeros(100, np.float32)
    kernel("square")((2,), (64,), (x, y, np.int32(100)))
    assert y.tolist() == [float(np.float32(v * v)) for v in x]


def test_a_histogram(kernel, rng):
    x, counts = rng.integers(0, 256, 3000, np.uint8), np.zeros(256, np.uint32)
    kernel("histogram")((4,), (96,), (x, counts, np.int32(3000)))
    assert counts.tolist() == [x.tolist().count(value) for value in range(256)]


def test_a_filter_in_constant_memory(kernel, rng):
    n, x, y = 100, floats(rng, 104), np.zeros(100, np.float32)
    kernel("smooth")((2,), (64,), (x, y, np.int32(n)))
    for i in range(n):
        terms = [t * float(x[i + j]) for j, t in enumerate((0.0625, 0.25, 0.375, 0.25, 0.0625))]
        assert abs(y[i] - sum(terms)) <= 6 * EPSILON * sum(map(abs, terms))


def test_half_precision(kernel, rng):
    x, y, z = (rng.standard_normal(2 * 50).astype(np.float16) for _ in range(3))
    exact = x.astype(np.float64) * y + z  # of 11 bits each: a float64 holds it
    kernel("multiply_add_half")((1,), (64,), (x, y, z, np.int32(100)))
    assert z.tolist() == exact.astype(np.float16).tolist()


def test_a_template(schedule, rng):
    names = ("power<float, 3>", "power<double, 2>")
    module = RawModule(code=CODE, name_expressions=names, **schedule)
    for name, dtype, exponent in zip(names, (np.float32, np.float64), (3, 2), strict=True):
        x, y = rng.standard_normal(100).astype(dtype), np.zeros(100, dtype)
        module.get_function(name)((2,), (64,), (x, y, np.int32(100)))
        np.testing.assert_allclose(y, x**exponent, rtol=4 * np.finfo(dtype).eps)


def test_constant_memory_that_the_host_sets(schedule, rng):
    module = RawModule(code=CODE, **schedule)
    coefficients = np.ndarray(3, np.float32, module.get_global("coefficients"))
    kernel = module.get_function("polynomial")
    x, y = floats(rng, 100), np.zeros(100, np.float32)
    for values in ((1, 2, 3), (0.5, -4, 0)):
        coefficients[...] = values
        kernel((2,), (64,), (x, y, np.int32(100)))
        a, b, c = map(float, values)
        terms = [np.abs([a, b * v, c * v * v]).sum() for v in x.tolist()]
        exact = [a + b * v + c * v * v for v in x.tolist()]
        assert (np.abs(y - exact) <= 4 * EPSILON * np.array(terms)).all()


def test_a_structure(kernel, rng):
    bounds = np.dtype([("low", "f8"), ("high", "f8"), ("n", "i4")], align=True)
    x, y = rng.standard_normal(100), np.zeros(100)
    kernel("clamp")((2,), (64,), (x, y, np.array((-0.5, 0.25, 90), bounds)[()]))
    assert y.tolist() == [min(max(v, -0.5), 0.25) for v in x.tolist()[:90]] + [0.0] * 10


def line_of(text):
    """The number of the only line with the text."""
    (line,) = [number for number, line in enumerate(CODE.split("\n"), 1) if text in line]
    return line


@dataclass(frozen=True)
class Fault:
    """A change of a kernel that makes it wrong, and the report that is expected.

    Attributes:
        kernel: which.
        text: what is replaced; it occurs once. Empty to change nothing.
        replacement: by what.
        grid: of the launch.
        block: of the launch.
        error: the classes that fit.
        lines: texts of the lines that may be named.
        shared_bytes: of dynamic shared memory.
    """

    kernel: str
    text: str
    replacement: str
    grid: tuple[int, ...]
    block: tuple[int, ...]
    error: tuple[type[Exception], ...]
    lines: tuple[str, ...]
    shared_bytes: int = 0


FAULTS = {
    "a barrier is missing": Fault(
        "sum",
        "__syncthreads();  // of_warp is written",
        "",
        (2,),
        (64,),
        (RaceError, UninitialisedError),
        ("total += of_warp[warp]", "of_warp[threadIdx.x / 32] = own"),
    ),
    "a barrier is missing before the tiles are overwritten": Fault(
        "multiply",
        "__syncthreads();  // the tiles are read",
        "",
        (1, 1),
        (16, 16),
        (RaceError,),
        (
            "sum += a[threadIdx.y][i]",
            "a[threadIdx.y][threadIdx.x] =",
            "b[threadIdx.y][threadIdx.x] =",
        ),
    ),
    "a mask leaves half of the warp out": Fault(
        "sum",
        "0xffffffff",
        "0x0000ffff",
        (1,),
        (64,),
        (DivergenceError,),
        ("own += __shfl_down_sync",),
    ),
    "the bounds are not checked": Fault(
        "square",
        "if (i >= n) return;",
        "",
        (2,),
        (64,),
        (OutOfBoundsError,),
        ("y[i] = x[i] * x[i]",),
    ),
    "an index is out of range": Fault(
        "smooth",
        "taps[j] * x[i + j]",
        "taps[j] * x[i + j + 1]",
        (2,),
        (64,),
        (OutOfBoundsError,),
        ("sum += taps[j] * x[i + j]",),
    ),
    "a constant array is read past its end": Fault(
        "smooth",
        "j < 5",
        "j < 6",
        (2,),
        (64,),
        (OutOfBoundsError, UndefinedBehaviourError),
        ("sum += taps[j] * x[i + j]",),
    ),
    "a plain addition in the place of an atomic one": Fault(
        "histogram",
        "atomicAdd(&counts[bin], own[bin])",
        "counts[bin] += own[bin]",
        (2,),
        (64,),
        (RaceError,),
        ("atomicAdd(&counts[bin], own[bin])",),
    ),
    "half of the dynamic shared memory": Fault(
        "largest", "", "", (1,), (256,), (OutOfBoundsError,), ("values[t] = t < n",), 128 * 4
    ),
}


def arguments_of(name, rng):
    """Those with which the launches of FAULTS are right if the kernel is."""
    if name == "histogram":
        return rng.integers(0, 256, 300, np.uint8), np.zeros(256, np.uint32), np.int32(300)
    if name == "multiply":
        sizes = (np.int32(16), np.int32(16), np.int32(40))
        return floats(rng, 16, 40), floats(rng, 40, 16), floats(rng, 16, 16), *sizes
    outputs = {"sum": 2, "largest": 1}.get(name, 100)
    inputs = 104 if name == "smooth" else 100
    return floats(rng, inputs), np.zeros(outputs, np.float32), np.int32(100)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_reported_with_its_line(name, rng):
    fault = FAULTS[name]
    code = CODE.replace(fault.text, fault.replacement)
    assert fault.text == "" or CODE.count(fault.text) == 1
    kernel = RawKernel(code, fault.kernel, mode="race")
    with pytest.raises(fault.error) as caught:
        kernel(
            fault.grid,
            fault.block,
            arguments_of(fault.kernel, rng),
            shared_mem=fault.shared_bytes,
        )
    message = str(caught.value)
    assert fault.kernel in message, message
    named = {int(line) for line in re.findall(r"\.cu:(\d+)", message)}
    assert named and named <= {line_of(text) for text in fault.lines}, message


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.text])
def test_without_the_fault_there_is_no_report(name, rng):
    fault = FAULTS[name]
    for seed in range(4):
        kernel = RawKernel(CODE, fault.kernel, mode="race", seed=seed)
        kernel(fault.grid, fault.block, arguments_of(fault.kernel, rng))
