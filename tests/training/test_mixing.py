"""Training with everything that augmentation has, and with weights of classes."""

import numpy as np
import pytest

from gpucnn.backends import get_backend
from gpucnn.errors import ConfigError
from gpucnn.training.trainer import Trainer

EVERYTHING = (
    "augment.flip=false",
    "augment.alternating_flip=true",
    "augment.rotation=20",
    "augment.random_resized_crop=0.5",
    "augment.cutout=2",
    "augment.brightness=0.2",
    "augment.contrast=0.2",
    "augment.mixup=0.4",
    "augment.cutmix=1",
    "loss.class_weights=balanced",
    "loss.label_smoothing=0.1",
)

pytestmark = pytest.mark.usefixtures("tiny_data")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, tiny_pair, make_config, outcome):
    path = tmp_path_factory.mktemp("whole") / "run"
    Trainer(make_config(*EVERYTHING), "numpy", path, data=tiny_pair).fit()
    return outcome(path)


@pytest.mark.parametrize("steps", [2, 5])
def test_a_stopped_run_ends_with_the_same_bits(
    make_trainer, tmp_path, outcome, uninterrupted, steps
):
    """Within an epoch and at the beginning of the next, whose parity alternates flips."""
    trainer = make_trainer(*EVERYTHING, run_dir=tmp_path / "run")
    while trainer.progress.step < steps:
        epoch, first = divmod(trainer.progress.step, trainer.steps_per_epoch)
        trainer.progress.epoch = epoch
        trainer.train_step(trainer.loader.batch(epoch, first))
    trainer.save()
    trainer.run.unlock()
    Trainer.resume(tmp_path / "run", "numpy").fit()
    resumed = outcome(tmp_path / "run")
    assert resumed["last"] == uninterrupted["last"]
    assert resumed["report"] == uninterrupted["report"]


def test_it_learns(make_trainer):
    changes = ("training.epochs=25", "training.batch_size=10", "augment.mixup=0.2")
    result = make_trainer(*changes, "augment.flip=false", "loss.class_weights=balanced").fit()
    assert result.accuracy > 0.7


def test_a_step_is_that_of_the_mixed_targets(make_trainer):
    """The loss of a step, from the network's own scores and the targets."""
    trainer = make_trainer("augment.cutmix=1", "loss.class_weights=balanced")
    batch = trainer.loader.batch(0, 0)
    counts = np.bincount(trainer.loader.dataset.labels, minlength=10)
    weights = counts.sum() / (10 * counts)
    trainer.network.begin_step(0)
    scores = trainer.network.forward(trainer.pipeline.inputs(batch)).astype(np.float64)
    logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    expected = -(weights * batch.targets * logs).sum()
    trainer = make_trainer("augment.cutmix=1", "loss.class_weights=balanced")
    trainer.train_step(batch)
    loss, right = trainer._steps.totals()
    assert loss == pytest.approx(expected, rel=1e-5)
    assert right == np.count_nonzero(scores.argmax(axis=1) == batch.labels)


def test_an_evaluation_weights_all_classes_alike(make_trainer):
    losses = [
        make_trainer(*changes).evaluate("test").loss
        for changes in ((), ("loss.class_weights=balanced",), ("augment.mixup=1",))
    ]
    assert losses[0] == losses[1] == losses[2]


def test_kernels_train_alike(make_config, tiny_pair):
    """What the rehearsal foresees is launched: the emulator compiles nothing afterwards."""
    trainers = [
        Trainer(make_config(*EVERYTHING), get_backend(name), data=tiny_pair)
        for name in ("numpy", "emulator")
    ]
    totals = []
    for trainer in trainers:
        trainer.prepare()
        for batch in trainer.loader.batches(0):
            trainer.train_step(batch)
        totals.append(trainer._steps.totals())
    assert totals[0] == pytest.approx(totals[1], rel=1e-3)


def test_weights_that_do_not_fit_are_refused(make_trainer):
    with pytest.raises(ConfigError, match="loss: class_weights has 2 numbers; there are 10"):
        make_trainer("loss.class_weights=[1.0, 2.0]")
