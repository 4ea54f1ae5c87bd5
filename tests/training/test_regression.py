"""Regression: a network learns numbers, which come out in their units."""

import json
import math

import numpy as np
import pytest
from discs import NAMES, disc_pair, discs

from gpucnn.config import Config, apply_overrides
from gpucnn.data import ArrayDataset, Normalisation, digits
from gpucnn.errors import ConfigError, DataError
from gpucnn.inference import load
from gpucnn.losses import Huber, MeanSquaredError, SoftmaxCrossEntropy
from gpucnn.training.display import Display
from gpucnn.training.regression import RegressionResult
from gpucnn.training.trainer import Trainer

TABLES = {
    "seed": 7,
    "data": {"name": "digits"},
    "model": {
        "name": "sequential",
        "layers": [
            {"type": "conv2d", "filters": 8, "kernel": 3, "stride": 2, "padding": 1},
            {"type": "relu"},
            {"type": "flatten"},
            {"type": "linear", "features": 32},
            {"type": "relu"},
            {"type": "linear", "features": "classes"},
        ],
    },
    "loss": {"name": "mean_squared_error"},
    "optimizer": {"name": "adam", "learning_rate": 0.01},
    "training": {"epochs": 2, "batch_size": 25, "evaluation_batch_size": 30},
}


def config(*overrides):
    return Config(apply_overrides(TABLES, overrides))


@pytest.fixture(autouse=True)
def disc_data(monkeypatch):
    """Every config reads discs, also that of a resumed run."""
    pair = disc_pair()
    monkeypatch.setattr(Config, "load_data", lambda self: pair)  # noqa: ARG005
    return pair


@pytest.mark.parametrize("loss", ["mean_squared_error", "huber"])
def test_a_formula_is_learned_and_predicted_in_its_units(disc_data, tmp_path, loss):
    overrides = (f"loss.name={loss}", "training.epochs=10", "schedule.name=one_cycle")
    trainer = Trainer(config(*overrides), "numpy", tmp_path / "run")
    result = trainer.fit()
    assert result.r2 >= 0.99
    assert min(result.target_r2()) >= 0.99

    model, test = load(tmp_path / "run", "numpy"), disc_data.test
    predicted = model.predict(test.images(np.arange(len(test))))
    assert (model.task.names, model.classes) == (NAMES, ())
    np.testing.assert_allclose(predicted, result.predictions, rtol=1e-6)
    errors = predicted.astype(float) - test.targets
    rmse = [math.sqrt(sum(e * e for e in column) / len(test)) for column in errors.T]
    assert rmse[0] < 0.1 * 0.9  # of a deviation of 3 / √12
    assert rmse[1] < 0.1 * 145  # and of 500 / √12

    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["targets"]["radius"]["rmse"] == pytest.approx(rmse[0], rel=1e-4)
    assert report["targets"]["x"]["rmse"] == pytest.approx(rmse[1], rel=1e-4)
    assert report["n"] == 100
    assert np.shape(report["true"]) == np.shape(report["predicted"]) == (100, 2)
    again = model.evaluate(test)
    assert (again.r2, again.loss) == (pytest.approx(result.r2), pytest.approx(result.loss))


def test_rows_of_metrics_have_r2_of_both_splits_and_rmse(tmp_path):
    trainer = Trainer(config("data.validation=0.25"), "numpy", tmp_path / "run")
    trainer.fit()
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if "epoch" in row]
    assert list(rows[0]) == [
        *("epoch", "step", "train_loss", "train_r2"),
        *("validation_loss", "validation_r2", "validation_rmse"),
        *("wait_share", "seconds"),
    ]
    # The loss is of normalised numbers, whose variance is 1.
    assert rows[0]["train_r2"] == pytest.approx(1 - rows[0]["train_loss"], abs=1e-6)
    best = min(rows, key=lambda row: row["validation_loss"])
    assert trainer.progress.best_accuracy == -best["validation_loss"]
    assert trainer.progress.best_step == best["step"]


