"""Training with our kernels: it follows NumPy step for step, and repeats itself to the bit."""

import signal
from pathlib import Path

import numpy as np
import pytest

from gpucnn.config import Config, load_config
from gpucnn.errors import NonFiniteError
from gpucnn.training.signals import Interrupted
from gpucnn.training.trainer import Trainer

CONFIGS = Path(__file__).parents[2] / "configs"
MODELS = {
    "lenet": {"name": "lenet", "filters": [4, 8], "kernel": 2, "hidden": 16},
    "vgg": {"name": "vgg", "width": 4, "stages": 2},
    "resnet9": {"name": "resnet9", "width": 4},
    "resnet18": {"name": "resnet18", "width": 4},
}


def step_losses(trainer, steps):
    """The mean loss of each of the first steps of an epoch."""
    trainer.prepare()
    losses, seen = [], 0.0
    for _, batch in zip(range(steps), trainer.loader.batches(0), strict=False):
        trainer.train_step(batch)
        total, _ = trainer.backend.to_numpy(trainer._totals)
        losses.append((total - seen) / batch.labels.size)
        seen = total
    return np.array(losses)


def with_model(config, model):
    return Config({**config.tables, "model": MODELS[model]})


def trainers(kernel_backend, config, *overrides):
    loaded = load_config(CONFIGS / config, overrides)
    return [Trainer(loaded, backend) for backend in ("numpy", kernel_backend)]


def test_the_first_steps_follow_numpy(kernel_backend):
    numpy, ours = trainers(kernel_backend, "digits.toml", "model.width=8")
    np.testing.assert_allclose(step_losses(ours, 3), step_losses(numpy, 3), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_every_model_follows_numpy(kernel_backend, make_config, tiny_pair, model):
    # Not Adam, which makes a step out of a gradient that is nothing but rounding.
    config = with_model(make_config("optimizer.name=sgd"), model)
    numpy, ours = (
        Trainer(config, backend, data=tiny_pair) for backend in ("numpy", kernel_backend)
    )
    np.testing.assert_allclose(step_losses(ours, 4), step_losses(numpy, 4), rtol=1e-4)


@pytest.mark.slow
def test_an_epoch_of_digits_follows_numpy(kernel_backend):
    numpy, ours = trainers(kernel_backend, "digits.toml")
    expected = step_losses(numpy, numpy.steps_per_epoch)
    actual = step_losses(ours, ours.steps_per_epoch)
    np.testing.assert_allclose(actual[:20], expected[:20], rtol=1e-4)
    assert abs(ours.evaluate().accuracy - numpy.evaluate().accuracy) <= 0.005


@pytest.mark.slow
def test_a_whole_training_on_digits_ends_where_numpy_does(kernel_backend):
    """In loss, and in what it has learned: roundings lead to other weights, but no worse ones."""
    small = ("model.width=16", "training.epochs=5")
    expected, result = (t.fit() for t in trainers(kernel_backend, "digits.toml", *small))
    assert result.n == expected.n == 355
    assert result.loss == pytest.approx(expected.loss, rel=0.01)
    assert min(result.accuracy, expected.accuracy) >= 0.97
    assert abs(result.accuracy - expected.accuracy) <= 0.01


@pytest.fixture(scope="module")
def uninterrupted(kernel_backend, tmp_path_factory, tiny_pair, make_config, outcome):
    """The run that all others are compared with."""
    path = tmp_path_factory.mktemp("whole") / "run"
    Trainer(make_config(), kernel_backend, path, data=tiny_pair).fit()
    return outcome(path)


@pytest.mark.usefixtures("tiny_data")
def test_the_same_seed_gives_the_same_bits(
    kernel_backend, make_config, tmp_path, outcome, uninterrupted
):
    Trainer(make_config(), kernel_backend, tmp_path / "run").fit()
    assert outcome(tmp_path / "run") == uninterrupted


@pytest.mark.usefixtures("tiny_data")
@pytest.mark.parametrize("step", [1, 4, 6])
def test_stopped_and_resumed_to_the_same_bits(
    kernel_backend, make_config, tmp_path, outcome, uninterrupted, step
):
    """In the first epoch, at its end, and between two checkpoints."""
    trainer = Trainer(make_config(), kernel_backend, tmp_path / "run")
    take = trainer.train_step

    def stopping(batch):
        take(batch)
        if trainer.progress.step == step:
            signal.raise_signal(signal.SIGTERM)

    trainer.train_step = stopping
    with pytest.raises(Interrupted):
        trainer.fit()
    resumed = Trainer.resume(tmp_path / "run", kernel_backend)
    assert resumed.progress.step == step
    resumed.fit()
    assert outcome(tmp_path / "run") == uninterrupted


def test_a_step_that_is_not_finite_is_refused(kernel_backend, make_config, tiny_pair):
    changes = ("optimizer.name=sgd", "optimizer.learning_rate=1e30", "schedule.name=constant")
    config = with_model(make_config(*changes), "lenet")
    config.training.clip_norm = None
    trainer = Trainer(config, kernel_backend, data=tiny_pair)
    with pytest.raises(NonFiniteError, match="step 1: "):
        trainer.fit()
    assert trainer.progress.step == 1
    assert np.isfinite(kernel_backend.to_numpy(trainer.network.values)).all()
