"""What tests of training share: a data set and a model so small that a run takes a moment."""

import json

import numpy as np
import pytest

from gpucnn.config import Config, apply_overrides
from gpucnn.data import ArrayDataset, DatasetPair, digits
from gpucnn.training.trainer import Trainer

TABLES = {
    "seed": 7,
    "data": {"name": "digits", "validation": 0.2},
    "augment": {"flip": True, "crop_padding": 1},
    "model": {
        "name": "sequential",
        "layers": [
            {"type": "conv2d", "filters": 4, "kernel": 3, "padding": 1},
            {"type": "batch_norm2d"},
            {"type": "relu"},
            {"type": "max_pool2d", "window": 2},
            {"type": "flatten"},
            {"type": "dropout", "rate": 0.2},
            {"type": "linear", "features": "classes"},
        ],
    },
    "optimizer": {"name": "adamw", "learning_rate": 0.01},
    "schedule": {"name": "cosine"},
    "training": {"epochs": 3, "batch_size": 28, "evaluation_batch_size": 16, "clip_norm": 5.0},
    "checkpoint": {"every_steps": 3},
}
"""Whatever may break an exact resume: augmentation, dropout, running statistics, a schedule, a
validation split, an optimizer with state, a last batch that is smaller."""


@pytest.fixture(scope="session")
def tiny_pair():
    """120 images to train on and 40 to test on."""
    pair = digits()

    def first(dataset, count):
        places = np.arange(count)
        return ArrayDataset(dataset.images(places), dataset.labels[places], dataset.classes)

    return DatasetPair(first(pair.train, 120), first(pair.test, 40))


@pytest.fixture(scope="session")
def make_config():
    """A config from the tables above, with ``key=value`` changes."""
    return lambda *overrides: Config(apply_overrides(TABLES, overrides))


@pytest.fixture
def tiny_data(tiny_pair, monkeypatch):
    """Every config reads the tiny data set, also that of a resumed run."""
    monkeypatch.setattr(Config, "load_data", lambda self: tiny_pair)  # noqa: ARG005


@pytest.fixture
def make_trainer(tiny_data, make_config):  # noqa: ARG001
    """A trainer on the tiny data."""

    def make(*overrides, run_dir=None, **options):
        return Trainer(make_config(*overrides), "numpy", run_dir, **options)

    return make


@pytest.fixture(scope="session")
def outcome():
    """All that a run leaves behind, as far as it does not depend on the clock."""

    def read(run_dir):
        lines = (run_dir / "metrics.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        for row in rows:
            row.pop("seconds", None)
        last = max(run_dir.glob("checkpoints/*.json"))
        best = json.loads(last.read_text())["progress"]["best_step"]
        best_arrays = run_dir / "checkpoints" / f"step-{best:08d}.safetensors"
        return {
            "metrics": rows,
            "last": (last.name, last.with_suffix(".safetensors").read_bytes()),
            "best": (best, best_arrays.read_bytes() if best >= 0 else b""),
            "report": (run_dir / "report.json").read_bytes(),
        }

    return read
