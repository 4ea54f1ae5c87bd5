"""Training with what NVRTC makes of our kernels, run by the executor of PTX."""

from pathlib import Path

import numpy as np
import pytest

from gpucnn.backends import get_backend
from gpucnn.backends.devices.emulator_device import EmulatorDevice
from gpucnn.backends.kernel_backend import KernelBackend
from gpucnn.config import load_config
from gpucnn.training.trainer import Trainer

pytestmark = pytest.mark.nvrtc

DIGITS = Path(__file__).parents[2] / "configs" / "digits.toml"
STEPS = 3


def trained(backend):
    """The mean loss of each of the first steps, and the weights after them."""
    trainer = Trainer(load_config(DIGITS, ("model.width=8",)), backend)
    trainer.prepare()
    losses, seen = [], 0.0
    for _, batch in zip(range(STEPS), trainer.loader.batches(0), strict=False):
        trainer.train_step(batch)
        total, _ = trainer.backend.to_numpy(trainer._totals)
        losses.append((total - seen) / batch.labels.size)
        seen = total
    return np.array(losses), backend.to_numpy(trainer.network.values)


@pytest.fixture(scope="module")
def in_mode_ptx():
    return trained(KernelBackend(EmulatorDevice("ptx", seed=0)))


def test_losses_follow_numpy_in_fp64(in_mode_ptx):
    losses, _ = in_mode_ptx
    expected, _ = trained(get_backend("numpy", precision="fp64"))
    np.testing.assert_allclose(losses, expected, rtol=1e-6)


@pytest.mark.parametrize("seed", [1, 2**40])
def test_the_schedule_does_not_change_a_bit(in_mode_ptx, seed):
    losses, weights = in_mode_ptx
    again, weights_again = trained(KernelBackend(EmulatorDevice("ptx", seed=seed, workers=1)))
    assert losses.tobytes() == again.tobytes()
    assert weights.tobytes() == weights_again.tobytes()
