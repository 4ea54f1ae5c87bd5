"""Training on images that do not fit into memory: they come and go, and the waiting is recorded."""

import json
import shutil
import tracemalloc

import numpy as np
import pytest

from gpucnn import Trainer
from gpucnn.config import Config
from gpucnn.data import channel_statistics
from gpucnn.errors import DataError

SIDE, IMAGES = 160, 120
TABLES = {
    "seed": 3,
    "model": {
        "name": "sequential",
        "layers": [
            {"type": "conv2d", "filters": 2, "kernel": 8, "stride": 8},
            {"type": "relu"},
            {"type": "flatten"},
            {"type": "linear", "features": "classes"},
        ],
    },
    "optimizer": {"name": "sgd", "learning_rate": 0.01},
    "training": {"epochs": 1, "batch_size": 4, "evaluation_batch_size": 4},
}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Photos of one colour, which are small on the disk and large in memory."""
    image_module = pytest.importorskip("PIL.Image")
    folder, rng = tmp_path_factory.mktemp("streaming"), np.random.default_rng(1)
    for split, count in (("train", IMAGES), ("test", 8)):
        for number, name in enumerate(("dark", "light")):
            (folder / split / name).mkdir(parents=True)
            for image in range(count // 2):
                colour = rng.integers(0, 100, 3) + 150 * number
                path = folder / split / name / f"{image}.png"
                image_module.new("RGB", (SIDE, SIDE), tuple(map(int, colour))).save(path)
    return folder


def config_of(images, memory_limit_mb):
    data = {"name": "image_folder", "root": str(images), "workers": 0}
    return Config({**TABLES, "data": {**data, "memory_limit_mb": memory_limit_mb}})


def train(images, run_dir, memory_limit_mb):
    trainer = Trainer(config_of(images, memory_limit_mb), "numpy", run_dir)
    trainer.fit()
    rows = map(json.loads, (run_dir / "metrics.jsonl").read_text().splitlines())
    return trainer.network.state(), list(rows)


def test_a_folder_larger_than_the_limit_is_never_in_memory_as_a_whole(
    images, tmp_path, monkeypatch
):
    monkeypatch.setattr("gpucnn.data.statistics._CHUNK_BYTES", 1 << 18)
    size = IMAGES * SIDE * SIDE * 3
    tracemalloc.start()
    try:
        streamed, rows = train(images, tmp_path / "streamed", 0)
        _, peak = tracemalloc.get_traced_memory()
        assert peak < size
        tracemalloc.reset_peak()
        in_memory, rows_in_memory = train(images, tmp_path / "in_memory", 1000)
        _, peak = tracemalloc.get_traced_memory()
        assert peak > size
    finally:
        tracemalloc.stop()
    assert streamed.keys() == in_memory.keys()
    assert all(np.array_equal(streamed[name], in_memory[name]) for name in streamed)
    assert {"step", "wait_share"} < rows[0].keys()
    assert {"epoch", "wait_share"} < rows[-1].keys()
    assert all(0 < row["wait_share"] <= 1 for row in rows)
    assert all(row["wait_share"] == 0 for row in rows_in_memory)


@pytest.fixture
def measured(monkeypatch):
    """The data sets whose mean and deviation are taken."""
    asked = []

    def note(dataset):
        asked.append(dataset)
        return channel_statistics(dataset)

    monkeypatch.setattr("gpucnn.training.run_data.channel_statistics", note)
    return asked


def test_a_resumed_run_does_not_measure_its_images_again(images, tmp_path, measured):
    first = Trainer(config_of(images, 0), "numpy", tmp_path / "run")
    first.save()
    first.run.unlock()
    assert len(measured) == 1
    again = Trainer.resume(tmp_path / "run", "numpy")
    assert len(measured) == 1
    assert again.normalisation == first.normalisation


def test_of_other_images_it_does_and_refuses(images, tmp_path, measured):
    folder = shutil.copytree(images, tmp_path / "images")
    trainer = Trainer(config_of(folder, 0), "numpy", tmp_path / "run")
    trainer.save()
    trainer.run.unlock()
    shutil.copy(folder / "train" / "light" / "0.png", folder / "train" / "dark" / "0.png")
    with pytest.raises(DataError, match="mean"):
        Trainer.resume(tmp_path / "run", "numpy")
    assert len(measured) == 2
