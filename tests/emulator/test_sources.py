"""What a file of kernels may look like: macros, headers, spellings, and what it is refused for."""

import numpy as np
import pytest

from gpucnn.backends.devices.cuda.nvrtc import compile_to_cubin
from gpucnn.backends.devices.emulator_device import EmulatorDevice, why_unavailable
from gpucnn.backends.devices.source import KernelSource
from gpucnn.backends.kernel_backend import KernelBackend
from gpucnn.emulator.source_lines import SourceLine, line_of_kernel
from gpucnn.errors import BackendError

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())
ONE = (1, 1, 1)


def write(folder, **texts):
    """Files by their names without a dot: "a_cu" is a.cu; headers go to where ours are."""
    for name, text in texts.items():
        stem, _, ending = name.rpartition("_")
        path = folder / ("include" if ending == "cuh" else "") / f"{stem}.{ending}"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def first_of(device, module, name, count=1, shared_bytes=0, threads=1):
    """Launches a kernel of one array: its first elements."""
    y = device.asarray(np.zeros(count, np.float32))
    device.launch(module[name], ONE, (threads, 1, 1), shared_bytes, (y,))
    return device.to_numpy(y).tolist()


def test_macros_stay_in_their_file(emulators, tmp_path):
    """All are wanted at once, so what can be compiled together is."""
    device = emulators["fast"]
    sources = []
    for i in range(4):
        text = f"#ifndef WIDTH\n#define WIDTH {i}\n#endif\n"
        write(tmp_path, **{f"own{i}_cu": f"{text}__global__ void k(float* y) {{ y[0] = WIDTH; }}"})
        sources.append(KernelSource(f"own{i}.cu", folder=tmp_path))
        folder = tmp_path / str(i)
        folder.mkdir()
        use = '#include "width.cuh"\n__global__ void k(float* y) { y[0] = WIDTH; }'
        write(folder, width_cuh=text, header_cu=use)
        sources.append(KernelSource("header.cu", (("I", i),), folder))
    device.compile_all(sources)
    for i, source in enumerate(sources):
        assert first_of(device, device.compile(source), "k") == [i // 2], source


def test_shared_memory_of_headers_is_counted_a_module(emulators, tmp_path):
    """Together it would be more than a block may have."""
    write(
        tmp_path,
        tile_cuh="""#pragma once
        template <int N> __device__ float last(float x) {
            __shared__ float tile[N];
            tile[threadIdx.x] = x;
            __syncthreads();
            return tile[blockDim.x - 1];
        }""",
        k_cu='#include "tile.cuh"\n__global__ void k(float* y) { y[0] = last<N>(y[0]); }',
    )
    sources = [KernelSource("k.cu", (("N", n),), tmp_path) for n in range(4000, 4008)]
    device = emulators["fast"]
    device.compile_all(sources)
    for n, source in enumerate(sources, 4000):
        assert device.compile(source)["k"].static_shared_bytes == 4 * n


@pytest.mark.parametrize("folder", ["include", "."])
def test_headers_beside_the_file_or_in_its_include(emulators, tmp_path, folder):
    """A header sees the constants, and headers of its own."""
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / folder / "a.cuh").write_text('#include "b.cuh"\n#include "philox.cuh"\n')
    (tmp_path / folder / "b.cuh").write_text("__device__ float value() { return VALUE; }\n")
    write(tmp_path, k_cu='#include "a.cuh"\n__global__ void k(float* y) { y[0] = value(); }')
    device = emulators["fast"]
    module = device.compile(KernelSource("k.cu", (("VALUE", 7),), tmp_path))
    assert first_of(device, module, "k") == [7]


def test_a_header_that_is_nowhere(kernels):
    with pytest.raises(BackendError, match=r"test\.cu:2:\d+: .*nowhere\.cuh: No such file"):
        kernels('// Missing:\n#include "nowhere.cuh"\n__global__ void k(float* y) { y[0] = 2; }')
    kernels('// #include "nowhere.cuh"\n#include "cuda_fp16.h"\n__global__ void k(half* y) {}')


DYNAMIC = {
    "one name": """
__global__ void k(float* y) {
    extern __shared__ float a[];
    BODY
}""",
    "two names": """
__global__ void other(int* y) { extern __shared__ int b[]; b[0] = y[0]; }
__global__ void k(float* y) {
    extern __shared__ __align__(16) float a[];
    BODY
}""",
    "in a template": """
template <typename T> __device__ T* memory() {
    extern __shared__ __align__(16) unsigned char raw[];
    return reinterpret_cast<T*>(raw);
}
__global__ void k(float* y) { float* a = memory<float>(); BODY }""",
    "in a header": """
#include "memory.cuh"
__global__ void k(float* y) { float* a = memory(); BODY }""",
    "in a namespace": """
namespace mine { extern __shared__ float a[]; }
__global__ void k(float* y) { using mine::a; BODY }""",
    "shared first": """
__shared__ extern float a[];
__global__ void k(float* y) { BODY }""",
    "alignment first": """
__global__ void k(float* y) { __align__(16) extern __shared__ float a[]; BODY }""",
    "two dimensions": """
__global__ void k(float* y) {
    extern __shared__ float rows[][2];
    float* a = rows[0];
    BODY
}""",
}


