"""The CUDA device against a CuPy that has no GPU: what it passes on, what it refuses, its words."""

import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from fake_cupy import MEMORY, FakeArray, FakeCupy
from kernel_names import kernels_of

from gpucnn.backends.devices.cuda import availability, store
from gpucnn.backends.devices.cuda.device import CudaDevice
from gpucnn.backends.devices.cuda.nvrtc import Program, Usage
from gpucnn.backends.devices.cuda.staging import SLOT, SLOTS
from gpucnn.backends.devices.source import KernelSource
from gpucnn.backends.kernel_backend import KernelBackend
from gpucnn.emulator.cache import Cache
from gpucnn.environment import describe
from gpucnn.errors import BackendError

SOURCE = KernelSource("activation.cu")
GRID, BLOCK = (2, 1, 1), (256, 1, 1)


@pytest.fixture
def cupy(monkeypatch):
    fake = FakeCupy(gpus=2)
    fake.install(monkeypatch)
    monkeypatch.setattr(store, "toolkit_version", lambda: "12090")
    return fake


@pytest.fixture
def compiled(monkeypatch):
    """The sources that were compiled."""
    sources = []

    def compile_to_cubin(source, architecture):
        sources.append(source)
        kernels = kernels_of(source)
        usage = {name: Usage(20, 1024, 0, 0) for name in kernels}
        names = {name: f"_Z{name}" for name in kernels}
        return Program(f"cubin of {source} for {architecture}".encode(), names, usage, kernels)

    monkeypatch.setattr(store, "compile_to_cubin", compile_to_cubin)
    return sources


@pytest.fixture
def device(cupy, compiled, tmp_path):  # noqa: ARG001 - both are put in place
    return CudaDevice(cache=Cache(tmp_path))


@pytest.fixture
def kernel(device):
    return device.compile(SOURCE)["relu_forward"]


def test_limits_and_architecture_are_the_gpus(device):
    assert device.architecture == "sm_90a"
    assert device.machine.block_dynamic_shared_bytes == 227 * 1024
    assert device.machine.multiprocessors == 132


def test_arrays_go_there_and_back(device):
    for host in (np.arange(12.0, dtype=np.float32).reshape(3, 4), np.array(7), np.empty((0, 3))):
        there = device.asarray(host)
        assert there.shape == host.shape
        back = device.to_numpy(there)
        assert type(back) is np.ndarray
        np.testing.assert_array_equal(back, host)


def test_arguments_are_passed_with_their_exact_types(cupy, device, kernel):
    x = device.empty((4,), np.dtype(np.float32))
    arguments = (x, None, np.float32(0.5), np.int32(3), np.int64(4), np.uint8(5), np.bool_(True))
    device.launch(kernel, GRID, BLOCK, 0, arguments)
    name, grid, block, passed, shared_bytes, stream = cupy.launches.pop()
    assert (name, grid, block, shared_bytes) == ("_Zrelu_forward", GRID, BLOCK, 0)
    assert stream is device.stream
    assert passed[0] is x
    assert passed[1] == 0
    assert [type(value) for value in passed[1:]] == [
        np.uintp, np.float32, np.int32, np.int64, np.uint8, np.bool_,
    ]  # fmt: skip


@pytest.mark.parametrize("argument", [1, 2.5, True, [1], np.zeros(3)])
def test_other_arguments_are_refused(device, kernel, argument):
    with pytest.raises(TypeError, match="relu_forward was given"):
        device.launch(kernel, GRID, BLOCK, 0, (argument,))


def test_an_array_of_another_gpu_is_refused(device, kernel):
    x = np.zeros(3).view(FakeArray)
    x.ordinal = 1
    with pytest.raises(BackendError, match="an array of GPU 1; it runs on GPU 0"):
        device.launch(kernel, GRID, BLOCK, 0, (x,))


def test_more_shared_memory_is_asked_for_once(cupy, device, kernel):
    device.launch(kernel, GRID, BLOCK, 47 * 1024, ())
    assert cupy.opted == []
    # The kernel has 1,024 bytes of static shared memory, so 48 KB more are too many.
    for _ in range(2):
        device.launch(kernel, GRID, BLOCK, 48 * 1024, ())
    assert cupy.opted == [("_Zrelu_forward", 48 * 1024)]
    with pytest.raises(BackendError, match="asks for 232449 bytes of shared memory; GPU 0 has"):
        device.launch(kernel, GRID, BLOCK, 227 * 1024 + 1, ())


