"""NVRTC for real, up to the cubin; needs neither a GPU nor a driver."""

import shutil
from pathlib import Path

import pytest
from kernel_names import kernels_of

from gpucnn.backends.devices.cuda import nvrtc
from gpucnn.backends.devices.cuda.disassembly import by_kind, instructions, parse, why_not
from gpucnn.backends.devices.cuda.nvrtc import compile_to_cubin, parse_usage
from gpucnn.backends.devices.cuda.store import ProgramStore
from gpucnn.backends.devices.source import KERNELS, KernelSource
from gpucnn.emulator.cache import Cache
from gpucnn.errors import BackendError

pytestmark = pytest.mark.nvrtc

RELU = KernelSource("activation.cu")


@pytest.fixture
def write(tmp_path):
    """A source of our own in a folder of its own."""

    def made(text, **constants):
        (tmp_path / "own.cu").write_text(text)
        return KernelSource("own.cu", tuple(constants.items()), tmp_path)

    return made


@pytest.mark.parametrize("architecture", nvrtc.ARCHITECTURES)
def test_every_architecture(architecture):
    try:
        nvrtc.check_architecture(architecture)
    except BackendError as error:
        pytest.skip(str(error))
    program = compile_to_cubin(RELU, architecture)
    assert program.cubin.startswith(b"\x7fELF")
    assert program.names["relu_forward"] == "_Z12relu_forwardPKfPfx"
    assert set(program.names) == set(program.usage) == set(kernels_of(RELU))
    assert program.parameters == kernels_of(RELU)
    assert 0 < program.usage["add"].registers <= 64
    assert program.usage["add"].spill_bytes == 0


def test_the_cubin_is_whole():
    # CuPy cuts off the last byte, and nvdisasm then takes it for no ELF file at all.
    cubin = compile_to_cubin(RELU, "sm_80").cubin
    table, size, entries = (
        int.from_bytes(cubin[begin:end], "little") for begin, end in ((32, 40), (54, 56), (56, 58))
    )
    assert len(cubin) == table + size * entries


def test_constants_and_headers(write, tmp_path):
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "own.cuh").write_text("constexpr int TWICE = 2 * WIDTH;\n")
    text = """
        #include "own.cuh"
        #include "reduction.cuh"
        __global__ void __launch_bounds__(WIDTH) fill(float* x) {
            static_assert(TWICE == 64 && WARP == 32 && WIDE, "");
            __shared__ float values[TWICE];
            values[threadIdx.x] = x[threadIdx.x];
            __syncthreads();
            x[threadIdx.x] = values[TWICE / 2 - 1 - threadIdx.x];
        }
    """
    program = compile_to_cubin(write(text, WIDTH=32, WIDE=True), "sm_80")
    assert program.usage["fill"].shared_bytes == 256


@pytest.mark.cuda_headers
def test_cudas_own_headers(write):
    source = write("#include <cuda_fp16.h>\n__global__ void f(half* x) { x[0] = x[1]; }")
    assert compile_to_cubin(source, "sm_80").names


def test_the_compilers_build_begins_with_its_version():
    version = ".".join(str(part) for part in nvrtc.compiler_version())
    assert nvrtc.compiler_build().startswith(version)


def test_an_error_names_file_line_and_constants(write):
    source = write("// a comment\n__global__ void f(float* x) {\n    x[0] = y;\n}\n", WIDTH=32)
    with pytest.raises(BackendError) as caught:
        compile_to_cubin(source, "sm_80")
    for words in ("own.cu (WIDTH=32) does not compile for sm_80", "own.cu(3): error:", '"y"'):
        assert words in str(caught.value)


def test_a_missing_header_of_cuda_names_the_package(write, monkeypatch):
    monkeypatch.setattr(nvrtc, "toolkit_headers", lambda: ())
    source = write("#include <cuda_fp16.h>\n__global__ void f(float* x) {}")
    with pytest.raises(BackendError, match=r"CUDA's own headers: pip install"):
        compile_to_cubin(source, "sm_80")


