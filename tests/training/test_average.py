"""``training.ema_decay``: the average of weights and running statistics."""

import json
import signal

import numpy as np
import pytest

from gpucnn.config import Config
from gpucnn.errors import CheckpointError, ConfigError, NonFiniteError
from gpucnn.inference import TrainedModel, load
from gpucnn.training.opened_checkpoint import open_checkpoint
from gpucnn.training.signals import Interrupted
from gpucnn.training.trainer import Trainer

DECAY = 0.5
"""Reached after 8 steps: (1 + 8) / (10 + 8)."""
AVERAGED = f"training.ema_decay={DECAY}"
STEPS = 12
UNIT = 2.0**-24

pytestmark = pytest.mark.usefixtures("tiny_data")


def averages(trainer):
    return trainer._state._average.state()


def expected_averages(states):
    """In double, from the network's values before the first step and after each."""
    average = {name: value.astype(np.float64) for name, value in states[0].items()}
    for step, state in enumerate(states[1:], 1):
        decay = min(DECAY, (1 + step) / (10 + step))
        for name, value in state.items():
            average[name] = decay * average[name] + (1 - decay) * value
    return average


@pytest.mark.parametrize("name", ["numpy", "emulator"])
def test_it_follows_the_formula(name, tiny_pair, make_config):
    """Each step rounds a share, a difference, a product and a sum, none above twice the largest."""
    config = make_config(AVERAGED, "training.epochs=1")
    layers = config.tables["model"]["layers"]
    layers[:] = [layers[1], {"type": "flatten"}, layers[-1]]
    trainer = Trainer(config, name, data=tiny_pair)
    states = [trainer.network.state()]
    for batch in trainer.loader.batches(0):
        trainer.train_step(batch)
        states.append(trainer.network.state())
    actual = averages(trainer)
    assert any("running" in name for name in actual)
    for name, expected in expected_averages(states).items():
        largest = max(np.abs(state[name]).max() for state in states)
        bound = (len(states) - 1) * 4 * 2 * largest * UNIT
        assert abs(actual[name] - expected).max() <= bound
        assert abs(actual[name] - states[-1][name]).max() > 20 * bound


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_pair, make_config):
    """The folder of a run that was never stopped."""
    path = tmp_path_factory.mktemp("whole") / "run"
    Trainer(make_config(AVERAGED), "numpy", path, data=tiny_pair).fit()
    return path


@pytest.mark.parametrize(
    "step",
    [
        step if step in (1, 4, 7) else pytest.param(step, marks=pytest.mark.slow)
        for step in range(1, STEPS + 1)
    ],
)
def test_stopped_and_resumed(step, make_trainer, tmp_path, outcome, finished):
    trainer = make_trainer(AVERAGED, run_dir=tmp_path / "run")
    take = trainer.train_step

    def stopping(batch):
        if trainer.progress.step == step - 1:
            signal.raise_signal(signal.SIGTERM)
        take(batch)

    trainer.train_step = stopping
    with pytest.raises(Interrupted):
        trainer.fit()
    Trainer.resume(tmp_path / "run", "numpy").fit()
    assert outcome(tmp_path / "run") == outcome(finished)


def test_it_changes_no_step(make_trainer):
    with_average, without = make_trainer(AVERAGED), make_trainer()
    for trainer in (with_average, without):
        for batch in trainer.loader.batches(0):
            trainer.train_step(batch)
    np.testing.assert_array_equal(with_average.network.stored, without.network.stored)


def test_the_averages_are_what_is_evaluated_and_used(finished, tiny_pair):
    opened = open_checkpoint(finished)
    averaged, raw = TrainedModel(opened, "numpy"), load(finished, "numpy", raw=True)
    arrays = opened.checkpoint.arrays
    for name, value in averaged.network.state().items():
        np.testing.assert_array_equal(value, arrays[f"ema/{name}"])
        np.testing.assert_array_equal(raw.network.state()[name], arrays[f"network/{name}"])
    result = averaged.evaluate(tiny_pair.test)
    report = json.loads((finished / "report.json").read_text())
    assert report == json.loads(json.dumps(result.as_json(averaged.classes)))
    assert raw.evaluate(tiny_pair.test).loss != result.loss


def test_a_run_evaluates_its_averages(make_trainer, tmp_path):
    """After each epoch, and at the end, after which the network has those of the best epoch."""
    trainer = make_trainer(AVERAGED, run_dir=tmp_path / "run")
    result = trainer.fit()
    rows = [row for row in trainer.run.metrics() if "epoch" in row]
    best = open_checkpoint(tmp_path / "run")
    (row,) = [row for row in rows if row["step"] == best.checkpoint.progress.step]
    assert trainer.evaluate("validation").loss == row["validation_loss"]
    assert trainer.evaluate("test").loss == result.loss
    for name, value in trainer.network.state().items():
        np.testing.assert_array_equal(value, best.checkpoint.arrays[f"ema/{name}"])


def test_without_a_folder_too(make_trainer):
    trainer = make_trainer(AVERAGED, "data.validation=0")
    result = trainer.fit()
    with trainer.network.using(trainer._state._average._stored):
        again = trainer.evaluate("test")
    assert result.loss == again.loss


def test_a_refused_step_leaves_it(make_trainer, monkeypatch):
    trainer = make_trainer(AVERAGED)
    batches = trainer.loader.batches(0)
    trainer.train_step(next(batches))
    before = trainer._state.checkpoint()
    forward = trainer.loss.forward
    monkeypatch.setattr(trainer.loss, "forward", lambda *given: forward(*given) * np.float32("inf"))
    with pytest.raises(NonFiniteError):
        trainer.train_step(next(batches))
    after = trainer._state.checkpoint()
    for name, array in before.arrays.items():
        np.testing.assert_array_equal(array, after.arrays[name], name)


def test_a_step_that_fails_in_it_is_not_saved(make_trainer, monkeypatch, tmp_path):
    """The weights have changed already, and no copy of them is kept."""

    def fail(*_):
        raise MemoryError

    trainer = make_trainer(AVERAGED, run_dir=tmp_path / "run")
    monkeypatch.setattr(trainer.backend, "update_average", fail)
    with pytest.raises(MemoryError) as failed:
        trainer.fit()
    assert "the step that failed cannot be undone" in failed.value.__notes__[0]


def test_a_checkpoint_without_averages_is_refused_by_name(make_trainer, tmp_path, monkeypatch):
    trainer = make_trainer(run_dir=tmp_path / "run")
    trainer.fit()
    options = {**trainer.config.tables["training"], "ema_decay": 0.9}
    config = Config({**trainer.config.tables, "training": options})
    monkeypatch.setattr("gpucnn.training.trainer.check_resumable", lambda *_: None)
    with pytest.raises(CheckpointError, match=r"step-0*12\.json .*: it has no averages"):
        Trainer.resume(tmp_path / "run", "numpy", config)
    with pytest.raises(ConfigError, match=r"has no averages of weights .* leave out --raw"):
        load(tmp_path / "run", "numpy", raw=True)


@pytest.mark.parametrize("decay", ["0.0", "1.0", "-0.5"])
def test_decays_that_cannot_be(decay, make_config):
    with pytest.raises(ConfigError, match=r"training\.ema_decay"):
        make_config(f"training.ema_decay={decay}")