@pytest.mark.parametrize("mode", ["fast", "race", "sanitize"])
@pytest.mark.parametrize("text", DYNAMIC.values(), ids=DYNAMIC)
def test_dynamic_shared_memory(kernels, tmp_path, text, mode):
    header = "__device__ float* memory() { extern __shared__ float words[]; return words; }"
    write(tmp_path, memory_cuh=header)
    body = "a[threadIdx.x] = threadIdx.x; __syncthreads(); y[threadIdx.x] = a[3 - threadIdx.x];"
    device, module = kernels(text.replace("BODY", body), mode)
    assert first_of(device, module, "k", 4, 16, 4) == [3, 2, 1, 0]


SPELLINGS = {
    "bounds first": "__global__ __launch_bounds__(64) void k(float* y) { BODY }",
    "bounds last": "__global__ void __launch_bounds__(8 * (4 + 4), 1)\nk(float* y) { BODY }",
    "extern C": 'extern "C" __global__ void __launch_bounds__(64) k(float* y) { BODY }',
    "extern C block": 'extern "C" {\n__global__ void __launch_bounds__(64) k(float* y) { BODY }\n}',
    "static": "static __global__ void __launch_bounds__(64) k(float* y) { BODY }",
    "static last": "__global__ static void __launch_bounds__(64) k(float* y) { BODY }",
    "declared before": """__global__ void __launch_bounds__(64) k(float* y);
        __global__ void __launch_bounds__(64) k(float* y) { BODY }""",
    "bounds before": "__launch_bounds__(64) __global__ void k(float* y) { BODY }",
    "bounds on the first": """__global__ void __launch_bounds__(64) k(float* y);
        __global__ void k(float* y) { BODY }""",
    "bounds in parentheses": """__global__ void __launch_bounds__(32 * (1 + (2 - (1))))
        k(float* y) { BODY }""",
    "attribute": """__global__ __attribute__((noinline)) void
        __launch_bounds__(64) k(float* y) { BODY }""",
    "macro": """#define KERNEL(bounds) extern "C" __global__ void __launch_bounds__(bounds)
        KERNEL(64) k(float* y) { BODY }""",
    "behind a condition": """#if __CUDA_ARCH__ < 800
        __global__ void old(float* y) { missing(); }
        #else
        __global__ void __launch_bounds__(64) k(float* y) { BODY }
        #endif""",
    "beside a string": """__device__ const char* const text = R"(__global__ void z(int))";
        __global__ void __launch_bounds__(64) k(float* y) { BODY }""",
    "in a comment": """// __global__ void old(float* y) {}
        /* __global__ void older(float* y);
           extern __shared__ float gone[]; */
        __global__ void /* of 64 */ __launch_bounds__(64) k(float* y) { BODY }""",
}


@pytest.mark.parametrize("text", SPELLINGS.values(), ids=SPELLINGS)
def test_spellings_of_a_kernel(kernels, text):
    """Its static shared memory is its own, though it has the name of another file's."""
    body = "__shared__ float s[16]; s[threadIdx.x] = 1; __syncthreads(); y[0] = s[0];"
    device, module = kernels(text.replace("BODY", body))
    assert list(module) == ["k"]
    assert (module["k"].most_threads, module["k"].static_shared_bytes) == (64, 64)
    assert first_of(device, module, "k") == [1]


INCLUDES = {
    "behind a constant": """constexpr int FACTOR = 3;
        #include "scale.cuh"
        __global__ void k(float* y) { y[0] = scaled(1.0f); }""",
    "behind a macro": """#define FACTOR 3
        #include "scale.cuh"
        __global__ void k(float* y) { y[0] = scaled(1.0f); }""",
    "twice, with other macros": """#define NAME one
        #define VALUE 1
        #include "function.cuh"
        #undef NAME
        #undef VALUE
        #define NAME two
        #define VALUE 2
        #include "function.cuh"
        __global__ void k(float* y) { y[0] = one() + two(); }""",
    "in a namespace": """constexpr int FACTOR = 3;
        namespace inner {
        #include "scale.cuh"
        }
        __global__ void k(float* y) { y[0] = inner::scaled(1.0f); }""",
    "of CUDA's compiler": """#ifdef __CUDACC__
        #include <cuda_runtime.h>
        #include <math_constants.h>
        #endif
        __global__ void k(float* y) { y[0] = CUDART_INF_F > 1.0f ? 3.0f : 0.0f; }""",
    "not of NVRTC": """#ifndef __CUDACC_RTC__
        #include "nowhere.cuh"
        #include <nowhere.h>
        #endif
        #if 0
        #include "nowhere.cuh"
        #endif
        __global__ void k(float* y) { y[0] = 3; }""",
    "under a condition first": """#if __CUDA_ARCH__ < 800
        #include "once.cuh"
        #endif
        #include "once.cuh"
        #include "once.cuh"
        __global__ void k(float* y) { y[0] = once(); }""",
    "in angle brackets": """#include <once.cuh>
        __global__ void k(float* y) { y[0] = once(); }""",
}