def test_a_missing_header_of_the_standard_library(write):
    source = write("#include <cmath>\n__global__ void f(float* x) {}")
    with pytest.raises(BackendError, match="NVRTC needs none"):
        compile_to_cubin(source, "sm_80")


@pytest.mark.parametrize(
    ("architecture", "words"),
    [
        ("sm_61", "older than sm_70"),
        ("sm_990", "makes no code for sm_990"),
        ("compute_80", "not an architecture"),
        ("80", "not an architecture"),
    ],
)
def test_architectures_that_cannot_be(architecture, words):
    with pytest.raises(BackendError, match=words):
        compile_to_cubin(RELU, architecture)


def test_true_fp32(write):
    """Subnormal numbers are kept, and divisions and roots are rounded as IEEE 754 says."""
    if reason := why_not("sm_80"):
        pytest.skip(reason)
    lengths = []
    for result in ("x[1] * x[2] + x[3] - x[4]", "x[1] / x[2]", "sqrtf(x[1])"):
        source = write(f"__global__ void f(float* x) {{ x[0] = {result}; }}")
        (counts,) = instructions(compile_to_cubin(source, "sm_80").cubin).values()
        lengths.append(counts.total())
        if len(lengths) == 1:
            assert not [name for name in counts if ".FTZ" in name]
    # An exact quotient or root is an estimate with corrections; its rare cases are a subroutine.
    assert min(lengths[1:]) > 2 * lengths[0]


def test_spills_are_counted(write):
    text = """
        __global__ void __launch_bounds__(1024) f(float* x) {
            float a[96];
            for (int i = 0; i < 96; ++i) a[i] = x[i * 1024 + threadIdx.x];
            for (int turn = 0; turn < 9; ++turn)
                for (int i = 0; i < 96; ++i) a[i] = a[i] * a[(7 * i + 1) % 96];
            for (int i = 0; i < 96; ++i) x[i * 1024 + threadIdx.x] = a[i];
        }
    """
    usage = compile_to_cubin(write(text), "sm_80").usage["f"]
    assert usage.registers <= 64
    assert usage.spill_bytes > 0
    assert usage.stack_bytes > 0


def test_the_log_is_read_function_by_function():
    log = """
ptxas info    : 4 bytes gmem
ptxas info    : Compiling entry function '_Z1gPf' for 'sm_80'
ptxas info    : Function properties for _Z1gPf
ptxas         .     416 bytes stack frame, 936 bytes spill stores, 1164 bytes spill loads
ptxas info    : Used 32 registers, used 0 barriers, 416 bytes cumulative stack size, 128 bytes smem
ptxas info    : Compiling entry function '_Z1fPf' for 'sm_80'
ptxas info    : Function properties for _Z1fPf
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 102 registers, used 1 barriers, 372 bytes cmem[0]
"""
    usage = parse_usage(log)
    assert usage["_Z1gPf"] == nvrtc.Usage(32, 128, 416, 2100)
    assert usage["_Z1fPf"] == nvrtc.Usage(102, 0, 0, 0)


def test_instructions_of_a_kernel():
    if reason := why_not("sm_90a"):
        pytest.skip(reason)
    program = compile_to_cubin(RELU, "sm_90a")
    counts = instructions(program.cubin)[program.names["relu_forward"]]
    # Four neighbouring elements are moved by one instruction.
    assert counts["LDG.E.128"] == 1
    assert counts["STG.E.128"] == 1
    assert by_kind(counts)["LDG"] > 1


