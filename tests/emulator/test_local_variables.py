"""What a kernel leaves uninitialised of a thread's own: a value that is noticed."""

import numpy as np
import pytest

from gpucnn.backends.devices.emulator_device import why_unavailable
from gpucnn.emulator import RawKernel, compiler, modes
from gpucnn.emulator.errors import OutOfBoundsError, UninitialisedError

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())

UNINITIALISED = {
    "a sum": """
        float sum;
        for (int j = 0; j < threadIdx.x; ++j) sum += x[j];
        y[threadIdx.x] = sum;""",
    "sums": """
        float sums[4];
        for (int j = 0; j < threadIdx.x; ++j) sums[j % 4] += x[j];
        y[threadIdx.x] = sums[0] + sums[1] + sums[2] + sums[3];""",
    "an index": """
        int index;
        if (x[0] != 0.0f) index = threadIdx.x;
        y[threadIdx.x] = index;""",
    "a vector": """
        float4 v;
        v.x = x[0];
        y[threadIdx.x] = v.x + v.y;""",
}


@pytest.mark.parametrize("mode", ["race", "sanitize"])
@pytest.mark.parametrize("body", UNINITIALISED.values(), ids=UNINITIALISED)
def test_uninitialised_variables_are_noticed(kernels, mode, body):
    if not compiler.knows(compiler.compiler(), modes.POISONED_LOCALS):
        pytest.skip("the compiler cannot fill local variables")
    text = f"__global__ void k(const float* x, float* y) {{ {body} }}"
    device, module = kernels(text, mode)
    x, y = (device.asarray(np.zeros(32, np.float32)) for _ in range(2))
    device.launch(module["k"], (1, 1, 1), (32, 1, 1), 0, (x, y))
    # g++ repeats the byte 0xfe, which is -1.7e38 as a float and -16843010 as an int; clang++ takes
    # NaN and 0xaa.
    assert not (np.abs(device.to_numpy(y)) < 1e7).any(), y


def test_a_compiler_knows_its_options():
    assert compiler.knows(compiler.compiler(), ("-O1",))
    assert not compiler.knows(compiler.compiler(), ("-fno-such-option-of-any-compiler=pattern",))


POINTERS = """
extern "C" __global__ void never(const float* x, float* y) {
    float* p;
    p[threadIdx.x] = 1;
}
extern "C" __global__ void sometimes(const float* x, float* y) {
    float* p;
    if (x[0] > 0) p = y;
    p[threadIdx.x] = 1;
}
extern "C" __global__ void reads(const float* x, float* y) {
    const float* p;
    if (x[0] > 0) p = y;
    y[threadIdx.x] = p[-100000 - int(threadIdx.x)];
}
extern "C" __global__ void bytes(const float* x, float* y) {
    char* p;
    if (x[0] > 0) p = (char*)y;
    p[threadIdx.x] = 1;
}
struct Part { float* p; int n; };
__device__ void put(float* p, int i, float v) { p[i] = v; }
extern "C" __global__ void member(const float* x, float* y) {
    Part part;
    part.n = 3;
    put(part.p, part.n, x[0]);
}
extern "C" __global__ void one_of_two(const float* x, float* y) {
    float* ps[2];
    ps[0] = y + threadIdx.x;
    put(ps[threadIdx.x & 1], 0, 2.0f);
}
extern "C" __global__ void loops(const float* x, float* y) {
    float* p;
    for (int i = 0; i < 4; ++i) {
        p[i] = x[i];
        p[i] += 1;
    }
}
extern "C" __global__ void index(const float* x, float* y) {
    int i;
    if (x[0] > 0) i = 3;
    y[i] = 1;
}
"""


@pytest.mark.parametrize(
    ("name", "mode", "kind", "words"),
    [
        ("never", "race", UninitialisedError, "at .* through a pointer that was never init"),
        ("sometimes", "race", UninitialisedError, "through a pointer that was never initialised"),
        ("reads", "race", UninitialisedError, "through a pointer that was never initialised"),
        ("bytes", "race", UninitialisedError, "write of 1 bytes at .* that was never initialised"),
        ("member", "race", UninitialisedError, "through a pointer that was never initialised"),
        ("one_of_two", "race", UninitialisedError, "through a pointer that was never init"),
        ("loops", "race", UninitialisedError, "through a pointer that was never initialised"),
        ("member", "sanitize", UninitialisedError, "address 0xfefe"),
        ("one_of_two", "sanitize", UninitialisedError, "address 0xfefe"),
        ("loops", "sanitize", UninitialisedError, "address 0xfefe"),
        ("index", "race", OutOfBoundsError, "element -16843010 of argument 2 "),
        ("never", "sanitize", UninitialisedError, "address 0xfefe"),
        ("sometimes", "sanitize", UninitialisedError, "address 0xfefe"),
        ("reads", "sanitize", UninitialisedError, "address 0xfefe"),
        ("bytes", "sanitize", OutOfBoundsError, ""),
        ("index", "sanitize", OutOfBoundsError, "element -16843010 of argument 2 "),
    ],
)
def test_uninitialised_pointers_and_indices_are_found(name, mode, kind, words):
    if not compiler.compiler().is_gnu:
        pytest.skip("other compilers leave such accesses out")
    x, y = np.zeros(32, np.float32), np.zeros(32, np.float32)
    with pytest.raises(kind, match=rf"kernel {name}, .*{words}"):
        RawKernel(POINTERS, name, mode=mode)((1,), (32,), (x, y))


VECTORS = """
extern "C" __global__ void k(const float* x, float* y) {
    __shared__ char a;
    __shared__ float first[36];
    __shared__ unsigned short b;
    __shared__ float second[8];
    a = 0;
    for (int i = threadIdx.x; i < 36; i += blockDim.x) first[i] = x[i];
    if (threadIdx.x < 8) second[threadIdx.x] = x[threadIdx.x];
    b = 0;
    __syncthreads();
    const float4 one = reinterpret_cast<float4*>(first)[threadIdx.x % 9];
    const float4 other = reinterpret_cast<float4*>(second)[threadIdx.x % 2];
    y[threadIdx.x] = one.w + other.x + a + b;
}
"""


@pytest.mark.parametrize("mode", ["fast", "race", "sanitize"])
def test_shared_arrays_are_aligned_for_vectors(mode):
    x, y = np.arange(36, dtype=np.float32), np.zeros(32, np.float32)
    RawKernel(VECTORS, "k", mode=mode, allow_same_value_writes=True)((1,), (32,), (x, y))
    assert y.tolist() == [4 * (i % 9) + 3 + 4 * (i % 2) for i in range(32)]
