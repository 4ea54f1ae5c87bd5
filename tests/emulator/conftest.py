"""The emulator's devices, one a mode, a GPU, and kernels written to files of a test's own."""

import pytest

from gpucnn.backends.devices.cuda.device import CudaDevice
from gpucnn.backends.devices.cuda.nvrtc import compute_capability
from gpucnn.backends.devices.emulator_device import EmulatorDevice, why_unavailable
from gpucnn.backends.devices.source import KernelSource

MODES = ("fast", "race", "sanitize")


@pytest.fixture(scope="session")
def emulators():
    """A device by mode."""
    if reason := why_unavailable():
        pytest.skip(reason)
    return {mode: EmulatorDevice(mode) for mode in MODES}


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