def test_a_refused_launch_is_explained(device, kernel):
    with pytest.raises(BackendError, match=r"relu_forward could not be launched .*INVALID_VALUE"):
        device.launch(kernel, GRID, (0, 1, 1), 0, ())


def test_out_of_memory_says_what_was_asked_for(cupy, device):
    cupy.limit = 900 * 1024
    with pytest.raises(BackendError) as caught:
        device.empty((1024, 1024), np.dtype(np.float32))
    for words in ("4.0 MiB", "(1024, 1024)", "700.0 KiB", "900.0 KiB that CUPY_GPU_MEMORY_LIMIT",
                  "300.0 KiB of the GPU's 1.0 MiB", "training.batch_size"):  # fmt: skip
        assert words in str(caught.value)
    with pytest.raises(BackendError, match=r"2\.0 MiB for an array"):
        device.asarray(np.zeros(1 << 18))


def test_errors_of_earlier_kernels_are_told(cupy, device):
    kernel, x = device.compile(SOURCE)["relu_forward"], device.zeros((2,), np.dtype(np.float32))
    device.synchronise()
    cupy.failure = 700, "cudaErrorIllegalAddress"
    for work in (
        device.synchronise,
        lambda: device.empty((1,), np.dtype(np.float32)),
        lambda: device.zeros((1,), np.dtype(np.float32)),
        lambda: device.asarray(np.zeros(1)),
        lambda: device.upload(np.zeros(1)),
        lambda: device.write(x, np.zeros(2, np.float32)),
        lambda: device.to_numpy(x),
        device.free_memory,
        lambda: device.launch(kernel, GRID, BLOCK, 0, (x,)),
        lambda: device.launch(kernel, GRID, BLOCK, 100 * 1024, (x,)),
        lambda: device.compile(SOURCE),
    ):
        with pytest.raises(BackendError, match="the work before: cudaErrorIllegalAddress"):
            work()


def test_a_launch_without_enough_resources_is_explained(cupy, device, kernel):
    cupy.failure = 701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES"
    with pytest.raises(BackendError, match=r"relu_forward could not be launched .*_RESOURCES"):
        device.launch(kernel, GRID, BLOCK, 0, ())


def test_memory_for_kernels_is_explained_as_that_for_arrays(cupy, device, kernel):
    cupy.failure = 2, "CUDA_ERROR_OUT_OF_MEMORY"
    for work in (
        lambda: device.launch(kernel, GRID, BLOCK, 0, ()),
        lambda: device.compile(SOURCE),
    ):
        with pytest.raises(BackendError, match=r"memory is full: .*300\.0 KiB of the GPU's 1\.0"):
            work()


def test_memory_that_cannot_be_pinned_is_explained(cupy, device):
    cupy.memory = 64 << 20
    with pytest.raises(BackendError, match=r"33\.0 MiB of the host's memory cannot be locked"):
        device.upload(np.zeros(33 << 20, np.uint8))


@pytest.mark.usefixtures("compiled")
def test_a_gpu_that_another_process_has_for_itself(cupy, tmp_path):
    cupy.failure = 46, "cudaErrorDevicesUnavailable"
    with pytest.raises(BackendError, match="GPU 0 cannot be used: cudaErrorDevicesUnavailable"):
        CudaDevice(cache=Cache(tmp_path))


