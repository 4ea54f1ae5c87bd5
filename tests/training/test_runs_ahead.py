"""Where the host runs ahead of the device: checks come late, and nothing is different for it."""

import weakref
from pathlib import Path

import numpy as np
import pytest

from gpucnn.backends.numpy_backend import NumpyBackend
from gpucnn.config import load_config
from gpucnn.errors import NonFiniteError
from gpucnn.training.trainer import Trainer

CONFIGS = Path(__file__).parents[2] / "configs"
POISONED, SEEN = 2, 6
"""Steps; the first is not finite, and the host looks after the second."""


class Ahead(NumpyBackend):
    """NumPy, as if reading cost a wait."""

    runs_ahead = True

    def __init__(self):
        super().__init__()
        self.reads = 0

    def to_numpy(self, array):
        self.reads += 1
        return super().to_numpy(array)


def load(*overrides):
    few = ["model.width=2", "training.epochs=2", "training.batch_size=200", "data.validation=0.1"]
    return load_config(CONFIGS / "digits.toml", [*few, *overrides])


def poison(trainer):
    """Makes the gradient of one step infinite; the loss stays finite."""
    loss, take = trainer.network.backward, []

    def backward(*arguments):
        loss(*arguments)
        take.append(None)
        if trainer.progress.step == POISONED:
            trainer.network.parameters()["1.batch_norm2d.scale"].gradient[0] = np.inf

    trainer.network.backward = backward


def test_the_bits_are_the_same():
    plain, ahead = Trainer(load(), "numpy"), Trainer(load(), Ahead())
    assert plain.fit().loss == ahead.fit().loss
    np.testing.assert_array_equal(plain.network.values, ahead.network.values)
    for name, array in plain.optimizer.state().items():
        np.testing.assert_array_equal(array, ahead.optimizer.state()[name])


def test_no_step_reads_anything():
    trainer = Trainer(load(), Ahead())
    batches = trainer.loader.batches(0)
    before = trainer.backend.reads
    for _ in range(5):
        trainer.train_step(next(batches))
    assert trainer.backend.reads == before


def test_nothing_is_changed_from_the_refused_step_on():
    trainer = Trainer(load(), Ahead())
    poison(trainer)
    batches = trainer.loader.batches(0)
    for step in range(SEEN):
        if step == POISONED:
            values = trainer.network.values.copy()
            totals = trainer._totals.copy()
            state = trainer.optimizer.state()
        trainer.train_step(next(batches))
    with pytest.raises(NonFiniteError, match=rf'step {POISONED}: .*"1\.batch_norm2d\.scale"'):
        trainer._steps.totals()
    np.testing.assert_array_equal(trainer.network.values, values)
    np.testing.assert_array_equal(trainer._totals, totals)
    for name, array in trainer.optimizer.state().items():
        np.testing.assert_array_equal(array, state[name])
    assert trainer.progress.step == POISONED


def test_neither_averages_nor_the_batches_of_a_step_are_lost(monkeypatch):
    """The averages stay as they were before the refused step, all batches of which are repeated."""
    overrides = ("training.batch_size=100", "training.accumulate=2", "training.ema_decay=0.9")
    trainer = Trainer(load(*overrides), Ahead())
    poison(trainer)
    for step, batches in enumerate(list(trainer._steps.left())[:SEEN]):
        if step == POISONED:
            averages = trainer._state._average.state()
        trainer.train_step(*batches)
    take, taken = trainer.loader.batch, []

    def watched(epoch, index):
        taken.append((epoch, index))
        return take(epoch, index)

    monkeypatch.setattr(trainer.loader, "batch", watched)
    with pytest.raises(NonFiniteError, match=f"step {POISONED}: the gradient"):
        trainer._steps.check()
    assert taken == [(0, 2 * POISONED), (0, 2 * POISONED + 1)]
    assert (trainer.progress.step, trainer.progress.batch) == (POISONED, POISONED)
    for name, array in trainer._state._average.state().items():
        np.testing.assert_array_equal(array, averages[name])


def test_no_checkpoint_is_saved_behind_a_refused_step(tmp_path):
    trainer = Trainer(load(), Ahead(), tmp_path / "run")
    trainer.save()
    poison(trainer)
    batches = trainer.loader.batches(0)
    for _ in range(SEEN):
        trainer.train_step(next(batches))
    with pytest.raises(NonFiniteError):
        trainer.save()
    assert trainer.run.checkpoints.newest().progress.step == 0


def test_no_batch_is_kept_until_the_checks():
    trainer = Trainer(load(), Ahead())
    images = []
    for batch in trainer.loader.batches(0):
        images.append(weakref.ref(batch.images))
        trainer.train_step(batch)
    del batch
    assert len(trainer._steps.unchecked) == len(images) > 2
    assert [image() for image in images] == [None] * len(images)


def test_without_a_run_folder_no_loss_is_read(monkeypatch, tmp_path):
    monkeypatch.setattr("gpucnn.training.recorder._ROW_STEPS", 2)
    monkeypatch.setattr("gpucnn.training.step.UNCHECKED_STEPS", 2)
    reads = []
    for run_dir in (None, tmp_path / "run"):
        trainer = Trainer(load(), Ahead(), run_dir)
        monkeypatch.setattr(trainer, "_end_epoch", lambda: None)
        trainer._train_epoch()
        reads.append(trainer.backend.reads)
    checks = trainer.progress.step // 2
    assert reads == [checks, 2 * checks]


def test_the_host_looks_after_so_many_steps(monkeypatch):
    monkeypatch.setattr("gpucnn.training.step.UNCHECKED_STEPS", 4)
    trainer = Trainer(load(), Ahead())
    poison(trainer)
    batches = trainer.loader.batches(0)
    with pytest.raises(NonFiniteError, match=f"step {POISONED}:"):
        for _ in range(4):
            trainer.train_step(next(batches))


def test_a_watched_step_waits_and_is_recorded_only_if_it_was_taken(tmp_path):
    """The third step is refused; the fourth, which is watched, is the first look at it."""
    trainer = Trainer(load("training.watch=true"), Ahead(), tmp_path / "run")
    poison(trainer)
    batches = trainer.loader.batches(0)
    for _ in range(POISONED + 1):
        trainer.train_step(next(batches))
    with pytest.raises(NonFiniteError, match=rf'step {POISONED}: .*"1\.batch_norm2d\.scale"'):
        trainer.train_step(next(batches))
    assert {row["step"] for row in trainer.run.metrics()} == {1, 2}
