"""``RawKernel`` and ``RawModule``: CuPy's interface, and what they refuse or warn about."""

import io
import pickle

import numpy as np
import pytest

from gpucnn.emulator import RawKernel, RawModule
from gpucnn.emulator.engine import why_unavailable
from gpucnn.emulator.errors import CompilationError, EmulatorError, EmulatorWarning, LaunchError

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())

MODES = ("fast", "race", "sanitize")
CODE = r"""
struct Pair { float weights[5]; int n; };
__constant__ float scale[4];
__device__ int launches;
extern "C" __global__ void weigh(const float* x, float* y, Pair pair, long long shift) {
    extern __shared__ float tile[];
    tile[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    if (threadIdx.x == 0) {
        for (int i = 0; i < pair.n; ++i) {
            y[i] = tile[i + shift] * pair.weights[i] * scale[i % 4] * FACTOR;
        }
        ++launches;
    }
}
template <typename T, int K> __global__ void __launch_bounds__(64) add(T* x, T value) {
    x[threadIdx.x] += value + K;
}
namespace other {
__global__ void hidden(int* x) { *x = 3; }
}
struct Complex { double real, imaginary; };
extern "C" __global__ void sizes(bool b, unsigned char c, Complex z, double d, const int* p) {
    ++launches;
}
extern "C" __global__ void follow(const int* const* rows, const int& first, int* y) {
    y[0] = rows[0][1] + first;
}
extern "C" __global__ void fixed(float* y) {
    __shared__ float tile[256];
    tile[threadIdx.x] = 1;
    y[threadIdx.x] = tile[threadIdx.x];
}
"""
INSTANCES = ("add<float, 2>", "add<double,1>", "other::hidden")
PAIR = np.dtype([("weights", np.float32, 5), ("n", np.int32)])


@pytest.fixture(scope="module")
def modules():
    """A module by mode."""
    return {
        mode: RawModule(
            code=CODE, options=("-DFACTOR=2", "--use_fast_math"), name_expressions=INSTANCES,
            mode=mode,
        )
        for mode in MODES
    }  # fmt: skip


def pair(n=5):
    made = np.zeros((), PAIR)
    made["weights"], made["n"] = np.arange(5), n
    return made[()]


@pytest.mark.parametrize("mode", MODES)
def test_a_structure_variables_and_dynamic_memory(modules, mode):
    module = modules[mode]
    scale = np.ndarray((4,), np.float32, module.get_global("scale"))
    scale[...] = [1, 2, 3, 4]
    x, y = np.arange(8, dtype=np.float32), np.zeros(5, np.float32)
    before = module.get_global("launches").view(np.int32)[0]
    module.get_function("weigh")((1,), (8,), (x, y, pair(), 2), shared_mem=32)
    expected = [x[i + 2] * i * [1, 2, 3, 4][i % 4] * 2 for i in range(5)]
    assert y.tolist() == expected
    assert module.get_global("launches").view(np.int32)[0] == before + 1


@pytest.mark.parametrize("mode", MODES)
def test_instances_of_templates(modules, mode):
    x, z = np.ones(4, np.float32), np.ones(4)
    modules[mode].get_function("add<float, 2>")((1,), (4,), (x, np.float32(3)))
    modules[mode].get_function("add<double,1>")(1, 4, (z, 0.5))
    assert (x.tolist(), z.tolist()) == ([6] * 4, [2.5] * 4)


@pytest.mark.parametrize("mode", MODES)
def test_arguments_have_the_sizes_that_cupy_gives_them(modules, mode):
    kernel = modules[mode].get_function("sizes")
    good = (True, np.uint8(1), 1 + 2j, 0.5, None)
    kernel((1,), (1,), good)
    for place, wrong, words in (
        (0, 1, r"1 \(b\) is a NumPy int64 of 8 bytes, its parameter an unsigned integer of 1"),
        (1, np.int16(1), r"2 \(c\) is a NumPy int16 of 2 bytes, .*; pass np\.uint8"),
        (2, np.complex64(1), r"3 \(z\) is a NumPy complex64 of 8 bytes, its parameter a structure"),
        (3, np.float32(1), r"4 \(d\) is a NumPy float32 of 4 bytes, .*; pass np\.float64"),
        (3, np.zeros(1), r"4 \(d\) is an array, its parameter a float of 8 bytes; pass a scalar"),
        (4, np.zeros(1), r"5 \(p\) is an array of float64, its parameter a pointer to a signed"),
        (4, "text", r"'text' is a str, which no kernel takes"),
    ):
        with pytest.raises(LaunchError, match=words):
            kernel((1,), (1,), (*good[:place], wrong, *good[place + 1 :]))
    with pytest.raises(LaunchError, match="4 arguments for 5 parameters"):
        kernel((1,), (1,), good[:4])


