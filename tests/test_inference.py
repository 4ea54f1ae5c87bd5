"""A trained model: its probabilities are those of its network, and what it cannot take."""

from dataclasses import replace

import numpy as np
import pytest

from gpucnn.config import Config
from gpucnn.data import ArrayDataset
from gpucnn.errors import CheckpointError, DataError, ShapeError
from gpucnn.inference import TrainedModel, load
from gpucnn.training.opened_checkpoint import open_checkpoint
from gpucnn.training.trainer import Trainer

LAYERS = [{"type": "flatten"}, {"type": "linear", "features": "classes"}]


@pytest.fixture
def model(tmp_path):
    config = Config(
        {
            "data": {"name": "digits", "normalise": False},
            "model": {"name": "sequential", "layers": LAYERS},
            "optimizer": {"name": "sgd", "learning_rate": 0.1},
        }
    )
    Trainer(config, "numpy", tmp_path / "run").save()
    return load(tmp_path / "run", "numpy")


def test_an_evaluation_counts_its_own_predictions(model, rng):
    images = rng.integers(0, 256, (700, 8, 8, 1), dtype=np.uint8)
    labels = rng.integers(0, 10, 700).astype(np.int32)
    before = model.predict(images)
    result = model.evaluate(ArrayDataset(images, labels, model.classes))
    assert result.correct == (before.argmax(axis=1) == labels).sum()
    assert result.loss == pytest.approx(-np.log(before[np.arange(700), labels]).mean(), rel=1e-5)
    np.testing.assert_array_equal(model.predict(images), before)


def test_an_evaluation_refuses_other_data(model):
    images, labels = np.zeros((2, 8, 8, 1), np.uint8), np.zeros(2, np.int32)
    for shape, classes, message in (
        ((2, 8, 9, 1), model.classes, "8×9×1, and the model takes 8×8×1"),
        ((2, 8, 8, 1), model.classes[::-1], "number 0, 9 in the data and 0 in the model"),
        ((2, 8, 8, 1), model.classes[:9], "number 9, nothing in the data and 9 in the model"),
    ):
        dataset = ArrayDataset(np.resize(images, shape), labels, classes)
        with pytest.raises(DataError, match=message):
            model.evaluate(dataset)


def test_probabilities_are_a_softmax_of_the_scores(model, rng):
    images = rng.integers(0, 256, (3, 8, 8, 1), dtype=np.uint8)
    values = {name.rpartition(".")[2]: p.value for name, p in model.network.parameters().items()}
    scores = images.reshape(3, 64) / 255.0 @ values["weight"].T + values["bias"]
    expected = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict(images), expected, rtol=1e-5)


@pytest.mark.parametrize("count", [0, 1, 501])
def test_shape_and_dtype(model, count):
    probabilities = model.predict(np.zeros((count, 8, 8, 1), np.uint8))
    assert (probabilities.shape, probabilities.dtype) == ((count, 10), np.float32)


def test_refuses_other_images(model):
    for images in (np.zeros((2, 8, 9, 1), np.uint8), np.zeros((2, 8, 8, 1), np.float32)):
        with pytest.raises(ShapeError, match="this model takes uint8"):
            model.predict(images)


@pytest.mark.usefixtures("model")
def test_a_model_that_does_not_take_its_images_is_named(tmp_path):
    opened = open_checkpoint(tmp_path / "run")
    tables = {**opened.config.tables, "model": {"name": "sequential", "layers": LAYERS[1:]}}
    other = replace(opened, config=Config(tables))
    with pytest.raises(CheckpointError, match=r"step-00000000\.json cannot be used: layer"):
        TrainedModel(other, "numpy")
