"""A step whose loss or gradient is not finite is not taken, and the error tells where it began."""

import numpy as np
import pytest

from gpucnn.config import Config
from gpucnn.errors import NonFiniteError
from gpucnn.training.finite import non_finite_error
from gpucnn.training.trainer import Trainer


def take_steps(trainer, number):
    """Takes steps until one is refused; returns the values before it, and the error."""
    batches = trainer.loader.batches(0)
    for _ in range(number):
        values = trainer.network.values.copy()
        state = {k: v.copy() for k, v in trainer.optimizer.state().items()}
        try:
            trainer.train_step(next(batches))
        except NonFiniteError as error:
            np.testing.assert_array_equal(trainer.network.values, values)
            for name, vector in trainer.optimizer.state().items():
                np.testing.assert_array_equal(vector, state[name])
            return str(error)
    raise AssertionError("every step was taken")


def test_a_learning_rate_that_is_far_too_high(make_config, tiny_pair):
    tables = {
        **make_config().tables,
        "model": {"name": "lenet", "filters": [4, 4], "kernel": 2, "hidden": 8},
        "optimizer": {"name": "sgd", "learning_rate": 1e30},
        "schedule": {"name": "constant"},
        "training": {"batch_size": 25},
    }
    trainer = Trainer(Config(tables), "numpy", data=tiny_pair)
    message = take_steps(trainer, 4)
    assert trainer.progress.step == 1
    assert message.startswith("step 1: the loss is not finite, so the step was not taken; ")
    assert 'the output of layer "' in message
    assert "optimizer.learning_rate" in message


def test_the_first_layer_that_is_not_finite_is_named(make_trainer):
    trainer = make_trainer()
    trainer.network.parameters()["6.linear.weight"].value[0, 0] = np.nan
    assert 'layer "6.linear" is the first' in take_steps(trainer, 1)
    trainer.network.parameters()["0.conv2d.weight"].value[0, 0, 0, 0] = np.inf
    assert 'layer "0.conv2d" is the first' in take_steps(trainer, 1)
    assert trainer.progress.step == 0


def test_the_part_of_a_fused_layer_is_named(make_trainer):
    """A ReLU would make 0 of the −∞ that its normalisation gives."""
    trainer = make_trainer()
    trainer.network.parameters()["1.batch_norm2d.shift"].value[0] = -np.inf
    trainer.network.parameters()["6.linear.weight"].value[0, 0] = np.nan
    assert 'layer "1.batch_norm2d" is the first' in take_steps(trainer, 1)


def test_a_sum_of_finite_branches_is_named(make_config, tiny_pair):
    """Each branch of a residual block is finite in FP32, their sum is not."""
    layers = [
        {"type": "flatten"},
        {"type": "residual", "body": [], "shortcut": []},
        {"type": "linear", "features": "classes"},
    ]
    tables = {**make_config().tables, "model": {"name": "sequential", "layers": layers}}
    trainer = Trainer(Config(tables), "numpy", data=tiny_pair)
    x = np.full((2, 8, 8, 1), 3e38, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        error = non_finite_error(trainer.network, x, 4, np.nan)
    assert "step 4: the loss is not finite" in str(error)
    assert 'layer "1.residual" is the first' in str(error)


def test_a_gradient_alone(make_trainer):
    trainer = make_trainer()
    layer = trainer.network.body.steps[1]
    backward = layer.backward

    def broken(dy):
        dx = backward(dy)
        layer.parameters["scale"].gradient[0] = np.inf
        return dx

    layer.backward = broken
    message = take_steps(trainer, 1)
    assert "step 0: the gradient is not finite" in message
    assert 'the gradient of "1.batch_norm2d.scale" is the first, going backward' in message
    layer.backward = backward
    trainer.train_step(next(trainer.loader.batches(0)))
    assert trainer.progress.step == 1


def test_the_network_works_as_before_afterwards(make_trainer):
    trainer = make_trainer()
    weight = trainer.network.parameters()["6.linear.weight"].value
    kept = weight.copy()
    weight[...] = np.nan
    steps = list(trainer.network.body.steps)
    take_steps(trainer, 1)
    assert trainer.network.body.steps == steps
    weight[...] = kept
    trainer.train_step(next(trainer.loader.batches(0)))
    assert trainer.progress.step == 1
    assert np.isfinite(trainer.network.values).all()


def test_fit_leaves_the_last_checkpoint(make_trainer, tmp_path):
    trainer = make_trainer(run_dir=tmp_path / "run")
    take = trainer.train_step

    def poisoned(batch):
        if trainer.progress.step == 7:
            trainer.network.parameters()["6.linear.bias"].value[0] = np.inf
        take(batch)

    trainer.train_step = poisoned
    with pytest.raises(NonFiniteError, match=r'step 7: .*"6\.linear"'):
        trainer.fit()
    newest = trainer.run.checkpoints.newest()
    assert newest.progress.step == 6
    assert all(np.isfinite(array).all() for array in newest.arrays.values())
