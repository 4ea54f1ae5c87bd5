"""Kernels compiled by NVRTC and run on the CPU, by ``RawKernel`` and by the emulator's device."""

import pickle
import secrets
from collections import Counter
from contextlib import contextmanager

import numpy as np
import pytest

from gpucnn.backends import get_backend, why_unavailable
from gpucnn.backends.devices.emulator_device import EmulatorDevice
from gpucnn.backends.devices.source import KernelSource
from gpucnn.emulator import RawKernel, RawModule
from gpucnn.emulator.errors import (
    CompilationError,
    EmulatorWarning,
    LaunchError,
    UnsupportedError,
)
from gpucnn.emulator.launch import Launch, Limits
from gpucnn.emulator.ptx.engine import PtxEmulator
from gpucnn.emulator.source import Source
from gpucnn.errors import BackendError
from gpucnn.launch.machine import MACHINES

pytestmark = pytest.mark.nvrtc

CODE = """
extern "C" __global__ void __launch_bounds__(64) plain(float* y) { y[threadIdx.x] = 1.0f; }
__global__ void mangled(float* y) { y[threadIdx.x] = 2.0f; }
template <typename T> __global__ void instance(T* y, T value) { y[threadIdx.x] = value; }
extern "C" __global__ void shared(int* y) {
    __shared__ int own[100];
    extern __shared__ int more[];
    own[threadIdx.x] = more[threadIdx.x] = threadIdx.x;
    y[threadIdx.x] = own[threadIdx.x] + more[threadIdx.x];
}
"""


def module(code=CODE, *options, **given):
    return RawModule(code, options=options, mode="ptx", **given)


def test_kernels_by_plain_names_and_by_expressions():
    made = module(name_expressions=("instance<double>", "instance<float>"))
    y = np.zeros(4, np.float32)
    made.get_function("plain")((1,), (4,), (y,))
    assert y.tolist() == [1] * 4
    made.get_function("_Z7mangledPf")((1,), (4,), (y,))
    assert y.tolist() == [2] * 4
    module(name_expressions=("mangled",)).get_function("mangled")((1,), (2,), (y,))
    made.get_function("instance<float>")((1,), (1,), (y, np.float32(7)))
    assert y.tolist() == [7, 2, 2, 2]
    z = np.zeros(4)
    made.get_function("instance<double>")((1,), (4,), (z, np.float64(3)))
    assert z.tolist() == [3] * 4


def test_kernels_that_share_a_name():
    made = module("""
        __global__ void f(int* x) { x[0] = 1; }
        __global__ void f(float* x) { x[0] = 2; }
    """)
    for name, dtype, expected in (("_Z1fPi", np.int32, 1), ("_Z1fPf", np.float32, 2)):
        x = np.zeros(1, dtype)
        made.get_function(name)((1,), (1,), (x,))
        assert x[0] == expected


def test_names_that_find_no_kernel():
    with pytest.raises(CompilationError, match='mangled is not extern "C"'):
        module().get_function("mangled")
    with pytest.raises(CompilationError, match=r"no kernel instance; it has .*plain"):
        module().get_function("instance")


def test_what_is_known_of_a_kernel():
    plain, shared = map(module().get_function, ("plain", "shared"))
    assert plain.max_threads_per_block == 64
    assert (shared.max_threads_per_block, shared.shared_size_bytes) == (1024, 400)
    assert shared.kernel.parameter_count == 1
    assert str(shared.kernel) == "shared of kernel.cu"


@pytest.mark.parametrize(
    ("name", "grid", "block", "shared_mem", "words"),
    [
        ("plain", (1,), (65,), 0, "65 threads, its __launch_bounds__ allow 64"),
        ("plain", (1, 65536), (1,), 0, r"a grid of \(1, 65536, 1\); a GPU allows 1 to"),
        ("plain", (0,), (1,), 0, r"a grid of \(0, 1, 1\)"),
        ("shared", (1,), (1, 1, 65), 0, r"a block of \(1, 1, 65\)"),
        ("shared", (1,), (1025,), 0, r"a block of \(1025, 1, 1\)"),
        ("shared", (1,), (1,), 48 * 1024, "without opting in a GPU allows 48752"),
    ],
)
def test_launches_that_no_gpu_allows(name, grid, block, shared_mem, words):
    with pytest.raises(LaunchError, match=words):
        module().get_function(name)(grid, block, (np.zeros(9),), shared_mem=shared_mem)


