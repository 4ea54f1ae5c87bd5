"""The emulator's devices, one a mode, a GPU, and kernels written to files of a test's own."""

import pytest

from gpucnn.backends.devices.cuda.device import CudaDevice
from gpucnn.backends.devices.cuda.nvrtc import compute_capability
from gpucnn.backends.devices.emulator_device import EmulatorDevice, why_unavailable
from gpucnn.backends.devices.source import KernelSource

OF_THE_LANGUAGE = (
    "test_cooperative_groups",
    "test_features",
    "test_float_atomics",
    "test_guarded_arrays",
    "test_headers_complex",
    "test_headers_files",
    "test_headers_half",
    "test_headers_intrinsics",
    "test_headers_rounding",
)
"""Tests of what kernels are written with; the quick suite has them in race mode only."""


def pytest_itemcollected(item):
    """What is tried in every mode is slow in the others."""
    mode = item.callspec.params.get("mode") if hasattr(item, "callspec") else None
    if item.path.stem in OF_THE_LANGUAGE and mode in ("fast", "sanitize"):
        item.add_marker(pytest.mark.slow)


class _Devices(dict):
    """A device by mode, made when it is first asked for."""

    def __missing__(self, mode):
        self[mode] = EmulatorDevice(mode)
        return self[mode]


@pytest.fixture(scope="session")
def emulators():
    """A device by mode."""
    if reason := why_unavailable():
        pytest.skip(reason)
    return _Devices()


def modern_gpu():
    device = CudaDevice()
    if compute_capability(device.architecture) < 80:
        pytest.skip("asynchronous copies and products of 16 by 8 came with sm_80")
    return device


@pytest.fixture
def kernels(request, tmp_path):
    """Compiles a file of that text for a mode or "cuda": the device, and its kernels by name."""

    def compile_text(text, mode="fast", constants=(), file="test.cu"):
        (tmp_path / file).write_text(text)
        device = modern_gpu() if mode == "cuda" else request.getfixturevalue("emulators")[mode]
        return device, device.compile(KernelSource(file, tuple(constants), tmp_path))

    return compile_text