@pytest.mark.parametrize("compiler", ["emulator", pytest.param("nvrtc", marks=pytest.mark.nvrtc)])
@pytest.mark.parametrize("text", INCLUDES.values(), ids=INCLUDES)
def test_headers_are_read_where_they_are_included(kernels, tmp_path, text, compiler):
    write(
        tmp_path,
        scale_cuh="__device__ float scaled(float x) { return x * FACTOR; }",
        function_cuh="__device__ float NAME() { return VALUE; }",
        once_cuh="#pragma once\n__device__ float once() { return 3; }",
    )
    if compiler == "nvrtc":
        (tmp_path / "k.cu").write_text(text)
        assert compile_to_cubin(KernelSource("k.cu", folder=tmp_path), "sm_90a").names.keys() == {
            "k"
        }
    else:
        device, module = kernels(text)
        assert first_of(device, module, "k") == [3]


def test_lines_behind_an_include(kernels, tmp_path):
    write(tmp_path, one_cuh="#pragma once\n\n__device__ float at(float* y, int i) { return y[i]; }")
    text = '// 1\n#include "one.cuh"\n#if 1\n#include "one.cuh"\n#endif\n'
    text += "__global__ void k(float* y) {\n    y[0] = at(y, 9);\n}"
    device, module = kernels(text, "race")
    with pytest.raises(BackendError, match=r"at test\.cu:7 \(in one\.cuh:3\): "):
        first_of(device, module, "k")


SPELT = """
#define thread threadIdx.x
#define block blockIdx.x
__constant__ float zeros[2];
__constant__ const float ones[2] = {1.0f, 1.0f};
static __constant__ float twos[] = {2.0f};
__device__ __noinline__ float f(float x) { return x; }
__noinline__ __device__ float g(float x) { return x; }
static __forceinline__ __device__ float h(float x) { return x; }
__device__ __forceinline__ __attribute__((unused)) float i(float x) { return x; }
__device__ __attribute__((noinline)) float j(float x) { return x; }
__global__ void k(float* y) {
    const dim3 place = threadIdx;
    const uint3 size = blockDim;
    const float1 one = make_float1(1.0f);
    const long2 pair = make_long2(3, 4);
    const ulonglong1 number = {5};
    const uint1 word = make_uint1(6);
    static_assert(sizeof(long4) == 32 && alignof(long4) == 16 && alignof(long2) == 16);
    static_assert(sizeof(long3) == 24 && sizeof(char1) == 1 && alignof(ulong2) == 16);
    y[0] = f(ones[thread + block]) + g(zeros[1]) + h(twos[0]) + i(one.x) + j(size.x) + place.x +
        pair.y + number.x + word.x;
}
"""


@pytest.mark.parametrize("mode", ["fast", "race", "sanitize"])
def test_spellings_of_functions_and_variables(kernels, mode):
    device, module = kernels(SPELT, mode)
    assert first_of(device, module, "k") == [1 + 0 + 2 + 1 + 1 + 0 + 4 + 5 + 6]


@pytest.mark.nvrtc
def test_nvrtc_takes_the_same_spellings(tmp_path):
    (tmp_path / "k.cu").write_text(SPELT)
    assert compile_to_cubin(KernelSource("k.cu", folder=tmp_path), "sm_90a").cubin


@pytest.mark.parametrize("mode", ["fast", "race"])
def test_device_variables_stay_between_launches(kernels, mode):
    device, module = kernels("__device__ int n;\n__global__ void k(float* y) { y[0] = ++n; }", mode)
    assert [first_of(device, module, "k") for _ in range(2)] == [[1], [2]]


@pytest.mark.parametrize("mode", ["fast", "race", "sanitize"])
def test_shared_objects_have_no_constructors(kernels, mode):
    """A GPU's compiler refuses them too."""
    text = """struct Count {
        float value;
        __device__ Count() : value(threadIdx.x) {}
    };
    __global__ void k(float* y) {
        __shared__ Count count;
        y[0] = count.value;
    }"""
    with pytest.raises(BackendError, match=r"test\.cu:6:\d+: .*does not have a constant init"):
        kernels(text, mode)


