"""The classes of the emulator's errors, and the sentences that they consist of."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest

from gpucnn.backends.devices.emulator_device import why_unavailable
from gpucnn.emulator import RawKernel, errors
from gpucnn.emulator.paths import without_folders
from gpucnn.errors import BackendError

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())

EMULATOR = Path(errors.__file__).parent
MODES = ("fast", "race", "sanitize")


def test_each_kind_of_failure_is_a_class():
    text = (EMULATOR / "include" / "failure_kind.h").read_text(encoding="utf-8")
    (body,) = re.findall(r"enum class FailureKind : uint32_t \{(.*?)\}", text, re.DOTALL)
    kinds = [kind.replace("_", "").lower() for kind in re.findall(r"\w+", body)]
    classes = [kind.__name__.removesuffix("Error").lower() for kind in errors.FAILURE_KINDS]
    assert kinds == ["other", *classes[1:]]
    assert classes[0] == "emulator"
    assert all(issubclass(kind, errors.EmulatorError) for kind in errors.FAILURE_KINDS)


def test_the_classes_need_nothing_else():
    assert "gpucnn" not in inspect.getsource(errors).partition('"""\n\n')[2]


KERNELS = r"""
extern "C" __global__ void race(const float* x, float* y, int n) {
    __shared__ float tile[64];
    tile[threadIdx.x] = x[threadIdx.x];
    y[threadIdx.x] = tile[63 - threadIdx.x];
}
extern "C" __global__ void out_of_bounds(const float* x, float* y, int n) {
    y[threadIdx.x] = x[threadIdx.x + 1];
}
extern "C" __global__ void misaligned(const float* x, float* y, int n) {
    y[threadIdx.x] = reinterpret_cast<const float2*>(x + 1)->x;
}
extern "C" __global__ void divergence(const float* x, float* y, int n) {
    if (threadIdx.x == 5) __syncthreads(); else __syncwarp();
}
extern "C" __global__ void wrong_mask(const float* x, float* y, int n) {
    y[threadIdx.x] = __shfl_sync(0xffff, x[threadIdx.x], 0);
}
extern "C" __global__ void uninitialised(const float* x, float* y, int n) {
    __shared__ float tile[64];
    y[threadIdx.x] = tile[63 - threadIdx.x];
}
extern "C" __global__ void undefined(const float* x, float* y, int n) {
    y[threadIdx.x] = 1 << (n + 40);
}
extern "C" __global__ void division(const float* x, float* y, int n) {
    y[threadIdx.x] = 7 / n;
}
extern "C" __global__ void assertion(const float* x, float* y, int n) {
    assert(n > 1);
}
extern "C" __global__ void trap(const float* x, float* y, int n) {
    __trap();
}
extern "C" __global__ void null(const float* x, float* y, int n) {
    float* p = n > 1 ? y : nullptr;
    *p = 1.0f;
}
extern "C" __global__ void recursion(const float* x, float* y, int n) {
    extern __device__ float deep(const float*, int);
    y[0] = deep(x, n + (1 << 24));
}
__device__ float deep(const float* x, int n) {
    volatile float own[16] = {x[n % 64]};
    const float below = n == 0 ? 0.0f : deep(x, n - 1);
    return below + own[n % 16];
}
"""
X, Y = r"argument 1 \(x, float32, 64 elements\)", r"argument 2 \(y, float32, 64 elements\)"
TILE = r"tile \(shared memory, 256 bytes\)"
THREAD = r"thread \(\d+, 0, 0\)"
AT = r"at kernel\.cu:\d+"
PLACE = rf"block \(0, 0, 0\), {THREAD}: "
# Kernel, class, modes, what a kernel's message says.
CASES = [
    (
        "race",
        errors.RaceError,
        ("race",),
        rf"block \(0, 0, 0\): (read|write) {AT} by {THREAD} races with (read|write) {AT} by "
        rf"{THREAD}, both of byte \d+ of {TILE}",
    ),
    (
        "out_of_bounds",
        errors.OutOfBoundsError,
        ("race", "sanitize"),
        rf"{PLACE}out-of-bounds read of 4 bytes {AT}: element 64 of {X}",
    ),
    ("misaligned", errors.MisalignedError, ("race", "sanitize"), rf"{PLACE}.*misaligned.* {AT}.*"),
    ("divergence", errors.DivergenceError, MODES, rf"{PLACE}.*neither can go on {AT}"),
    ("wrong_mask", errors.DivergenceError, MODES, rf"{PLACE}.* mask 0x0000ffff.* {AT}"),
    (
        "uninitialised",
        errors.UninitialisedError,
        ("race",),
        rf"{PLACE}read {AT} of byte \d+ of {TILE}, which this block has not written",
    ),
    ("undefined", errors.UndefinedBehaviourError, ("race", "sanitize"), rf"{PLACE}shift .* {AT}"),
    ("division", errors.UndefinedBehaviourError, MODES, rf"{PLACE}division by zero {AT}"),
    ("assertion", errors.AssertionFailedError, MODES, rf"{PLACE}assertion failed: n > 1 {AT}"),
    ("trap", errors.AssertionFailedError, MODES, rf"{PLACE}__trap has ended the kernel {AT}"),
    ("null", errors.OutOfBoundsError, MODES, rf"{PLACE}.*(null pointer|\(nil\)|0x0).*"),
    ("recursion", errors.StackOverflowError, MODES, rf"{PLACE}.*stack.*"),
]


