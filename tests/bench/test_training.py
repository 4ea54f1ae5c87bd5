"""PyTorch's run is ours: the same inputs, and the same losses and accuracy from step to step."""

import math
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from gpucnn.backends import get_backend
from gpucnn.backends.numpy_backend import NumpyBackend
from gpucnn.bench import training
from gpucnn.bench.torch_device import TorchDevice
from gpucnn.bench.torch_training import TorchTraining
from gpucnn.bench.training import compare_training
from gpucnn.config import load_config
from gpucnn.errors import ConfigError
from gpucnn.training.classification import ClassificationResult
from gpucnn.training.input_pipeline import InputPipeline
from gpucnn.training.trainer import Trainer

CONFIGS = Path(__file__).parents[2] / "configs"


def load(*changes):
    return load_config(CONFIGS / "digits.toml", ["model.width=4", "training.epochs=1", *changes])


@pytest.mark.parametrize("change", ["augment.crop_padding=2", "augment.flip=true"])
def test_inputs_are_the_same(change):
    config = load(change)
    backend = get_backend("numpy")
    trainer = Trainer(config, backend)
    torch = TorchTraining(config, config.load_data(), backend, TorchDevice(backend))
    pipeline = InputPipeline(backend, trainer.normalisation)
    batches = zip(trainer.loader.batches(3), torch.loader.batches(3), strict=True)
    for mine, other in islice(batches, 3):
        theirs = torch._augmented(other)
        ours = pipeline.inputs(mine)
        # A multiplication and an addition, by factors near 1.
        bound = 4 * np.finfo(np.float32).eps * abs(ours).max()
        np.testing.assert_allclose(torch.device.array(theirs), ours, rtol=0, atol=bound)
        np.testing.assert_array_equal(torch._labels(other).numpy(), mine.labels)


def test_a_run_ends_alike():
    ours, theirs = compare_training(load(), get_backend("numpy"), against_torch=True)
    assert (ours.name, theirs.name) == ("gpucnn", "torch")
    assert ours.seconds > 0.0
    assert theirs.seconds > 0.0
    # Rounding moves a few images over a border.
    assert abs(ours.accuracy - theirs.accuracy) <= 3 / 355


def test_both_do_the_same_work(monkeypatch):
    """As many steps and evaluations, of the same images; and nothing is made ready meanwhile."""
    done = {"gpucnn": Counter(), "torch": Counter()}

    def watch(kind, method, name):
        real = getattr(kind, method)

        def counted(self, *arguments):
            done[name][method, timing] += 1
            return real(self, *arguments)

        monkeypatch.setattr(kind, method, counted)

    def timed(name, run, synchronise):
        nonlocal timing
        timing = True
        answer = real_timed(name, run, synchronise)
        timing = False
        return answer

    timing, real_timed = False, training._timed
    monkeypatch.setattr(training, "_timed", timed)
    watch(TorchTraining, "train_step", "torch")
    watch(TorchTraining, "evaluate", "torch")
    watch(Trainer, "train_step", "gpucnn")
    monkeypatch.setattr(
        "gpucnn.training.trainer.evaluate",
        lambda *_: (
            done["gpucnn"].update([("evaluate", timing)]) or ClassificationResult(np.eye(2), 0.0)
        ),
    )
    monkeypatch.setattr(ClassificationResult, "accuracy", 0.5)
    monkeypatch.setattr(
        NumpyBackend, "compile_ahead", lambda *_: done["gpucnn"].update([("rehearse", timing)])
    )
    config = load("training.epochs=2")
    list(compare_training(config, get_backend("numpy"), against_torch=True))
    steps = 2 * math.ceil(len(config.load_data().train) / config.training.batch_size)
    for name in ("gpucnn", "torch"):
        assert done[name]["train_step", True] == steps
        assert done[name]["evaluate", True] == 3
        assert done[name]["train_step", False] == 2  # of both sizes
    assert done["gpucnn"]["rehearse", False] > 0
    assert done["gpucnn"]["rehearse", True] == 0


def test_each_run_is_told_when_it_is_done(monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "_theirs", killed)
    runs = compare_training(load(), get_backend("numpy"), against_torch=True)
    assert next(runs).name == "gpucnn"
    with pytest.raises(KeyboardInterrupt):
        next(runs)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.clip_norm=1.0", "clipping"),
        ("training.accumulate=2", "one batch"),
        ("training.ema_decay=0.9", "no average"),
    ],
)
def test_what_has_no_counterpart_is_refused(override, message):
    config = load(override)
    backend = get_backend("numpy")
    with pytest.raises(ConfigError, match=message):
        TorchTraining(config, config.load_data(), backend, TorchDevice(backend))