def test_an_epoch_is_shown_with_r2(capsys):
    Trainer(config(), "numpy", display=Display()).fit()
    header, first, *_ = capsys.readouterr().out.splitlines()
    assert header.split() == [*("epoch", "train", "loss", "R²", "test", "loss", "R²", "seconds")]
    assert len(first) == len(header)


@pytest.mark.parametrize("on", [True, False])
def test_targets_are_normalised_by_those_that_are_trained_on(on, tmp_path):
    changes = ("data.validation=0.5", f"data.normalise_targets={str(on).lower()}")
    trainer = Trainer(config(*changes), "numpy", tmp_path / "run")
    train = trainer.loader.dataset.targets.astype(float)
    card = trainer.run.card()
    assert (card.classes, card.target_names) == ((), NAMES)
    if on:
        np.testing.assert_allclose(card.target_normalisation.mean, train.mean(axis=0))
        np.testing.assert_allclose(card.target_normalisation.std, train.std(axis=0))
    else:
        assert card.target_normalisation == Normalisation((0.0, 0.0), (1.0, 1.0))
    batch = next(trainer.loader.batches(0))
    target, judged = trainer.pipeline.truth(batch, trainer.loss)
    assert target is judged
    mean, std = map(np.array, (card.target_normalisation.mean, card.target_normalisation.std))
    np.testing.assert_array_equal(target, ((batch.targets - mean) / std).astype(np.float32))
    # Predicting the mean has an R² of 0, in the totals of an epoch too.
    steps = len(train) * ((train - mean) / std).var(axis=0).mean()
    assert trainer.task.means((1.0, steps), len(train))["r2"] == pytest.approx(0, abs=1e-9)


def test_a_resumed_run_ends_with_the_same_bits(tmp_path, outcome):
    changes = ("loss.name=huber", "data.validation=0.2", "training.epochs=3")
    changes += ("checkpoint.every_steps=5",)
    Trainer(config(*changes), "numpy", tmp_path / "whole").fit()
    stopped = Trainer(config(*changes), "numpy", tmp_path / "stopped")
    taken, train_step = [], stopped.train_step

    def failing(*batches):
        train_step(*batches)
        taken.append(None)
        if len(taken) == 17:
            raise MemoryError

    stopped.train_step = failing
    with pytest.raises(MemoryError):
        stopped.fit()
    resumed = Trainer.resume(tmp_path / "stopped", "numpy")
    assert resumed.progress.step == 17
    resumed.fit()
    assert outcome(tmp_path / "stopped") == outcome(tmp_path / "whole")


def test_a_run_goes_on_with_its_own_targets_alone(disc_data, tmp_path, monkeypatch):
    Trainer(config(), "numpy", tmp_path / "run").run.unlock()
    train = discs(400, 1)
    train.targets[3, 0] += 1
    changed = type(disc_data)(train, disc_data.test)
    monkeypatch.setattr(Config, "load_data", lambda self: changed)  # noqa: ARG005
    with pytest.raises(DataError, match="the run began with targets of mean"):
        Trainer.resume(tmp_path / "run", "numpy")


def test_a_model_refuses_data_about_something_else(tmp_path):
    Trainer(config(), "numpy", tmp_path / "run").fit()
    model, some = load(tmp_path / "run", "numpy"), discs(10, 3)
    arrays = some.images(np.arange(10)), some.labels
    other = ArrayDataset(*arrays, (), targets=some.targets, target_names=("radius", "y"))
    with pytest.raises(DataError, match="about radius, y, and the model predicts radius, x"):
        model.evaluate(other)
    with pytest.raises(DataError, match="about classes, and the model predicts radius, x"):
        model.evaluate(ArrayDataset(*arrays, ("a", "b")))