@pytest.mark.parametrize(
    ("name", "kind", "mode", "words"),
    [(name, kind, mode, words) for name, kind, modes, words in CASES for mode in modes],
    ids=[f"{name}-{mode}" for name, _, modes, _ in CASES for mode in modes],
)
def test_a_mistake_raises_its_class(name, kind, mode, words):
    x = np.ones(64, np.float32)
    with pytest.raises(kind) as caught:
        RawKernel(KERNELS, name, mode=mode)((1,), (64,), (x, x.copy(), np.int32(0)))
    assert type(caught.value) is kind
    assert re.fullmatch(f"kernel {name}, {words}", str(caught.value)), str(caught.value)


def test_a_device_raises_its_own_error(kernels):
    device, module = kernels("__global__ void k(float* y) { y[1] = 1.0f; }", "race")
    y = device.asarray(np.zeros(1, np.float32))
    with pytest.raises(BackendError, match="element 1 of argument 1") as caught:
        device.launch(module["k"], (1, 1, 1), (1, 1, 1), 0, (y,))
    assert isinstance(caught.value.__cause__, errors.OutOfBoundsError)
    assert str(caught.value) == str(caught.value.__cause__)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("/a/b/c.h:3:4: error: no", "c.h:3:4: error: no"),
        ("In file included from /tmp/x-1/module.cpp:7:", "In file included from module.cpp:7:"),
        ('in ‘/a/b.cu’ and (/a/c.cu), "/d/e f"', 'in ‘b.cu’ and (c.cu), "e f"'),
        ("y = a/b; z = a / b / c; // no path", "y = a/b; z = a / b / c; // no path"),
        ("x[0]/n and 1/2/3", "x[0]/n and 1/2/3"),
        ("../a/b.h and </a/b>", "../a/b.h and </a/b>"),
    ],
)
def test_folders_are_left_out(message, expected):
    assert without_folders(message) == expected


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "body", ["missing();", "atomicAdd(y, 1.0f);", "struct { int a; } s; __shfl_sync(~0u, s, 0);"]
)
def test_no_message_names_a_folder(mode, body):
    """Not even that of the emulator's headers, which may have been compiled elsewhere."""
    code = f'extern "C" __global__ void k(float* y) {{ {body} }}'
    with pytest.raises((BackendError, errors.EmulatorError), match=r"kernel\.cu:1:") as caught:
        RawKernel(code, "k", mode=mode, float_atomics=False)((1,), (1,), (np.zeros(1, np.float32),))
    assert not re.search(r"(^|[\s'\"(])/\w", str(caught.value)), str(caught.value)