def test_the_pools_limit_is_all_the_memory_there_is(cupy, device, tmp_path):
    assert device.machine.memory_bytes == MEMORY
    for limit, expected in ((MEMORY // 2, MEMORY // 2), (2 * MEMORY, MEMORY)):
        cupy.limit = limit
        assert CudaDevice(cache=Cache(tmp_path)).machine.memory_bytes == expected


def test_free_memory_is_the_gpus_and_what_the_pool_does_not_use(cupy, device):
    """The pool's arrays have 700 KiB."""
    assert device.free_memory() == 300 * 1024
    assert KernelBackend(device).free_memory() == 300 * 1024
    cupy.pooled = 50 * 1024
    assert device.free_memory() == 350 * 1024
    for limit, expected in ((800, 100), (2000, 350), (600, 0)):
        cupy.limit = limit * 1024
        assert device.free_memory() == expected * 1024


def test_arrays_that_are_not_contiguous_come_back_too(device):
    host = np.arange(120, dtype=np.int32).reshape(4, 5, 6)
    there = device.asarray(host)
    for cut in (np.s_[:, 1:3], np.s_[::-1, ::2, 1], np.s_[1:, ::-2, ::-1], np.s_[..., 3]):
        back = device.to_numpy(there[cut])
        assert type(back) is np.ndarray
        assert back.flags.owndata
        np.testing.assert_array_equal(back, host[cut])
    np.testing.assert_array_equal(
        device.to_numpy(there.transpose(2, 0, 1)), host.transpose(2, 0, 1)
    )


def test_zeros(device):
    array = device.to_numpy(device.zeros((3, 5), np.dtype(np.float64)))
    np.testing.assert_array_equal(array, np.zeros((3, 5)))


def test_values_are_written_in_their_turn(cupy, device, kernel):
    x = device.zeros((3,), np.dtype(np.int32))
    seen = []
    cupy.run = lambda arguments: seen.append(np.array(arguments[0].view(np.ndarray)))
    values = np.empty(3, np.int32)
    for number in range(200):  # more than are under way at once
        values[:] = number
        device.write(x, values)
        values[:] = -1  # the caller's own again
        device.launch(kernel, GRID, BLOCK, 0, (x,))
    device.synchronise()
    np.testing.assert_array_equal(seen, np.repeat(np.arange(200), 3).reshape(200, 3))


def test_it_is_idle_once_all_work_is_done(device, kernel):
    device.synchronise()
    assert device.is_idle()
    device.launch(kernel, GRID, BLOCK, 0, (device.zeros((3,), np.dtype(np.int32)),))
    assert not device.is_idle()
    device.synchronise()
    assert device.is_idle()


def test_large_arrays_take_no_more_pinned_memory_than_small_ones(cupy, device):
    device.asarray(np.zeros(1, np.uint8))
    before = sum(cupy.pinned)
    assert before == SLOT * SLOTS
    host = np.random.default_rng(0).integers(0, 256, 1_000_001, dtype=np.uint8)
    there = [device.asarray(host[number:]) for number in range(30)]
    assert sum(cupy.pinned) == before
    assert max(cupy.copied) == SLOT
    for number, array in enumerate(there):
        np.testing.assert_array_equal(device.to_numpy(array), host[number:])


def test_a_program_is_compiled_once_for_all_devices(cupy, device, compiled, tmp_path):
    device.compile(SOURCE)
    CudaDevice(cache=Cache(tmp_path)).compile(SOURCE)
    assert compiled == [SOURCE]
    assert cupy.loaded == [b"cubin of activation.cu for sm_90a"] * 2


def test_programs_are_loaded_from_files_that_are_gone_afterwards(cupy, device):
    """CuPy takes what it finds at a path that it knows, so no two programs may have one path."""
    others = [KernelSource("activation.cu", (("A", number),)) for number in range(3)]
    for source in others:
        device.compile(source)
    assert len(cupy.modules) == len(set(cupy.loaded)) == 3
    assert not any(Path(path).exists() for path in cupy.modules)


def test_without_a_place_for_temporary_files(device, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    with pytest.raises(BackendError, match=r"cannot be loaded, .* \(No such file.*set TMPDIR"):
        device.compile(SOURCE)


def test_a_damaged_program_is_compiled_again(device, compiled, tmp_path):
    device.compile(SOURCE)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-50])
    device.compile(SOURCE)
    assert compiled == [SOURCE] * 2


@pytest.mark.usefixtures("cupy")
def test_another_architecture_or_option_is_another_program(tmp_path, monkeypatch):
    stores = [store.ProgramStore(name, Cache(tmp_path)) for name in ("sm_80", "sm_90a")]
    assert stores[0].key(SOURCE) != stores[1].key(SOURCE)
    before = stores[0].key(SOURCE)
    monkeypatch.setattr(store, "compiler_build", lambda: "12.9.87")
    assert stores[0].key(SOURCE) != before
    before = stores[0].key(SOURCE)
    monkeypatch.setattr(store, "OPTIONS", ("--another",))
    assert stores[0].key(SOURCE) != before
    assert stores[0].key(KernelSource("activation.cu", (("A", 1),))) != stores[0].key(SOURCE)


@pytest.mark.usefixtures("cupy")
def test_no_more_is_compiled_once_the_user_asks_to_stop(tmp_path, monkeypatch):
    begun = []

    def compile_to_cubin(source, architecture):
        begun.append((source, architecture))
        if len(begun) == 1:
            raise KeyboardInterrupt
        time.sleep(0.01)
        return Program(b"", {}, {}, {})

    monkeypatch.setattr(store, "compile_to_cubin", compile_to_cubin)
    device = CudaDevice(cache=Cache(tmp_path))
    sources = [KernelSource("activation.cu", (("A", number),)) for number in range(500)]
    with pytest.raises(KeyboardInterrupt):
        device.compile_all(sources)
    assert len(begun) < 250


def test_hardware_tells_the_gpu_and_all_that_drives_it(device, monkeypatch, tmp_path):
    file = tmp_path / "version"
    file.write_text("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release\n")
    monkeypatch.setattr(availability, "_DRIVER_FILE", file)
    hardware = device.hardware()
    assert hardware["gpu"] == "NVIDIA Fake 0"
    assert hardware["driver"] == "580.65.06"
    assert (hardware["driver_cuda"], hardware["runtime_cuda"]) == ("12.9", "12.9")
    assert hardware["nvrtc"].startswith("12.9")
    assert hardware["cupy"] == "14.2.0"
    backend = KernelBackend(device)
    assert describe(backend)["device"] == hardware
    json.dumps(describe(backend))
    file.unlink()
    assert device.hardware()["driver"] == ""


def test_all_that_is_missing_is_compiled_together(device, compiled):
    others = [KernelSource("activation.cu", (("A", number),)) for number in range(5)]
    device.compile(others[0])
    device.compile_all([*others, *others])
    assert compiled[0] == others[0]
    assert sorted(compiled, key=str) == others
    device.compile_all(others)
    for source in others:
        device.compile(source)
    assert len(compiled) == 5


@pytest.mark.parametrize(
    ("driver", "advice"),
    [
        (
            12040,
            r"NVRTC 12\.9 is newer than the driver, which is for CUDA 12\.4: update the driver",
        ),
        (13000, r"NVRTC 12\.9.* is not newer than the driver, which is for CUDA 13\.0"),
    ],
)
def test_an_image_that_the_driver_refuses(cupy, device, monkeypatch, driver, advice):
    cupy.cuda.runtime.driverGetVersion = lambda: driver
    monkeypatch.setattr(
        store,
        "compile_to_cubin",
        lambda *_: Program(b"damaged", {"f": "f"}, {"f": Usage(1, 0, 0, 0)}, {"f": 1}),
    )
    refused = r"the driver does not load it \(CUDA_ERROR_INVALID_IMAGE: .*\); "
    with pytest.raises(BackendError, match=refused + advice):
        device.compile(SOURCE)


def test_each_thread_and_device_is_made_current(cupy, tmp_path):
    first, second = (CudaDevice(ordinal, Cache(tmp_path)) for ordinal in (0, 1))
    assert cupy.used == [0, "stream", 1, "stream"]
    float32 = np.dtype(np.float32)
    second.empty((1,), float32)
    assert len(cupy.used) == 4
    first.empty((1,), float32)
    assert cupy.used[4:] == [0, "stream"]
    thread = threading.Thread(target=first.empty, args=((1,), float32))
    thread.start()
    thread.join()
    assert cupy.used[6:] == [0, "stream"]


def test_a_stream_of_the_users_is_not_taken_for_ours(cupy, device, kernel):
    x = device.empty((1,), np.dtype(np.float32))
    for work in (
        lambda: device.empty((1,), np.dtype(np.float32)),
        lambda: device.zeros((1,), np.dtype(np.float32)),
        lambda: device.asarray(np.zeros(1)),
        lambda: device.upload(np.zeros(1)),
        lambda: device.write(x, np.zeros(1, np.float32)),
        lambda: device.to_numpy(x),
        lambda: device.launch(kernel, GRID, BLOCK, 0, (x,)),
        lambda: device.compile(SOURCE),
    ):
        cupy.current.streams[0] = None  # as the end of ``with stream:`` leaves it
        work()
        assert cupy.current.streams[0] is device.stream


def test_all_devices_of_a_gpu_share_its_stream(device, tmp_path):
    assert CudaDevice(0, Cache(tmp_path)).stream is device.stream
    other = CudaDevice(1, Cache(tmp_path)).stream
    assert other is not device.stream
    assert (device.stream.device_id, other.device_id) == (0, 1)


@pytest.mark.usefixtures("cupy")
def test_no_such_gpu():
    with pytest.raises(BackendError, match="there is no GPU 2; they are numbered from 0 to 1"):
        CudaDevice(2)
