"""Pixels that no window reads: their gradient is 0, and nothing is read for it."""

import numpy as np
import pytest

from gpucnn.backends import why_unavailable
from gpucnn.backends.devices.emulator_device import EmulatorDevice
from gpucnn.backends.kernel_backend import KernelBackend
from gpucnn.launch.variants import Variant

pytestmark = pytest.mark.skipif(
    bool(why_unavailable("emulator")), reason=why_unavailable("emulator")
)


@pytest.mark.parametrize("mode", ["race", "sanitize"])
def test_no_filter_is_read_where_a_step_has_them_all(mode):
    """Behind the last filter there is nothing: a read for the pixels between would be outside."""
    backend = KernelBackend(EmulatorDevice(mode))
    dy, w = backend.asarray(np.ones((1, 2, 2, 16))), backend.asarray(np.ones((16, 1, 1, 4)))
    with backend.held_to(Variant.GEMM):
        dx = backend.to_numpy(backend.conv2d_input_grad(dy, w, (1, 3, 3, 4), (2, 2)))
    expected = np.zeros((3, 3, 4))
    expected[::2, ::2] = 16
    np.testing.assert_array_equal(dx[0], expected)
