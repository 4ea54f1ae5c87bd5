"""No fault of a kernel in fast mode ends the process without a message that names the kernel.

The kernels run in processes of their own, several mistakes in each, so that what one damages shows.
"""

import subprocess
import sys

import pytest

from gpucnn.backends.devices.emulator_device import why_unavailable

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())

PROGRAM = r'''
import gc
import sys
import numpy as np
from gpucnn.emulator import RawKernel
from gpucnn.emulator.errors import EmulatorError

CODE = r"""
#include <cstdlib>
extern "C" __global__ void shared(float* x, float* y, long long n) {
    __shared__ float t[256];
    t[threadIdx.x] = x[0];
    t[n + threadIdx.x] = 1;
    __syncthreads();
    y[threadIdx.x] = t[threadIdx.x];
}
extern "C" __global__ void dynamic(float* x, float* y, long long n) {
    extern __shared__ float d[];
    d[threadIdx.x] = x[0];
    d[n] = 1;
    __syncthreads();
    y[threadIdx.x] = d[threadIdx.x];
}
extern "C" __global__ void local(float* x, float* y, long long n) {
    float own[16];
    for (int i = 0; i < n; ++i) own[i] = x[i % 64];
    y[threadIdx.x] = own[threadIdx.x % 16];
}
extern "C" __global__ void argument(float* x, float* y, long long n) { y[n] = 1; }
extern "C" __global__ void many(float* x, float* y, long long n) {
    for (int i = 0; i < n; ++i) y[64 + i] = 1e9f;
}
extern "C" __global__ void before(float* x, float* y, long long n) {
    for (int i = 1; i < n; ++i) y[-i] = 1e9f;
}
extern "C" __global__ void wild(float* x, float* y, long long n) {
    *reinterpret_cast<float*>(n) = 1;
}
extern "C" __global__ void jump(float* x, float* y, long long n) {
    reinterpret_cast<void (*)()>(n)();
}
extern __device__ float deep(const float*, int);
extern "C" __global__ void recursion(float* x, float* y, long long n) { y[0] = deep(x, n); }
__device__ float deep(const float* x, int n) {
    volatile float own[16] = {x[n % 64]};
    const float below = n == 0 ? 0.0f : deep(x, n - 1);
    return below + own[n % 16];
}
extern "C" __global__ void aborts(float* x, float* y, long long n) { abort(); }
extern "C" __global__ void exits(float* x, float* y, long long n) { exit(3); }
extern "C" __global__ void traps(float* x, float* y, long long n) { if (n) __builtin_trap(); }
extern "C" __global__ void frees(float* x, float* y, long long n) { free(y + 1); }
extern "C" __global__ void frees_twice(float* x, float* y, long long n) {
    float* const own = static_cast<float*>(malloc(4 * n));
    own[0] = 1;
    free(own);
    free(own);
    y[0] = own[0];
}
extern "C" __global__ void right(float* x, float* y, long long n) { y[threadIdx.x] = 3; }
"""

size = int(sys.argv[1])
for mistake in sys.argv[2:]:
    name, _, n = mistake.partition("=")
    others = [np.zeros(64, np.float32) for _ in range(20)]
    x, y = np.zeros(size, np.float32), np.zeros(size, np.float32)
    kernel = RawKernel(CODE, name, mode="fast")
    try:
        kernel((2,), (64,), (x, y, np.int64(int(n or 1))), shared_mem=256)
        print(mistake, "passes", flush=True)
    except EmulatorError as error:
        print(mistake, type(error).__name__, error, flush=True)
    del others, x, y
    gc.collect()
    y = np.zeros(64, np.float32)
    RawKernel(CODE, "right", mode="fast")((2,), (64,), (y, y, np.int64(1)))
    assert (y == 3).all()
print("the end")
'''


def run(*mistakes, size=64):
    command = [sys.executable, "-c", PROGRAM, str(size), *mistakes]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_mistakes_that_the_process_survives():
    """Each is an error that names the kernel, and arrays and launches after it are right."""
    bounds = [
        *(f"shared={n}" for n in (256, 300, 10**5, -4, -64, -(10**5), 2**31, -(2**31), 2**34)),
        *(f"dynamic={n}" for n in (64, 10**5, 2**31, -8, -5000)),
        *(f"local={n}" for n in (20, 40, 200, 10**5)),
        *(f"argument={n}" for n in (64, 10**4, 2**31, -1, -60, -(10**6), 2**33)),
        *(f"many={n}" for n in (1, 100, 10**5)),
        *(f"before={n}" for n in (2, 100)),
        *(f"wild={n}" for n in (0, 64, 2**46, 2**63 - 1, -1)),
        *(f"jump={n}" for n in (0, 4097, 2**63 - 1)),
    ]
    kinds = dict.fromkeys(bounds, "OutOfBoundsError") | {
        "recursion=100000000": "StackOverflowError",
        "aborts": "AssertionFailedError",
        "exits": "AssertionFailedError",
        "traps": "UndefinedBehaviourError",
    }
    done = run(*kinds)
    lines = done.stdout.splitlines()
    assert lines[-1:] == ["the end"], f"{done.stdout[-1500:]}\n{done.stderr[-1500:]}"
    for line, (mistake, kind) in zip(lines, kinds.items(), strict=False):
        name = mistake.partition("=")[0]
        assert line.startswith(f"{mistake} {kind} kernel {name}"), line
    assert done.returncode == 0


@pytest.mark.parametrize("mistake", ["frees", "frees_twice=64"])
def test_mistakes_that_the_c_library_does_not_survive(mistake):
    done = run(mistake)
    assert done.returncode < 0
    name = mistake.partition("=")[0]
    assert f"emulator: kernel {name}, block (" in done.stderr
    assert "; run it in race mode" in done.stderr


@pytest.mark.parametrize("mistake", ["many=100", "many=100000", "before=300", "argument=-2"])
def test_large_arrays_which_are_not_guarded(mistake):
    """The process may live on; otherwise it says which kernel may be the cause."""
    done = run(mistake, size=30000)
    name = mistake.partition("=")[0]
    if done.returncode != 0:
        assert f"kernel {name}" in done.stdout + done.stderr
