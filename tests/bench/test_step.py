"""What a step that is timed does; on how long it takes there is nothing to test."""

import numpy as np
import pytest

from gpucnn.backends import get_backend
from gpucnn.bench import step as module
from gpucnn.bench.step import compare_steps
from gpucnn.bench.torch_device import TorchDevice, has_torch
from gpucnn.config import Config
from gpucnn.training.classification import Classification

LIMIT = 0.05
"""Between the smallest and the largest element of the first steps' gradient, as is checked."""


def config(**clipping):
    layers = [{"type": "flatten"}, {"type": "linear", "features": "classes"}]
    return Config(
        {
            "data": {"name": "digits"},
            "model": {"name": "sequential", "layers": layers},
            "optimizer": {"name": "sgd", "learning_rate": 0.01},
            "training": {"batch_size": 4, **clipping},
        }
    )


def timed_gradients(monkeypatch, maker, gradients, clipping, against_torch):
    """The gradients that the last timed step left, of each network that ``maker`` made."""
    made, make = [], getattr(module, maker)

    def noted(*args, **options):
        made.append(make(*args, **options))
        return made[-1]

    monkeypatch.setattr(module, maker, noted)
    numpy = get_backend("numpy")
    three = Classification.of_count(3)
    compare_steps(config(**clipping), (4, 4, 1), three, numpy, against_torch, repetitions=2)
    return [gradients(one) for one in made]


def of_ours(network):
    return network.gradients


def of_torch(module):
    return np.concatenate([p.grad.numpy().ravel() for p in module.parameters()])


def check(monkeypatch, *contestant):
    for free in timed_gradients(monkeypatch, *contestant[:2], {}, contestant[2]):
        assert abs(free).min(where=free != 0, initial=1.0) < LIMIT < abs(free).max()
    by_value = {"clip_value": LIMIT}
    for gradient in timed_gradients(monkeypatch, *contestant[:2], by_value, contestant[2]):
        assert abs(gradient).max() == pytest.approx(LIMIT)
    both = {"clip_value": LIMIT, "clip_norm": LIMIT / 2}
    for gradient in timed_gradients(monkeypatch, *contestant[:2], both, contestant[2]):
        assert np.linalg.norm(gradient) == pytest.approx(LIMIT / 2, rel=1e-3)
        assert np.sum(abs(gradient) == abs(gradient).max()) > 1  # many were at the bound


def test_clips_as_the_config_says(monkeypatch):
    check(monkeypatch, "Network", of_ours, False)


@pytest.mark.skipif(not has_torch(), reason="PyTorch is not installed")
def test_torch_clips_as_the_config_says(monkeypatch):
    check(monkeypatch, "to_torch", of_torch, True)


@pytest.mark.skipif(not has_torch(), reason="PyTorch is not installed")
def test_torch_also_steps_as_it_does_by_itself(monkeypatch):
    """On a GPU with TF32, each memory format twice; the ratio is that of true FP32."""

    class WithTf32(TorchDevice):
        def __init__(self, backend):
            super().__init__(backend)
            self.has_tf32 = True

    three = Classification.of_count(3)
    given = config(), (4, 4, 1), three, get_backend("numpy"), True, 2
    assert [one.name for one in compare_steps(*given).torch] == ["contiguous", "channels_last"]
    monkeypatch.setattr(module, "TorchDevice", WithTf32)
    result = compare_steps(*given)
    assert [one.name for one in result.torch] == [
        "contiguous", "contiguous, TF32", "channels_last", "channels_last, TF32",
    ]  # fmt: skip
    assert result.as_json()["ratio"] == result.ratio(result.torch[0])
