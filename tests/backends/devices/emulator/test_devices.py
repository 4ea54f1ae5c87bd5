"""Several devices in one process, and the compiler that they are given."""

import os
import subprocess
import sys

import pytest

from gpucnn.backends.devices.emulator.device import why_unavailable

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())

TWO_DEVICES = """
import os
import numpy as np
from gpucnn.backends.devices.emulator.device import EmulatorDevice
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
