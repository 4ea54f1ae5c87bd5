"""The emulator's devices, one a mode, and kernels written to files of a test's own."""

import pytest

from gpucnn.backends.devices.emulator.device import EmulatorDevice, why_unavailable
from gpucnn.backends.devices.source import KernelSource

MODES = ("fast", "race", "sanitize")


@pytest.fixture(scope="session")
def emulators():
    """A device by mode."""
    if reason := why_unavailable():
        pytest.skip(reason)
    return {mode: EmulatorDevice(mode) for mode in MODES}


@pytest.fixture
def kernels(emulators, tmp_path):
    """Compiles a file of that text for a mode: the device, and its kernels by name."""

    def compile_text(text, mode="fast", constants=(), file="test.cu"):
        (tmp_path / file).write_text(text)
        device = emulators[mode]
        return device, device.compile(KernelSource(file, tuple(constants), tmp_path))

    return compile_text
