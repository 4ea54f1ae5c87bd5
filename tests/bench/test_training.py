"""PyTorch's run is ours: the same inputs, and the same losses and accuracy from step to step."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from gpucnn.backends import get_backend
from gpucnn.bench.torch_device import TorchDevice
from gpucnn.bench.torch_training import TorchTraining
from gpucnn.bench.training import compare_training
from gpucnn.config import load_config
from gpucnn.errors import ConfigError
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
    for number, batch in enumerate(trainer.loader.batches(3)):
        theirs = torch._augmented(torch._train[torch._tensor(batch.indices)], batch)
        ours = pipeline.inputs(batch)
        # A multiplication and an addition, by factors near 1.
        bound = 4 * np.finfo(np.float32).eps * abs(ours).max()
        np.testing.assert_allclose(torch.device.array(theirs), ours, rtol=0, atol=bound)
        if number == 2:
            break


def test_a_run_ends_alike():
    ours, theirs = compare_training(load(), get_backend("numpy"), against_torch=True)
    assert (ours.name, theirs.name) == ("gpucnn", "torch")
    assert ours.seconds > 0.0
    assert theirs.seconds > 0.0
    # Rounding moves a few images over a border.
    assert abs(ours.accuracy - theirs.accuracy) <= 3 / 355


def test_what_has_no_counterpart_is_refused():
    config = load("training.clip_norm=1.0")
    backend = get_backend("numpy")
    with pytest.raises(ConfigError, match="clipping"):
        TorchTraining(config, config.load_data(), backend, TorchDevice(backend))
