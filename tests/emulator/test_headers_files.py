"""Headers that kernels include: what is there, what is refused by name, and CuPy's own."""

import math
import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest
from kernel_expressions import MODES, aligned, evaluate

from gpucnn.backends.devices.emulator_device import why_unavailable
from gpucnn.emulator import RawKernel
from gpucnn.emulator.compiler import compiler
from gpucnn.emulator.cupy_headers import cupy_include_folder
from gpucnn.emulator.errors import AssertionFailedError, CompilationError
from gpucnn.emulator.translation import INCLUDE
from gpucnn.errors import BackendError

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())

REFUSALS = (BackendError, CompilationError)
FORWARDED = sorted(
    str(path.relative_to(INCLUDE))
    for path in (INCLUDE / "cuda" / "std").iterdir()
    if path.name not in ("atomic", "barrier", "latch", "semaphore", "namespace.h")
)
EMPTY = ["cuda.h", "cuda_runtime.h", "cuda_runtime_api.h", "device_launch_parameters.h"]
EMPTY += ["vector_types.h", "vector_functions.h", "builtin_types.h", "math_constants.h"]
REFUSED = {
    "cub/cub.cuh": "does not support CUB; write the reduction",
    "cub/block/block_reduce.cuh": "does not support CUB",
    "cub/warp/warp_scan.cuh": "does not support CUB",
    "curand_kernel.h": "does not support cuRAND; pass random numbers as an array",
    "mma.h": "does not support nvcuda::wmma",
    "cuda/pipeline": "does not support CUDA's pipelines",
    "cuda_pipeline.h": "does not support CUDA's pipelines",
    "cuda/barrier": "does not support cuda::barrier",
    "cuda/latch": "does not support cuda::latch",
    "cuda/std/semaphore": "does not support cuda::latch and cuda::counting_semaphore",
    "cuda/atomic": "does not support cuda::atomic",
    "cuda/std/atomic": "does not support cuda::atomic",
    "cuda_fp8.h": "does not support 8-bit floating point",
}