@pytest.mark.parametrize("mode", ["fast", "race"])
def test_addresses_and_references(modules, mode):
    row, y, first = np.array([4, 5], np.int32), np.zeros(1, np.int32), np.array([7], np.int32)
    rows = np.array([row.ctypes.data], np.uint64)
    modules[mode].get_function("follow")((1,), (1,), (rows, first.ctypes.data, y))
    assert y[0] == 12


def test_addresses_lead_nowhere_in_another_process(modules):
    y = np.zeros(1, np.int32)
    with pytest.raises(LaunchError, match="is given addresses as numbers"):
        modules["sanitize"].get_function("follow")((1,), (1,), (y, y.ctypes.data, y))


def test_names_are_found_as_on_a_gpu(modules):
    module = modules["fast"]
    x = np.zeros(1, np.int32)
    module.get_function("other::hidden")((1,), (1,), (x,))
    assert x[0] == 3
    for name, words in (
        ("add", r'is a template; .* name_expressions=\("add<float>",\)'),
        ("nothing", "has no kernel nothing; it has weigh, "),
        ("hidden", "has no kernel hidden"),
    ):
        with pytest.raises(CompilationError, match=words):
            module.get_function(name)
    text = "__global__ void f(int* x) { *x = 1; }"
    with pytest.raises(CompilationError, match=r'f is not extern "C".*name_expressions=\("f",\)'):
        RawModule(code=text, mode="fast").get_function("f")
    RawModule(code=text, mode="fast").get_function("_Z1fPi")((1,), (1,), (x,))
    assert x[0] == 1
    with pytest.raises(CompilationError, match="no variable scales; it has launches, scale"):
        module.get_global("scales")


def test_the_kernels_of_a_text():
    text = """
    // __global__ void in_a_comment(
    const char* text = "__global__ void in_a_string(";
    #define KERNEL __global__ void
    KERNEL hidden_by_a_macro(int n) {}
    namespace inner { extern "C" __global__ void plain(int n) {} }
    template <typename T> __global__ static void __launch_bounds__(32 * (1 + 1), 2) bounded(T* x) {}
    #ifdef MORE
    __global__
    void on_lines(float* x) {}
    #endif
    __device__ void no_kernel(float* x) {}
    """
    module = RawModule(code=text, options=("-DMORE",))
    assert module.declared_kernels() == (
        "hidden_by_a_macro", "inner::plain", "on_lines", "bounded"
    )  # fmt: skip


def test_dynamic_memory_over_48_kib_has_to_be_asked_for(modules):
    kernel = modules["fast"].get_function("weigh")
    arguments = (np.zeros(8, np.float32), np.zeros(5, np.float32), pair(0), 0)
    with pytest.raises(LaunchError, match=r"50000 bytes .* allows 49152; set the kernel's max_dyn"):
        kernel((1,), (8,), arguments, shared_mem=50000)
    kernel.max_dynamic_shared_size_bytes = 60000
    kernel((1,), (8,), arguments, shared_mem=50000)
    assert kernel.attributes["max_dynamic_shared_size_bytes"] == 60000
    with pytest.raises(LaunchError, match="max_dynamic_shared_size_bytes is 300000"):
        kernel.max_dynamic_shared_size_bytes = 300000
    fixed = modules["fast"].get_function("fixed")
    assert (fixed.shared_size_bytes, fixed.max_dynamic_shared_size_bytes) == (
        1024,
        48 * 1024 - 1024,
    )
    assert modules["fast"].get_function("add<float, 2>").max_threads_per_block == 64