def test_the_listing_is_read_with_predicates():
    listing = """
.text._Z1fPf:
        /*0000*/                   LDC R1, c[0x0][0x28] ;
        /*0010*/              @!P0 BRA `(.L_x_1) ;
        /*0020*/              @UP0 UIADD3 UR4, UR4, 0x1, URZ ;
.L_x_1:
        /*0030*/                   HMMA.16816.F32 R4, R8, R10, R4 ;
\t.section\t.text._Z1gPf,"ax",@progbits
.text._Z1gPf:
        /*0000*/                   EXIT ;
"""
    assert parse(listing) == {
        "_Z1fPf": {"LDC": 1, "BRA": 1, "UIADD3": 1, "HMMA.16816.F32": 1},
        "_Z1gPf": {"EXIT": 1},
    }


def test_a_program_comes_back_from_the_disk(tmp_path):
    store = ProgramStore("sm_80", Cache(tmp_path))
    assert store.find(RELU) is None
    program = store.compile(RELU)
    assert ProgramStore("sm_80", Cache(tmp_path)).find(RELU) == program


def test_a_changed_header_is_another_program(tmp_path):
    shutil.copytree(KERNELS, tmp_path / "kernels", ignore=lambda *_: ["__pycache__"])
    source = KernelSource("activation.cu", folder=tmp_path / "kernels")
    store = ProgramStore("sm_80", Cache(tmp_path / "cache"))
    before = store.key(source)
    assert before == store.key(RELU)
    header = Path(tmp_path / "kernels" / "include" / "elementwise.cuh")
    header.write_text(header.read_text() + "// changed\n")
    assert store.key(source) != before


def test_the_real_cupy_has_what_the_device_uses():
    cupy = pytest.importorskip("cupy")
    runtime, driver = cupy.cuda.runtime, cupy.cuda.driver
    for name in (
        *("MaxThreadsPerBlock", "MaxSharedMemoryPerBlock", "MaxSharedMemoryPerBlockOptin"),
        *("MaxThreadsPerMultiProcessor", "MaxSharedMemoryPerMultiprocessor"),
        *("MaxRegistersPerMultiprocessor", "MultiProcessorCount"),
    ):
        assert hasattr(runtime, f"cudaDevAttr{name}")
    for place, names in (
        (cupy, ("empty", "ndarray", "get_default_memory_pool", "__version__")),
        (cupy.ndarray, ("data", "reshape", "view", "flags", "strides", "itemsize", "nbytes")),
        (cupy.cuda, ("get_current_stream", "alloc_pinned_memory", "Event")),
        (cupy.cuda.Device, ("use", "attributes", "compute_capability", "mem_info", "__enter__")),
        (cupy.cuda.MemoryPool, ("free_bytes", "used_bytes", "get_limit")),
        (cupy.cuda.Stream, ("use", "synchronize", "wait_event")),
        (cupy.cuda.Event, ("record", "synchronize")),
        (cupy.cuda.MemoryPointer, ("device_id", "ptr", "__add__", "__sub__", "memset_async",
                                   "copy_from_host_async", "copy_to_host_async")),
        (cupy.RawModule, ("get_function",)),
        (cupy.RawKernel, ("__call__", "max_dynamic_shared_size_bytes")),
        (cupy.cuda.memory, ("OutOfMemoryError",)),
        (runtime, ("driverGetVersion", "runtimeGetVersion", "getDeviceCount", "memGetInfo",
                   "getDeviceProperties", "is_hip", "CUDARuntimeError")),
        (driver, ("CUDADriverError",)),
    ):  # fmt: skip
        for name in names:
            assert hasattr(place, name), (place, name)


def test_kernels_under_conditions(write):
    """They are those of the architecture; what is left out needs not even be right."""
    source = write("""
        #define KERNEL __global__ void
        #if 0
        KERNEL old(float* y) { missing(); }
        #elif __CUDA_ARCH__ >= 900
        KERNEL modern(float* y) { y[0] = 1.0f; }
        #else
        KERNEL plain(float* y) { y[0] = 1.0f; }
        #endif""")
    assert list(compile_to_cubin(source, "sm_80").names) == ["plain"]
    assert list(compile_to_cubin(source, "sm_90a").names) == ["modern"]