def test_a_loss_for_classes_is_refused_before_there_is_a_folder(tmp_path):
    with pytest.raises(ConfigError, match=r'"softmax_cross_entropy" is for classes.*"huber"'):
        Trainer(config("loss.name=softmax_cross_entropy"), "numpy", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_loss_for_numbers_is_refused_for_classes(tmp_path):
    with pytest.raises(ConfigError, match=r'"huber" is for numbers.*"softmax_cross_entropy"'):
        Trainer(config("loss.name=huber"), "numpy", tmp_path / "run", data=digits())
    assert not (tmp_path / "run").exists()


def test_a_watched_run_says_nothing_of_chance(tmp_path, capsys):
    changes = ("training.watch=true", "training.epochs=4", "optimizer.learning_rate=1e-9")
    Trainer(config(*changes), "numpy", tmp_path / "run", display=Display()).fit()
    out = capsys.readouterr().out
    assert "watch: the loss does not move" in out
    assert "chance" not in out


def test_figures_of_a_result_by_hand():
    true = np.array([[1.0, 7.0], [2.0, 7.0], [6.0, 7.0]])
    errors = np.array([[1, 0], [-1, 3], [0, 0]])
    result = RegressionResult(true, true + errors, loss=0.25)
    # About the mean 3: 4 + 1 + 9; the second target never changes.
    assert result.target_r2() == [pytest.approx(1 - 2 / 14), None]
    assert result.target_rmse() == [pytest.approx(math.sqrt(2 / 3)), pytest.approx(math.sqrt(3))]
    assert result.rmse == pytest.approx(math.sqrt(11 / 6))
    assert result.figures() == {"loss": 0.25, "r2": result.target_r2()[0], "rmse": result.rmse}
    alike = RegressionResult(true[:, 1:], true[:, 1:], loss=0.0)
    assert (alike.r2, alike.rmse) == (None, 0.0)
    assert "R² -" in alike.text


def test_a_long_report_lists_2000_samples():
    numbers = np.arange(5000.0)[:, None]
    answer = RegressionResult(numbers, numbers, 0.0).as_json(("n",))
    assert len(answer["true"]) == 2000
    assert (answer["true"][0], answer["true"][-1]) == ([0.0], [4999.0])


def test_a_target_that_never_changes_is_reported(capsys, monkeypatch, tmp_path):
    pair = disc_pair(30, 10)
    for split in (pair.train, pair.test):
        split.targets[:, 1] = 3
    monkeypatch.setattr(Config, "load_data", lambda self: pair)  # noqa: ARG005
    trainer = Trainer(config(), "numpy", tmp_path / "run")
    assert "x has the same value for all training images" in capsys.readouterr().err
    assert trainer.task.target_normalisation.mean[1] == 3.0
    assert trainer.task.target_normalisation.std[1] == 1.0
    assert trainer.fit().target_r2()[1] is None


def test_losses_say_what_they_are_for():
    assert [(loss.takes_classes, loss.takes_numbers) for loss in
            (SoftmaxCrossEntropy, MeanSquaredError, Huber)] == [
        (True, False), (True, True), (False, True)]  # fmt: skip
    for delta in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ConfigError, match="delta is"):
            Huber(delta)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["mean_squared_error", "huber"])
def test_kernels_train_to_the_same(kernel_backend, loss):
    """Two epochs, their evaluations and the last one; roundings alone differ."""
    linear = [{"type": "flatten"}, {"type": "linear", "features": "classes"}]
    tables = {**TABLES, "loss": {"name": loss}, "model": {"name": "sequential", "layers": linear}}
    expected, result = (
        Trainer(Config(tables), backend, data=disc_pair(60, 20)).fit()
        for backend in ("numpy", kernel_backend)
    )
    np.testing.assert_allclose(result.predictions, expected.predictions, rtol=1e-3)
    assert result.loss == pytest.approx(expected.loss, rel=1e-3)


def test_patience_counts_by_the_loss(tmp_path, capsys):
    """The first validation is the best so far, however large its loss is."""
    changes = ("data.validation=0.25", "data.normalise_targets=false", "training.epochs=9")
    changes += ("training.patience=2", "training.min_delta=1", "optimizer.learning_rate=1e-9")
    trainer = Trainer(config(*changes), "numpy", tmp_path / "run", display=Display())
    trainer.fit()
    assert trainer.progress.best_accuracy < -1e4
    assert trainer.progress.best_step > 0
    assert trainer.progress.epoch == 3
    assert "the validation loss has not improved" in capsys.readouterr().out
