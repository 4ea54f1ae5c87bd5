"""A trained model: its probabilities are those of its network, and what it cannot take."""

from dataclasses import replace

import numpy as np
import pytest

from gpucnn.backends import why_unavailable
from gpucnn.config import Config
from gpucnn.data import ArrayDataset
from gpucnn.data.views import VIEWS
from gpucnn.errors import CheckpointError, ConfigError, DataError, ShapeError
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


@pytest.mark.parametrize("tta", VIEWS)
def test_probabilities_over_views_are_means(model, rng, tta):
    """Of images that are moved by hand; so are those that an evaluation counts."""
    images = rng.integers(0, 256, (600, 8, 8, 1), np.uint8)
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    places = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2)) if "shift" in tta else ((1, 1),)
    moved = [padded[:, top : top + 8, left : left + 8] for top, left in places]
    if "flip" in tta:
        moved += [view[:, :, ::-1] for view in moved]
    alone = [model.predict(np.ascontiguousarray(view)) for view in moved]
    expected = np.mean(alone, axis=0, dtype=np.float64)
    found = model.predict(images, tta=tta)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    assert abs(found - alone[0]).max() > 0.01
    labels = rng.integers(0, 10, 600).astype(np.int32)
    result = model.evaluate(ArrayDataset(images, labels, model.classes), tta=tta)
    assert result.correct == (found.argmax(axis=1) == labels).sum()
    losses = -np.log(expected[np.arange(600), labels])
    assert result.loss == pytest.approx(losses.mean(), rel=1e-5)


def test_other_views_are_refused(model):
    images = np.zeros((2, 8, 8, 1), np.uint8)
    with pytest.raises(ConfigError, match='tta is "flips"; did you mean "flip"'):
        model.predict(images, tta="flips")


def test_the_kernels_average_alike(tmp_path, model, rng):
    if why_unavailable("emulator"):
        pytest.skip("no emulator")
    images = rng.integers(0, 256, (5, 8, 8, 1), np.uint8)
    kernels = load(tmp_path / "run", "emulator")
    found = kernels.predict(images, tta="flip+shift")
    np.testing.assert_allclose(found, model.predict(images, tta="flip+shift"), atol=1e-6)