@pytest.mark.parametrize(
    ("grid", "block", "words"),
    [
        ((), (1,), "a grid of"),
        ((1, 1, 1, 1), (1,), "a grid of .* one to three"),
        ((1,), (1025,), "1025 threads|allows 1 to"),
        ((0,), (1,), "a grid of"),
        ((1.5,), (1,), "whole numbers"),
    ],
)
def test_sizes_that_no_gpu_allows(modules, grid, block, words):
    with pytest.raises(LaunchError, match=words):
        modules["fast"].get_function("fixed")(grid, block, (np.zeros(256, np.float32),))


@pytest.mark.parametrize("mode", MODES)
def test_a_kernel_with_two_names_has_its_shared_memory(mode):
    text = """namespace s { extern "C" __global__ void f(float* x) {
        __shared__ float t[4]; t[threadIdx.x] = 2; __syncthreads(); x[threadIdx.x] = t[0]; } }"""
    module = RawModule(code=text, name_expressions=["s::f"], mode=mode)
    for name in ("f", "s::f"):
        x = np.zeros(4, np.float32)
        module.get_function(name)((1,), (4,), (x,))
        assert x.tolist() == [2] * 4


def test_modules_do_not_share_their_variables():
    text = 'extern "C" __device__ int n; extern "C" __global__ void f(int* x) { *x = ++n; }'
    text = text.replace('extern "C" __device__', "__device__")
    x = np.zeros(1, np.int32)
    first, second = (RawModule(code=text, mode="fast") for _ in range(2))
    for module, expected in ((first, 1), (first, 2), (second, 1), (first, 3)):
        module.get_function("f")((1,), (1,), (x,))
        assert x[0] == expected


def test_a_kernel_can_be_pickled():
    kernel = RawKernel('extern "C" __global__ void f(int* x) { *x = 5; }', "f", mode="fast", seed=3)
    x = np.zeros(1, np.int32)
    for each in (kernel, pickle.loads(pickle.dumps(kernel))):
        x[0] = 0
        each((1,), (1,), (x,))
        assert x[0] == 5


def test_a_view_with_gaps_is_warned_about(modules):
    kernel = modules["race"].get_function("fixed")
    with pytest.warns(
        EmulatorWarning, match="argument 1 is a view with strides of .8,. bytes"
    ) as told:
        kernel((1,), (4,), (np.zeros(8, np.float32)[::2],))
    assert told[0].filename == __file__  # where the kernel is called


def test_what_the_compiler_says_reaches_the_user():
    with pytest.raises(CompilationError, match=r"kernel\.cu:2:\d+: error: #error no luck"):
        RawKernel("\n#error no luck", "f").compile()
    with pytest.raises(CompilationError, match=r"kernel\.cu:1:\d+: error: .*undeclared"):
        RawKernel('extern "C" __global__ void f() { undeclared(); }', "f").compile()
    text = "#include <vector>\n#warning mind\n"
    text += 'extern "C" __global__ void f(float* x) { *x = INFINITY; }'
    log = io.StringIO()
    RawModule(code=text, mode="fast").compile(log_stream=log)
    for words in (
        "<vector> is a header",
        "kernel.cu:2:2: warning: #warning mind",
        "INFINITY is def",
    ):
        assert words in log.getvalue()
    with pytest.warns(EmulatorWarning) as given:  # though the library comes from the cache
        RawModule(code=text, mode="fast").compile()
    assert len(given) == 3
    log = io.StringIO()
    RawModule(code=text, mode="fast", backend="nvcc").compile(log_stream=log)
    assert "<vector>" not in log.getvalue()


def test_arguments_that_contradict_each_other(tmp_path):
    with pytest.raises(LaunchError, match="either code or path"):
        RawModule()
    with pytest.raises(LaunchError, match='backend is "hip"'):
        RawModule(code="", backend="hip")
    with pytest.raises(CompilationError, match="cannot be read"):
        RawModule(path=tmp_path / "none.cu")
    with pytest.raises(EmulatorError, match='no mode "slow"'):
        RawKernel("", "f", mode="slow").compile()
    (tmp_path / "k.cubin").write_bytes(b"\x7fELF\xff\xfe")
    with pytest.raises(CompilationError, match="is not text"):
        RawModule(path=tmp_path / "k.cubin")
