"""What would end a run in its middle is found before it begins, and before it leaves a folder."""

import numpy as np
import pytest

from gpucnn.config import Config
from gpucnn.data import ArrayDataset, DatasetPair
from gpucnn.errors import BackendError, ConfigError, DataError, ShapeError
from gpucnn.training.preflight import check_length
from gpucnn.training.trainer import Trainer

NORM = [{"type": "batch_norm2d"}]
TO_A_PIXEL = [{"type": "conv2d", "filters": 4, "kernel": 2}]
SCORES = [{"type": "flatten"}, {"type": "linear", "features": "classes"}]
MODELS = {
    "plain": ([*TO_A_PIXEL, *NORM, *SCORES], "1.batch_norm2d"),
    "with a ReLU": ([*TO_A_PIXEL, *NORM, {"type": "relu"}, *SCORES], "1.batch_norm2d"),
    "in a residual block": (
        [
            *TO_A_PIXEL,
            {
                "type": "residual",
                "body": [{"type": "conv2d", "filters": 4, "kernel": 1}, *NORM],
                "shortcut": [],
            },
            {"type": "relu"},
            *SCORES,
        ],
        "1.residual.body.1.batch_norm2d",
    ),
    "after a global pooling": (
        [{"type": "conv2d", "filters": 4, "kernel": 1}, {"type": "max_pool2d", "window": "global"},
         *NORM, *SCORES],
        "2.batch_norm2d",
    ),
}  # fmt: skip


def pair(train, test=4):
    """So many images of 2×2 pixels."""

    def images(count):
        rng = np.random.default_rng(count)
        labels = np.arange(count, dtype=np.int32) % 2
        return ArrayDataset(rng.integers(0, 256, (count, 2, 2, 3), np.uint8), labels, ("a", "b"))

    return DatasetPair(images(train), images(test))


def config(layers, **tables):
    training = {"epochs": 1, "batch_size": 17, **tables.pop("training", {})}
    return Config(
        {
            "data": {"name": "digits", **tables.pop("data", {})},
            "model": {"name": "sequential", "layers": layers},
            "optimizer": {"name": "sgd", "learning_rate": 0.01},
            "training": training,
            **tables,
        }
    )


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("fuse", [True, False])
def test_a_last_batch_of_one_pixel(name, fuse, tmp_path):
    layers, layer = MODELS[name]
    chosen = config(layers, training={"fuse": fuse})
    with pytest.raises(ConfigError) as raised:
        Trainer(chosen, "numpy", tmp_path / "run", data=pair(18))
    assert str(raised.value) == (
        f"training.batch_size = 17: with 18 images for training, the last batch of an epoch has "
        f'one image, from which layer "{layer}" gets one value per channel; batch normalisation '
        f"needs two or more. Use 16 or 18 instead"
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("samples", "size", "advice"),
    [
        (18, 17, "Use 16 or 18 instead"),
        (17, 16, "Use 15 or 17 instead"),
        (4, 1, "Use 2 instead"),
        (4, 3, "Use 2 or 4 instead"),
        (3, 2, "Use 3 instead"),
        (1, 5, "Use more images"),
    ],
)
def test_the_advice_works(samples, size, advice):
    layers, _ = MODELS["plain"]
    with pytest.raises(ConfigError) as raised:
        Trainer(config(layers, training={"batch_size": size}), "numpy", data=pair(samples))
    assert str(raised.value).endswith(advice)
    for number in (int(word) for word in advice.split() if word.isdigit()):
        chosen = config(layers, training={"batch_size": number})
        Trainer(chosen, "numpy", data=pair(samples)).fit()


@pytest.mark.parametrize("samples", range(2, 20))
@pytest.mark.parametrize("size", [1, 2, 5, 17])
def test_it_is_refused_just_where_a_step_would_fail(samples, size, monkeypatch):
    """Against the steps themselves."""
    layers, _ = MODELS["plain"]
    chosen = config(layers, training={"batch_size": size})
    with monkeypatch.context() as without:
        without.setattr("gpucnn.training.trainer.check_batches", lambda *_: None)
        trainer = Trainer(chosen, "numpy", data=pair(samples))
    try:
        for batch in trainer.loader.batches(0):
            trainer.train_step(batch)
        fails = False
    except ShapeError:
        fails = True
    try:
        Trainer(chosen, "numpy", data=pair(samples))
        refused = False
    except ConfigError:
        refused = True
    assert refused == fails


def test_more_pixels_need_no_more_images():
    layers = [{"type": "conv2d", "filters": 4, "kernel": [2, 1]}, *NORM, *SCORES]
    Trainer(config(layers), "numpy", data=pair(18)).fit()


def test_a_validation_share_counts(tmp_path):
    """What is left of 36 images is 18."""
    layers, _ = MODELS["plain"]
    chosen = config(layers, data={"validation": 0.5})
    with pytest.raises(ConfigError, match="with 18 images"):
        Trainer(chosen, "numpy", tmp_path / "run", data=pair(36))


@pytest.mark.parametrize(("train", "test", "name"), [(0, 4, "training"), (4, 0, "test")])
def test_a_split_without_images(train, test, name):
    with pytest.raises(DataError, match=f"the {name} split has no images"):
        Trainer(config(SCORES), "numpy", data=pair(train, test))


def test_more_steps_than_can_be_counted():
    check_length(2**31 - 1, 1)
    with pytest.raises(ConfigError, match="2,147,483,648 epochs of 1 steps are more than"):
        check_length(2**31, 1)
    many = config(SCORES, training={"epochs": 10**6, "batch_size": 1})
    with pytest.raises(ConfigError, match=r"lower training\.epochs"):
        Trainer(many, "numpy", data=pair(2200))


@pytest.mark.parametrize("schedule", [
    {"name": "constant", "warmup_epochs": 1e308},
    {"name": "step", "every_epochs": 1e308},
    {"name": "step", "every_epochs": 1e-308},
    {"name": "cosine", "warmup_epochs": 1.7e308},
])  # fmt: skip
def test_schedules_of_any_length(schedule):
    """Numbers of steps that a float cannot hold."""
    Trainer(config(SCORES, schedule=schedule), "numpy", data=pair(40)).fit()


def test_kernels_that_do_not_compile_leave_no_folder(tmp_path, monkeypatch):
    def broken(*_):
        raise BackendError("mine.cu does not compile")

    monkeypatch.setattr("gpucnn.backends.numpy_backend.NumpyBackend.compile_ahead", broken)
    with pytest.raises(BackendError):
        Trainer(config(SCORES), "numpy", tmp_path / "run", data=pair(18))
    assert not (tmp_path / "run").exists()