def test_kernels_of_the_same_name_in_c(emulators, tmp_path):
    device = emulators["fast"]
    text = 'extern "C" __global__ void k(float* y) { y[0] = VALUE; }'
    write(tmp_path, k_cu=text)
    sources = [KernelSource("k.cu", (("VALUE", i),), tmp_path) for i in range(4)]
    device.compile_all(sources)
    assert [first_of(device, device.compile(s), "k")[0] for s in sources] == [0, 1, 2, 3]


def test_a_string_is_not_a_comment(kernels):
    device, module = kernels("""
        __device__ const char text[] = "// \\" /*";
        __global__ void k(float* y) { y[0] = text[0] == '/' ? '"' : 0; }""")
    assert first_of(device, module, "k") == [ord('"')]


def test_parameters_of_truth_values(kernels):
    device, module = kernels("__global__ void k(float* y, bool yes) { y[0] = yes ? 5 : 6; }")
    y = device.asarray(np.zeros(1, np.float32))
    for value, expected in ((np.True_, 5), (np.False_, 6)):
        device.launch(module["k"], ONE, ONE, 0, (y, value))
        assert y[0] == expected


def test_a_file_that_is_not_utf8(emulators, tmp_path):
    (tmp_path / "k.cu").write_bytes(b"// caf\xe9\n__global__ void k(float* y) {}\n")
    with pytest.raises(BackendError, match=r"k\.cu is not UTF-8: byte 6 is 0xe9; save it as UTF-8"):
        emulators["fast"].compile(KernelSource("k.cu", folder=tmp_path))


def test_a_file_that_has_changed_is_compiled_anew(kernels, tmp_path):
    for value in (1, 2):
        device, module = kernels(f"__global__ void k(float* y) {{ y[0] = {value}; }}")
        assert first_of(device, module, "k") == [value]
    write(tmp_path, h_cuh="#define H 3\n")
    for value in (3, 4):
        write(tmp_path, h_cuh=f"#define H {value}\n")
        device, module = kernels('#include "h.cuh"\n__global__ void k(float* y) { y[0] = H; }')
        assert first_of(device, module, "k") == [value]


FAILS = """__global__ void k(float* y) {
    if (threadIdx.x == 3) {
        y[0] = *reinterpret_cast<float*>(64 + static_cast<size_t>(y[0]));
    }
}"""


@pytest.mark.parametrize("mode", ["fast", "race", "sanitize"])
def test_files_with_the_same_text_keep_their_names(emulators, tmp_path, mode):
    """Whether they are compiled together or one after another."""
    names = [f"{mode}{i}.cu" for i in range(3)]
    for name in names:
        (tmp_path / name).write_text(FAILS)
    device = emulators[mode]
    sources = [KernelSource(name, folder=tmp_path) for name in names]
    device.compile_all(sources[:2])
    for source in sources:
        with pytest.raises(BackendError, match=rf" at {source.file}:3(: |$)"):
            first_of(device, device.compile(source), "k", threads=4)


@pytest.mark.parametrize("mode", ["fast", "race", "sanitize"])
@pytest.mark.parametrize(
    ("directive", "place"),
    [('#line 40 "own.cuh"', "own.cuh:42"), ("# line 40", "test.cu:42"), ('#line 7 "a/b"', "b:9")],
)
def test_the_files_own_line_directives(kernels, mode, directive, place):
    device, module = kernels(f"// Made from another file.\n{directive}\n{FAILS}", mode)
    with pytest.raises(BackendError, match=rf" at {place}(: |$)"):
        first_of(device, module, "k", threads=4)


def test_a_kernel_that_has_lost_its_name(emulators, tmp_path):
    write(tmp_path, activation_cu="__global__ void relu(float* y) {}\n__global__ void b(int n) {}")
    backend = KernelBackend(emulators["fast"])
    backend.kernels = tmp_path
    with pytest.raises(BackendError, match=r"has no kernel relu_forward, .*; it has relu, b"):
        backend.relu_forward(backend.asarray(np.ones(4)))


def test_workers_are_at_least_one():
    for workers in (-1, 0):
        with pytest.raises(BackendError, match=f"workers is {workers}"):
            EmulatorDevice(workers=workers)


def test_the_emulators_headers_are_passed_over_wherever_they_lay_when_it_was_compiled():
    own = "emulator/include/store.cuh"  # as the compiler is told to call it
    lines = [
        SourceLine(own, "207"),
        SourceLine("/another/store.cuh", "11"),
        SourceLine("conv2d_forward_gemm.cu", "5"),
    ]
    source = KernelSource("conv2d_forward_gemm.cu").as_text()
    assert line_of_kernel(lines, source) == "conv2d_forward_gemm.cu:5 (in store.cuh:11)"