def test_static_shared_memory_has_its_limit():
    code = """extern "C" __global__ void f(int* x) {
        __shared__ int own[2000];
        own[threadIdx.x] = x[0]; __syncthreads(); x[1] = own[threadIdx.x ^ 1];
    }"""
    emulator = PtxEmulator(limits=Limits(shared_bytes=7999))
    with pytest.raises(LaunchError, match=r"f of k\.cu has 8000 bytes of static shared memory"):
        emulator.modules([Source("k.cu", code)])


def test_a_block_that_the_kernel_requires():
    code = """extern "C" __global__ __block_size__((32, 2, 1), (1, 1, 1)) void f(int* x) {
        x[threadIdx.y] = 1;
    }"""
    kernel = module(code).get_function("f")
    x = np.zeros(2, np.int32)
    kernel((1,), (32, 2), (x,))
    assert x.tolist() == [1, 1]
    with pytest.raises(LaunchError, match=r"the kernel requires one of \(32, 2, 1\)"):
        kernel((1,), (64,), (x,))


def test_dynamic_shared_memory():
    kernel = module().get_function("shared")
    y = np.zeros(64, np.int32)
    kernel((1,), (64,), (y,), shared_mem=256)
    assert (y == 2 * np.arange(64)).all()
    kernel.max_dynamic_shared_size_bytes = 64 * 1024
    kernel((1,), (64,), (y,), shared_mem=64 * 1024)


def test_variables_are_a_modules_own():
    code = """
        __constant__ float factor[2];
        namespace inner { __device__ int count = 5; }
        extern "C" __global__ void f(float* y) { y[0] = factor[1] * ++inner::count; }
    """
    first, second = module(code), module(code)
    for each, value in ((first, 2.0), (second, 3.0)):
        np.ndarray(2, np.float32, each.get_global("factor"))[1] = value
    y = np.zeros(1, np.float32)
    for each, expected in ((first, 12), (second, 18), (first, 14)):
        each.get_function("f")((1,), (1,), (y,))
        assert y[0] == expected
    assert first.get_global("inner::count").view(np.int32)[0] == 7
    with pytest.raises(CompilationError, match="no variable nothing; it has factor, inner::count"):
        first.get_global("nothing")


def test_modules_share_variables_unless_they_are_private():
    source = Source("k.cu", "__device__ int count = 5;")
    emulator = PtxEmulator()
    shared, same = (emulator.modules([source])[source] for _ in range(2))
    own, others = (emulator.private_module(source) for _ in range(2))
    shared.variables["count"][0] = 7
    own.variables["count"][0] = 9
    assert [each.variables["count"][0] for each in (same, own, others)] == [7, 9, 5]


def test_options_reach_the_compiler():
    code = """extern "C" __global__ void f(float* x, int* y) {
        x[0] = x[1] * x[2]; y[0] = __CUDA_ARCH__; y[1] = N;
    }"""
    subnormal = np.float32(1e-39)
    for options, product, architecture in (
        (("-DN=3",), subnormal, 900),
        (("-DN=3", "--use_fast_math", "-arch=sm_80"), 0, 800),
    ):
        x, y = np.array([9, subnormal, 1], np.float32), np.zeros(2, np.int32)
        RawKernel(code, "f", options, mode="ptx")((1,), (1,), (x, y))
        assert (x[0], y.tolist()) == (product, [architecture, 3])


def test_inline_assembly_is_run():
    code = """extern "C" __global__ void f(unsigned* x) {
        asm("prmt.b32 %0, %1, %2, 0x3210;" : "=r"(x[0]) : "r"(x[1]), "r"(x[2]));
        asm("{ .reg .u32 t; add.u32 t, %1, %1; add.u32 %0, t, 1; }" : "=r"(x[3]) : "r"(x[1]));
    }"""
    x = np.array([0, 0x11223344, 0x55667788, 0], np.uint32)
    RawKernel(code, "f", mode="ptx")((1,), (1,), (x,))
    assert x.tolist() == [0x11223344, 0x11223344, 0x55667788, 0x22446689]


