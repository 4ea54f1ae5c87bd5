"""Kernels are compiled side by side, before the first of them is launched."""

from pathlib import Path

import numpy as np
import pytest

from gpucnn.backends.devices.planner import PlanningDevice
from gpucnn.backends.kernel_backend import KernelBackend
from gpucnn.config import load_config
from gpucnn.errors import ConfigError
from gpucnn.inference import TrainedModel
from gpucnn.training.classification import Classification
from gpucnn.training.opened_checkpoint import open_checkpoint
from gpucnn.training.rehearsal import rehearse_without_data
from gpucnn.training.trainer import Trainer

CONFIGS = Path(__file__).parents[2] / "configs"
TEN = Classification.of_count(10)


def load(*overrides):
    few = ["model.width=2", "training.epochs=1", "training.batch_size=200", "data.validation=0.1"]
    return load_config(CONFIGS / "digits.toml", [*few, *overrides])


@pytest.fixture
def backend(kernel_backend, monkeypatch):
    """A backend without kernels, which writes down what was compiled ahead, and what was not."""
    device = kernel_backend.device
    backend = KernelBackend(device)
    backend.ahead, backend.late = set(), []
    compile_all, compile_one = device.compile_all, device.compile

    def watched_all(sources):
        backend.ahead.update(sources)
        compile_all(sources)

    def watched_one(source):
        if source not in backend.ahead:
            backend.late.append(source)
        return compile_one(source)

    monkeypatch.setattr(device, "compile_all", watched_all)
    monkeypatch.setattr(device, "compile", watched_one)
    return backend


@pytest.mark.parametrize(
    "overrides",
    [(), ("training.watch=true",), ("training.accumulate=2",), ("training.ema_decay=0.9",)],
)
def test_a_run_compiles_nothing_after_its_beginning(overrides, backend, monkeypatch):
    monkeypatch.setattr(backend.device, "free_memory", lambda: 2**30)  # enough for the images
    trainer = Trainer(load(*overrides), backend)
    trainer.prepare()
    planned = set(backend.ahead)
    batches = list(trainer.loader.batches(0))[-2:]
    several = trainer.config.training.accumulate
    for first in range(0, 2, several):
        trainer.train_step(*batches[first : first + several])
    trainer.evaluate("validation")
    trainer.evaluate("test")
    assert planned
    assert backend.ahead == planned
    assert backend.late == []


def test_an_evaluation_alone_compiles_side_by_side_what_it_takes(backend):
    trainer = Trainer(load(), backend)
    trainer.evaluate("test")
    assert backend.ahead
    assert backend.late == []
    assert not [source for source in backend.ahead if "grad" in source.file]


def test_so_does_a_prediction(backend, tmp_path):
    Trainer(load(), "numpy", tmp_path / "run").save()
    model = TrainedModel(open_checkpoint(tmp_path / "run"), backend)
    images = np.zeros((3, 8, 8, 1), np.uint8)
    model.predict(images)
    assert backend.ahead
    assert backend.late == []
    rehearsals = []
    backend.compile_ahead = rehearsals.append
    model.predict(images)
    assert rehearsals == []
    model.predict(images[:2])
    assert len(rehearsals) == 1


@pytest.mark.parametrize("free", [0, 2**30])  # too little for the images, and enough
def test_so_does_the_evaluation_of_a_trained_model(free, backend, monkeypatch, tmp_path):
    trainer = Trainer(load(), "numpy", tmp_path / "run")
    trainer.save()
    monkeypatch.setattr(backend.device, "free_memory", lambda: free)
    model = TrainedModel(open_checkpoint(tmp_path / "run"), backend)
    model.evaluate(trainer.test)
    assert backend.ahead
    assert backend.late == []


def test_shapes_are_enough(monkeypatch):
    """No image comes from the host, neither one of the data nor one made up."""
    from_host = []
    monkeypatch.setattr(PlanningDevice, "asarray", watched(PlanningDevice.asarray, from_host))
    rehearse_without_data(load(), KernelBackend(PlanningDevice()), (8, 8, 1), TEN)
    assert from_host
    assert all(len(shape) <= 2 for shape in from_host)


def watched(asarray, shapes):
    def watch(device, array):
        shapes.append(array.shape)
        return asarray(device, array)

    return watch


def test_crops_are_refused_as_in_a_run():
    config = load_config(CONFIGS / "digits.toml", ["augment.crop_padding=8"])
    with pytest.raises(ConfigError, match=r"crop_padding is 8; it must be less than .*8×8"):
        rehearse_without_data(config, KernelBackend(PlanningDevice()), (8, 8, 1), TEN)