def preprocessed(text, *options):
    """What the host's preprocessor makes of a text: its status, output and errors."""
    command = [*compiler().command, "-std=c++20", "-E", "-x", "c++", f"-I{INCLUDE}", *options, "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("mode", MODES)
def test_headers_that_are_there(mode):
    """CUDA's of what every kernel has, and cuda::std, whose functions are the host's."""
    expressions = {
        "cuda::std::numeric_limits<int>::max() - a": 2**31 - 4,
        "cuda::std::is_same<cuda::std::int32_t, int>::value": 1,
        "cuda::std::get<1>(cuda::std::make_tuple(1, a * 2))": 6,
        "cuda::std::array<int, 3>{1, 2, a}[2]": 3,
        "static_cast<int>(cuda::std::complex<float>(1.0f, a).imag())": 3,
        "__float_as_int(CUDART_INF_F)": 0x7F800000,
        "make_int4(1, 2, 3, a).w": 3,
    }
    inputs = {"a": ("int", np.array([3], np.int32))}
    found = evaluate(expressions, inputs, ("int", np.int32), mode, FORWARDED + EMPTY)
    assert found[:, 0].tolist() == list(expressions.values())


CONSTANTS = {
    "CUDART_PI_F": math.pi, "CUDART_PIO2": math.pi / 2, "CUDART_3PIO4": 0.75 * math.pi,
    "CUDART_2_OVER_PI": 2 / math.pi, "CUDART_LNPI": math.log(math.pi),
    "CUDART_SQRT_2PI": math.sqrt(2 * math.pi), "CUDART_SQRT_PIO2": math.sqrt(math.pi / 2),
    "CUDART_L2E": 1 / math.log(2), "CUDART_L2T": math.log2(10), "CUDART_LG2": math.log10(2),
    "CUDART_LNT_F": math.log(10), "CUDART_TWOTHIRD": 2 / 3, "CUDART_MIN_DENORM_F": 2.0**-149,
    "CUDART_TWO_TO_M1022": 2.0**-1022, "CUDART_INF": np.inf, "CUDART_NAN_F": np.nan,
}  # fmt: skip


def test_constants():
    inputs = {"a": ("int", np.zeros(1, np.int32))}
    found = evaluate(CONSTANTS, inputs, ("double", np.float64), "fast", ["math_constants.h"])
    for name, got in zip(CONSTANTS, found[:, 0], strict=True):
        bound = np.finfo(np.float32 if name.endswith("_F") else np.float64).eps
        np.testing.assert_allclose(got, CONSTANTS[name], bound, err_msg=name)


ATOMICS = """
extern "C" __global__ void k(const long long* x, long long* y, float* last, float* seen) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    atomicMax(y, x[i]);
    atomicMin(y + 1, x[i]);
    seen[i] = atomicExch(last, i + 0.5f);
}
"""


@pytest.mark.parametrize("mode", MODES)
def test_atomic_operations_of_long_long_and_float(rng, mode):
    """What is exchanged is seen by one thread each, or is left at the end."""
    x = rng.integers(-(2**63), 2**63, 64)
    y, last, seen = np.zeros(2, np.int64), np.full(1, -1, np.float32), np.zeros(64, np.float32)
    RawKernel(ATOMICS, "k", mode=mode)((2,), (32,), (x, y, last, seen))
    assert y.tolist() == [max(0, x.max()), min(0, x.min())]
    assert sorted([*seen, *last]) == [-1, *(np.arange(64) + 0.5)]


def test_atomic_sums_of_halves_are_refused():
    text = '#include <cuda_fp16.h>\nextern "C" __global__ void k(half* x) { atomicAdd(x, x[1]); }'
    with pytest.raises(REFUSALS, match="atomicAdd of integers, float and double is"):
        RawKernel(text, "k")((1,), (1,), (np.zeros(2, np.float16),))


def test_refused_headers_say_why():
    for header, words in REFUSED.items():
        done = preprocessed(f"#include <{header}>\n")
        assert done.returncode != 0
        assert words in done.stderr, header


def test_a_kernel_with_a_refused_header_is_refused():
    kernel = RawKernel('#include <mma.h>\nextern "C" __global__ void k(int* x) { x[0] = 1; }', "k")
    with pytest.raises(REFUSALS, match="does not support nvcuda::wmma"):
        kernel((1,), (1,), (np.zeros(1, np.int32),))


@pytest.mark.parametrize("header", ["assert.h", "cassert", "cuda/std/cassert"])
def test_assert_is_the_emulators(header):
    text = f"#include <{header}>\nvoid f(int x) {{ assert(x > 1); }}\n"
    assert 'assertion failed: %s", "x > 1"' in preprocessed(text).stdout
    assert "assertion failed" not in preprocessed(text, "-DNDEBUG").stdout.split("void f")[-1]
    again = f"#define NDEBUG\n#include <{header}>\n#undef NDEBUG\n#include <{header}>\nassert(y);"
    assert '"y"' in preprocessed(again).stdout or header.startswith("cuda/")


@pytest.mark.filterwarnings("ignore:<cassert>")  # which NVRTC does not have
@pytest.mark.parametrize("mode", MODES)
def test_a_failed_assertion_is_reported_with_its_line(mode):
    text = """#include <cassert>
    extern "C" __global__ void k(int* x) {
        assert(x[0] == 1);
        x[0] = 2;
        assert(x[0] < 2);
    }"""
    with pytest.raises(AssertionFailedError, match=r"assertion failed: x\[0\] < 2 at kernel.cu:5"):
        RawKernel(text, "k", mode=mode)((1,), (1,), (np.ones(1, np.int32),))


def test_cupys_folder_is_found_without_importing_cupy(tmp_path, monkeypatch):
    headers = tmp_path / "cupy" / "_core" / "include"
    (headers / "cupy").mkdir(parents=True)
    (tmp_path / "cupy" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    assert cupy_include_folder() == headers
    (headers / "cupy").rmdir()
    assert cupy_include_folder() is None
    monkeypatch.setitem(sys.modules, "cupy", ModuleType("cupy"))
    assert cupy_include_folder() is None


def test_carray_without_cupy_says_what_to_install():
    done = preprocessed("#include <cupy/carray.cuh>\n")
    assert "install CuPy (pip install cupy-cuda12x)" in done.stderr


CUPY = """
#include <cupy/carray.cuh>
#include <cupy/atomics.cuh>
#include <cupy/float16.cuh>
#include <cupy/math_constants.h>
extern "C" __global__ void k(float* x, int* shape, int* strides, double* least, long long* sum) {
    CArray<float, 2> array(x, shape, strides);
    CIndexer<2> indexer(shape);
    CUPY_FOR(i, array.size()) {
        indexer.set(i);
        const ptrdiff_t* at = indexer.get();
        array[i] += float(float16(10.0f * at[0] + at[1]));
        atomicMin(least, (double)-i);
        atomicAdd(sum, (long long)i);
    }
}
"""


@pytest.mark.skipif(cupy_include_folder() is None, reason="CuPy is not installed")
@pytest.mark.parametrize("mode", MODES)
def test_cupys_arrays(monkeypatch, mode):
    monkeypatch.setenv("CPATH", str(cupy_include_folder()))
    x, least, total = aligned(np.zeros((3, 5), np.float32)), np.ones(1), np.zeros(1, np.int64)
    shape, strides = np.array(x.shape, np.int32), np.array(x.strides, np.int32)
    RawKernel(CUPY, "k", mode=mode)((2,), (4,), (x, shape, strides, least, total))
    np.testing.assert_array_equal(x, 10 * np.arange(3)[:, None] + np.arange(5))
    assert (least[0], total[0]) == (-14, 105)