MMA = """extern "C" __global__ void f(const float* a, const float* b, float* d) {
    const int lane = threadIdx.x, row = lane / 4, k = lane % 4;
    float d0 = 0, d1 = 0, d2 = 0, d3 = 0;
    const unsigned a0 = __float_as_uint(a[row * 8 + k]), a1 = __float_as_uint(a[(row + 8) * 8 + k]);
    const unsigned a2 = __float_as_uint(a[row * 8 + k + 4]);
    const unsigned a3 = __float_as_uint(a[(row + 8) * 8 + k + 4]);
    const unsigned b0 = __float_as_uint(b[k * 8 + row]), b1 = __float_as_uint(b[(k + 4) * 8 + row]);
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, "
                 "{%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d0), "+f"(d1), "+f"(d2), "+f"(d3)
                 : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
    d[row * 8 + 2 * k] = d0; d[row * 8 + 2 * k + 1] = d1;
    d[(row + 8) * 8 + 2 * k] = d2; d[(row + 8) * 8 + 2 * k + 1] = d3;
}"""


@pytest.mark.parametrize(
    ("accumulation", "architecture", "expected"),
    [
        # 1 + 7·2⁻²⁵ in sums to the nearest, one at a time: each term is less than half a unit.
        ("ieee", "sm_90", 1.0),
        # All at once, cut off 2 bits below FP32: 7·2⁻²⁵ are one unit and a half, cut off again.
        ("hardware", "sm_90", 1.0 + 2**-23),
        # Four at once, cut off 1 bit below FP32: every small term is lost.
        ("hardware", "sm_80", 1.0),
    ],
)
def test_accumulation(accumulation, architecture, expected):
    a, b, d = (np.zeros(shape, np.float32) for shape in ((16, 8), (8, 8), (16, 8)))
    a[:, 0], a[:, 1:] = 1, 2.0**-25
    b[:] = 1
    options = (f"-arch={architecture}",)
    kernel = RawKernel(MMA, "f", options, mode="ptx", accumulation=accumulation)
    kernel((1,), (32,), (a, b, d))
    assert np.unique(d).tolist() == [expected]


def test_approximate_functions_err_if_asked_to():
    code = 'extern "C" __global__ void f(float* x) { x[threadIdx.x] = exp2f(x[threadIdx.x]); }'
    x = np.linspace(0, 1, 256, dtype=np.float32)
    plain, again, jittered = x.copy(), x.copy(), x.copy()
    RawKernel(code, "f", mode="ptx")((1,), (256,), (plain,))
    RawKernel(code, "f", mode="ptx", seed=7)((1,), (256,), (again,))
    RawKernel(code, "f", mode="ptx", jitter=True)((1,), (256,), (jittered,))
    assert plain.tobytes() == again.tobytes() != jittered.tobytes()
    # ex2.approx.f32 has a relative error of 2⁻²² at most (PTX ISA), and is rounded here.
    exact = np.exp2(x.astype(np.float64))
    for values, most in ((plain, 0), (jittered, 2.0**-22)):
        assert (abs(values - exact) <= most * exact + np.spacing(values) / 2).all()


@pytest.mark.parametrize("mode", ["fast", "race", "sanitize"])
def test_other_modes_neither_jitter_nor_count(mode):
    if reason := why_unavailable("emulator"):
        pytest.skip(reason)
    with pytest.raises(LaunchError, match="jitter is for mode ptx"):
        RawModule(CODE, mode=mode, jitter=True)
    with pytest.raises(BackendError, match="jitter is for mode ptx"):
        EmulatorDevice(mode, jitter=True)
    kernel = RawKernel(CODE, "plain", mode=mode)
    kernel((1,), (4,), (np.zeros(4, np.float32),))
    with pytest.raises(UnsupportedError, match="counts no instructions"):
        _ = kernel.instruction_counts


