"""``training.accumulate``: a step that learns from several batches, one after the other."""

import signal

import numpy as np
import pytest

from gpucnn.backends import get_backend
from gpucnn.config_tables import Training
from gpucnn.data import ArrayDataset, BatchLoader, Normalisation
from gpucnn.errors import NonFiniteError
from gpucnn.layers import Flatten, Linear, Network
from gpucnn.losses import MeanSquaredError
from gpucnn.optim import SGD
from gpucnn.training.classification import Classification
from gpucnn.training.input_pipeline import InputPipeline
from gpucnn.training.signals import Interrupted
from gpucnn.training.step import TrainingStep
from gpucnn.training.trainer import Trainer

SEVERAL = ("training.batch_size=14", "training.accumulate=3")
"""100 images in 8 batches, the last one of 2: steps of 42, 42 and 16 images."""
STEPS_PER_EPOCH, STEPS = 3, 9

CLASSES = 4
FOUR = Classification.of_count(CLASSES)


def gradients_of_a_step(backend, batch_size, accumulate):
    """Of 32 images whose pixels are 0 or 1, by a network whose weights are quarters."""
    rng = np.random.default_rng(5)
    images = 255 * rng.integers(0, 2, (32, 4, 4, 1)).astype(np.uint8)
    dataset = ArrayDataset(images, rng.integers(0, CLASSES, 32).astype(np.int32), tuple("abcd"))
    layers = [Flatten(), Linear("classes", bias=False)]
    network = Network(layers, (4, 4, 1), CLASSES, backend)
    for parameter in network.parameters().values():
        backend.write(parameter.value, rng.integers(-4, 5, parameter.shape) / 4)
    network.train()
    optimizer = SGD(learning_rate=0.5)
    optimizer.attach(network)
    pipeline = InputPipeline(backend, Normalisation((0.0,), (1.0,)))
    options = Training(accumulate=accumulate)
    step = TrainingStep(network, MeanSquaredError(), optimizer, pipeline, options, FOUR)
    batches = list(BatchLoader(dataset, batch_size, seed=1).batches(0))
    assert len(batches) == accumulate
    step.take(batches, 0, 1.0)
    totals, gradients = backend.to_numpy(step.totals), backend.to_numpy(network.gradients)
    return gradients, backend.to_numpy(network.values), totals


def test_a_step_of_four_batches_is_one_of_a_large_batch(backend):
    """Sums are of few eighths, divisors powers of two: nothing is rounded, in whatever order."""
    large = gradients_of_a_step(backend, 32, 1)
    several = gradients_of_a_step(backend, 8, 4)
    assert np.abs(large[0]).max() > 0.1
    for one, other in zip(large, several, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.usefixtures("tiny_data")
def test_a_run_is_that_of_large_batches(make_config, tiny_pair):
    """Within rounding: 2⁻⁵³ of the numbers in a step, and 24 steps that may double it each.

    Dropout masks and draws of the augmentation depend on the place in the whole step. The last
    step of an epoch has batches of 7, 7 and 2.
    """
    runs = []
    for batch_size, accumulate in ((28, 1), (7, 4)):
        config = make_config(
            f"training.batch_size={batch_size}",
            f"training.accumulate={accumulate}",
            "training.epochs=6",
            "optimizer.name=sgd",
            "optimizer.learning_rate=0.05",
            "optimizer.weight_decay=0.0",
        )
        del config.tables["model"]["layers"][1]  # batch normalisation
        trainer = Trainer(config, get_backend("numpy", "fp64"), data=tiny_pair)
        assert (trainer.steps_per_epoch, trainer.total_steps) == (4, 24)
        runs.append((trainer.fit(), trainer.network.values, trainer.progress))
    (one, values, progress), (other, others, other_progress) = runs
    np.testing.assert_allclose(values, others, rtol=0, atol=2.0**-53 * 2**24)
    np.testing.assert_array_equal(one.confusion, other.confusion)
    assert (progress.step, progress.batch) == (other_progress.step, other_progress.batch)


def test_batch_normalisation_sees_each_batch_by_itself(make_trainer):
    accumulated, apart = (make_trainer(*SEVERAL) for _ in range(2))
    batches = list(accumulated.loader.batches(0))[:3]
    accumulated.train_step(*batches)
    network = apart.network
    for batch in batches:
        network.forward(apart.pipeline.inputs(batch))
    for name, buffer in network.buffers().items():
        np.testing.assert_array_equal(buffer.value, accumulated.network.buffers()[name].value)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, tiny_pair, make_config, outcome):
    path = tmp_path_factory.mktemp("whole") / "run"
    Trainer(make_config(*SEVERAL), "numpy", path, data=tiny_pair).fit()
    return outcome(path)


@pytest.mark.parametrize(
    "step",
    [
        step if step in (1, 3, 5, STEPS) else pytest.param(step, marks=pytest.mark.slow)
        for step in range(1, STEPS + 1)
    ],
)
def test_stopped_and_resumed(step, make_trainer, tmp_path, outcome, uninterrupted):
    trainer = make_trainer(*SEVERAL, run_dir=tmp_path / "run")
    take = trainer.train_step

    def stopping(*batches):
        if trainer.progress.step == step - 1:
            signal.raise_signal(signal.SIGTERM)
        take(*batches)

    trainer.train_step = stopping
    with pytest.raises(Interrupted):
        trainer.fit()
    resumed = Trainer.resume(tmp_path / "run", "numpy")
    assert (resumed.steps_per_epoch, resumed.progress.step) == (STEPS_PER_EPOCH, step)
    resumed.fit()
    assert outcome(tmp_path / "run") == uninterrupted
    assert uninterrupted["metrics"][-1]["step"] == STEPS


@pytest.mark.parametrize("wrong", [0, 1, 2])
def test_a_step_with_a_wrong_batch_changes_nothing(wrong, make_trainer, monkeypatch):
    trainer = make_trainer(*SEVERAL)
    steps = list(trainer._steps.left())
    trainer.train_step(*steps[0])
    before = trainer._state.checkpoint()
    totals = trainer._totals.copy()
    poison(trainer.loss, monkeypatch, steps[1][wrong].labels.size, wrong)
    with pytest.raises(NonFiniteError, match="step 1: the loss is not finite"):
        trainer.train_step(*steps[1])
    assert (trainer.progress.step, trainer.progress.batch) == (1, 1)
    after = trainer._state.checkpoint()
    for name, array in before.arrays.items():
        np.testing.assert_array_equal(array, after.arrays[name], name)
    np.testing.assert_array_equal(trainer._totals, totals)


def poison(loss, monkeypatch, size, wrong):
    """The losses of one batch of each step of three are not finite; its gradient is."""
    forward, calls = loss.forward, []

    def poisoned(*arguments):
        losses = forward(*arguments)
        assert losses.size == size
        if len(calls) % 3 == wrong:
            losses[0] = np.inf
        calls.append(1)
        return losses

    monkeypatch.setattr(loss, "forward", poisoned)


def test_a_step_whose_second_batch_cannot_be_taken_is_undone(make_trainer, monkeypatch):
    trainer = make_trainer(*SEVERAL)
    steps = list(trainer._steps.left())
    trainer.train_step(*steps[0])
    before = trainer._state.checkpoint()
    backward, calls = trainer.network.backward, []

    def failing(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise MemoryError
        backward(*arguments)

    monkeypatch.setattr(trainer.network, "backward", failing)
    with pytest.raises(MemoryError):
        trainer.train_step(*steps[1])
    after = trainer._state.checkpoint()
    for name, array in before.arrays.items():
        np.testing.assert_array_equal(array, after.arrays[name], name)
