"""Several devices in one process, and the compiler that they are given."""

import os
import subprocess
import sys

import pytest

from gpucnn.backends import CHOICES, MODES, get_backend
from gpucnn.backends.devices.emulator_device import why_unavailable
from gpucnn.emulator.engines import MODES as ENGINES
from gpucnn.errors import BackendError

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())

TWO_DEVICES = """
import os
import numpy as np
from gpucnn.backends.devices.emulator_device import EmulatorDevice
from gpucnn.backends.kernel_backend import KernelBackend
for mode, folder in (("fast", None), ("fast", None), ("race", None), ("fast", "other")):
    if folder:
        os.environ["GPUCNN_CACHE_DIR"] = os.environ["OTHER"]
    backend = KernelBackend(EmulatorDevice(mode))
    print(backend.to_numpy(backend.softmax(backend.asarray(np.zeros((1, 64)))))[0, 0])
"""


def run(program, **environment):
    """A process of its own: its exit status, what it printed, what it complained of."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
def test_devices_share_one_runtime(tmp_path):
    """Where a cache cannot be written to, each would have files of its own."""
    result = run(TWO_DEVICES, GPUCNN_CACHE_DIR="/proc/nothing", OTHER=str(tmp_path))
    assert result[:2] == (0, "0.015625\n" * 4), result


@pytest.mark.parametrize(
    ("name", "mode", "machine"),
    [
        ("emulator", "fast", "sm_90a"),
        ("emulator:fast", "fast", "sm_90a"),
        ("emulator:race", "race", "sm_90a"),
        ("emulator:sm_80", "fast", "sm_80"),
        ("emulator:sanitize:sm_120a", "sanitize", "sm_120a"),
        pytest.param("emulator:ptx", "ptx", "sm_90a", marks=pytest.mark.nvrtc),
        pytest.param("emulator:ptx:sm_80", "ptx", "sm_80", marks=pytest.mark.nvrtc),
    ],
)
def test_a_backend_of_a_mode_and_a_machine(name, mode, machine):
    device = get_backend(name).device
    assert (device.mode, device.machine.architecture) == (mode, machine)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("emulator:rice", 'no mode "rice"; did you mean "race"?'),
        ("emulator:rice:sm_80", 'no mode "rice"; did you mean "race"?'),
        ("emulator:race:sm_99", 'no machine "sm_99"; did you mean "sm_89"?'),
        ("emulator:race:1", "no GPUs to choose from"),
    ],
)
def test_a_mode_or_machine_that_is_none(name, words):
    with pytest.raises(BackendError) as caught:
        get_backend(name)
    assert words in str(caught.value)


def test_each_mode_can_be_chosen():
    assert ENGINES == MODES
    assert {f"emulator:{mode}" for mode in MODES[1:]} < set(CHOICES)