def test_instructions_are_counted_once_a_warp():
    code = """extern "C" __global__ void f(float* x) {
        const int i = blockIdx.x * blockDim.x + threadIdx.x;
        x[i] = __fmaf_rn(x[i], 2.0f, 1.0f);
    }"""
    kernel = RawKernel(code, "f", mode="ptx")
    assert kernel.instruction_counts == Counter()
    for blocks, threads, warps in ((1, 1, 1), (3, 33, 6), (2, 64, 4)):
        kernel((blocks,), (threads,), (np.zeros(blocks * threads, np.float32),))
        counts = kernel.instruction_counts
        assert counts["fma.rn.f32"] == counts["ld.global.f32"] == counts["ret"] == warps


def test_a_device_adds_up_the_instructions_of_its_launches():
    device = EmulatorDevice("ptx")
    kernel = device.compile(KernelSource("activation.cu"))["relu_forward"]
    x, y = device.zeros((64,), np.dtype(np.float32)), device.empty((64,), np.dtype(np.float32))
    for launches in (1, 2):
        device.launch(kernel, (1, 1, 1), (256, 1, 1), 0, (x, y, np.int64(64)))
        assert device.instruction_counts["ret"] == 8 * launches


def test_a_device_compiles_for_its_machine(tmp_path):
    (tmp_path / "own.cu").write_text("__global__ void f(int* x) { x[0] = __CUDA_ARCH__; }", "utf-8")
    for architecture, expected in (("sm_75", 750), ("sm_120a", 1200)):
        device = EmulatorDevice("ptx", machine=MACHINES[architecture])
        x = np.zeros(1, np.int32)
        kernel = device.compile(KernelSource("own.cu", (), tmp_path))["f"]
        device.launch(kernel, (1, 1, 1), (1, 1, 1), 0, (x,))
        assert x[0] == expected


def test_a_device_of_an_architecture():
    device = get_backend("emulator:ptx:sm_80").device
    assert (device.mode, device.machine) == ("ptx", MACHINES["sm_80"])
    assert get_backend("emulator:ptx").device.machine == MACHINES["sm_90a"]


def test_a_kernel_of_another_mode_is_refused():
    emulator = PtxEmulator()
    with pytest.raises(TypeError, match="is not a kernel of mode ptx"):
        emulator.launch(object(), Launch((1, 1, 1), (1, 1, 1)), ())


def test_warnings_are_reported_also_from_the_cache():
    code = 'extern "C" __global__ void f(int* x) { unsigned u = x[1]; x[0] = u < 0; }'
    for _ in range(2):
        with pytest.warns(EmulatorWarning, match="pointless comparison"):
            RawKernel(code, "f", mode="ptx").compile()


def test_a_module_can_be_pickled():
    made = module()
    made.compile()
    kernel = pickle.loads(pickle.dumps(made)).get_function("plain")
    y = np.zeros(4, np.float32)
    kernel((1,), (4,), (y,))
    assert y.tolist() == [1] * 4


def test_several_sources_are_compiled_with_progress():
    shown = []

    @contextmanager
    def progress(label, total):
        shown.append((label, total))
        yield shown.append

    new = secrets.token_hex()  # nobody has compiled this before
    sources = [Source(f"{n}.cu", f"// {new}\n{CODE}") for n in range(3)]
    modules = PtxEmulator(progress=progress).modules([*sources, sources[0]])
    assert shown == [("compiling kernels to PTX, once", 3), 1, 1, 1]
    assert list(modules) == sources
    for made in modules.values():
        assert set(made) == {"mangled", "plain", "shared"}
    PtxEmulator(progress=progress).modules(sources)
    assert len(shown) == 4


def test_an_error_in_one_of_several_sources():
    sources = [Source(f"{n}.cu", f"#define N {n}\n{CODE}") for n in range(3)]
    sources.insert(1, Source("wrong.cu", "int x = ;"))
    with pytest.raises(CompilationError, match=r"wrong\.cu does not compile for sm_90:\nwrong"):
        PtxEmulator().modules(sources)


def test_fewer_workers_than_one():
    with pytest.raises(BackendError, match="workers is 0"):
        EmulatorDevice("ptx", workers=0)


def test_a_warning_of_a_view_names_the_line_of_the_launch():
    kernel = module().get_function("plain")
    with pytest.warns(EmulatorWarning, match="argument 1 is a view with strides") as told:
        kernel((1,), (4,), (np.zeros(8, np.float32)[::2],))
    assert told[0].filename == __file__
