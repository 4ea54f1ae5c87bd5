"""Runs in which parts of the network are frozen, or learn at rates of their own."""

import json
import signal

import numpy as np
import pytest

from gpucnn.data import Normalisation
from gpucnn.errors import ConfigError
from gpucnn.training.signals import Interrupted
from gpucnn.training.trainer import Trainer

FROZEN = ("finetune.freeze=['0', '1']", "finetune.rates={'*.bias'=0.5}")

pytestmark = pytest.mark.usefixtures("tiny_data")


def stop_at(trainer, number):
    take = trainer.train_step

    def wrapped(batch):
        if trainer.progress.step == number:
            signal.raise_signal(signal.SIGTERM)
        take(batch)

    trainer.train_step = wrapped


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_stopped_and_resumed_with_the_same_bits(optimizer, make_trainer, tmp_path, outcome):
    overrides = (*FROZEN, f"optimizer.name={optimizer}")
    make_trainer(*overrides, run_dir=tmp_path / "whole").fit()
    trainer = make_trainer(*overrides, run_dir=tmp_path / "run")
    for step in (1, 6):
        stop_at(trainer, step)
        with pytest.raises(Interrupted):
            trainer.fit()
        trainer = Trainer.resume(tmp_path / "run", "numpy")
    trainer.fit()
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


def test_what_is_frozen_is_as_at_first(make_trainer):
    trainer = make_trainer(*FROZEN)
    before = trainer.network.state()
    trainer.fit()
    after = trainer.network.state()
    same = {name for name in before if (before[name] == after[name]).all()}
    assert same == {name for name in before if name.startswith(("0.", "1."))}


def test_the_norm_is_over_what_learns(make_trainer):
    """Clipping to a bound gives that norm, whatever is frozen."""
    trainer = make_trainer(*FROZEN, "training.clip_norm=1e-3")
    norms, step = [], trainer.optimizer.step

    def seen(*args):
        norms.append(np.linalg.norm(trainer.network.gradients.astype(float)))
        step(*args)

    trainer.optimizer.step = seen
    trainer.train_step(next(trainer.loader.batches(0)))
    assert norms == [pytest.approx(1e-3, rel=1e-5)]
    assert trainer.network.gradients.size < trainer.network.values.size


def test_a_watched_run_has_no_rows_of_what_is_frozen(make_trainer, tmp_path):
    """Nor of the ReLU after it, whose units could not learn anyway."""
    trainer = make_trainer(*FROZEN, "training.watch=true", run_dir=tmp_path / "run")
    trainer.network.parameters()["1.batch_norm2d.shift"].value[...] = -1e6  # all are dead
    trainer.fit()
    rows = map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    assert {row["layer"] for row in rows if "layer" in row and "step" in row} == {"6.linear"}


def test_a_batch_of_one_is_enough_if_normalisations_are_frozen(make_trainer):
    small = 'model.layers=[{type="avg_pool2d", window=8}, {type="batch_norm2d"}, {type="flatten"}, '
    small += '{type="linear", features="classes"}]'
    with pytest.raises(ConfigError, match="batch normalisation needs two or more"):
        make_trainer(small, "training.batch_size=1")
    make_trainer(small, "training.batch_size=1", "finetune.freeze=['1.*']")


def test_a_normalisation_that_is_given(make_trainer, tmp_path):
    trainer = make_trainer("data.mean=[0.25]", "data.std=[0.5]", run_dir=tmp_path / "run")
    assert trainer.normalisation == Normalisation((0.25,), (0.5,))
    assert trainer.run.card().normalisation == trainer.normalisation
    batch = next(trainer.loader.batches(0))
    bytes_, inputs = np.asarray(batch.images, float), trainer.pipeline.inputs(batch)
    assert inputs.mean() == pytest.approx((bytes_.mean() / 255 - 0.25) / 0.5, abs=0.2)
    assert inputs.min() == pytest.approx(-0.5)
    with pytest.raises(ConfigError, match=r"data\.mean has 3 numbers .* 1 channels"):
        make_trainer("data.mean=[0, 0, 0]", "data.std=[1, 1, 1]")
