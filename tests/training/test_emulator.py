"""Training on the emulator: our CUDA follows NumPy step for step."""

from pathlib import Path

import numpy as np
import pytest

from gpucnn.backends import get_backend, why_unavailable
from gpucnn.config import load_config
from gpucnn.training.trainer import Trainer

if reason := why_unavailable("emulator"):
    pytest.skip(reason, allow_module_level=True)

CONFIGS = Path(__file__).parents[2] / "configs"


def step_losses(trainer, steps):
    """The mean loss of each of the first steps of an epoch."""
    losses, seen = [], 0.0
    for _, batch in zip(range(steps), trainer.loader.batches(0), strict=False):
        trainer.train_step(batch)
        total, _ = trainer.backend.to_numpy(trainer._step.totals)
        losses.append((total - seen) / batch.labels.size)
        seen = total
    return np.array(losses)


def trainers(config, *overrides):
    loaded = load_config(CONFIGS / config, overrides)
    return [Trainer(loaded, get_backend(name)) for name in ("numpy", "emulator")]


def test_the_first_steps_follow_numpy():
    numpy, emulator = trainers("digits.toml", "model.width=8")
    np.testing.assert_allclose(step_losses(emulator, 3), step_losses(numpy, 3), rtol=1e-5)


@pytest.mark.slow
def test_an_epoch_of_digits_follows_numpy():
    numpy, emulator = trainers("digits.toml")
    expected = step_losses(numpy, numpy.steps_per_epoch)
    actual = step_losses(emulator, emulator.steps_per_epoch)
    np.testing.assert_allclose(actual[:20], expected[:20], rtol=1e-4)
    assert abs(emulator.evaluate().accuracy - numpy.evaluate().accuracy) <= 0.005
