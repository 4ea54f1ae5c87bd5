"""ResNets of PyTorch's names, saved with safetensors, give the same logits here."""

import numpy as np
import pytest

from gpucnn.backends import get_backend
from gpucnn.config import Config
from gpucnn.layers import Network
from gpucnn.training.initial_weights import load_weights
from gpucnn.training.weight_files import open_weights

torch = pytest.importorskip("torch")
from peers.torch_resnet import randomise, resnet  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

CLASSES = 7
TOLERANCE = 1e-4
"""Of logits, relative to the largest; FP32 rounds to 6e-8, through up to 50 layers."""


def config_of(name, **options):
    return Config(
        {
            "data": {"name": "digits"},
            "model": {"name": name, "small_images": False, **options},
            "optimizer": {"name": "sgd", "learning_rate": 0.1},
        }
    )


def loaded(config, path, size, classes=CLASSES, backend=None):
    """A network with the file's weights, and what was loaded."""
    network = Network(
        config.build_model(),
        (size, size, 3),
        classes,
        backend or get_backend("numpy"),
        draw_weights=False,
    )
    names = tuple(map(str, range(classes)))
    return network, load_weights(network, open_weights(str(path)), config, names)


def assert_same_logits(module, network, rng, size):
    x = rng.standard_normal((2, size, size, 3)).astype(np.float32)
    with torch.no_grad():
        expected = module(torch.from_numpy(x.transpose(0, 3, 1, 2).copy())).numpy()
    network.infer()
    scores = network.backend.to_numpy(network.forward(network.backend.asarray(x)))
    assert abs(expected).max() > 0.1
    np.testing.assert_allclose(scores, expected, rtol=0, atol=TOLERANCE * abs(expected).max())


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
def test_the_same_logits(name, rng, tmp_path):
    """At 65 pixels, so that paddings and strides meet odd sides."""
    module = randomise(resnet(name, CLASSES))
    save_file(module.state_dict(), tmp_path / "weights.safetensors")
    network, report = loaded(config_of(name), tmp_path / "weights.safetensors", 65)
    assert (report.anew, report.unused) == ([], [])
    assert network.parameter_count() == sum(p.numel() for p in module.parameters())
    assert_same_logits(module, network, rng, 65)


@pytest.mark.slow
def test_with_our_kernels(rng, tmp_path, kernel_backend):
    """Narrow, for the emulator."""
    module = randomise(resnet("resnet18", CLASSES, width=2))
    save_file(module.state_dict(), tmp_path / "weights.safetensors")
    config, path = config_of("resnet18", width=2), tmp_path / "weights.safetensors"
    network, report = loaded(config, path, 33, backend=kernel_backend)
    assert (report.anew, report.unused) == ([], [])
    assert_same_logits(module, network, rng, 33)


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64"])
def test_other_precisions(kind, rng, tmp_path):
    module = randomise(resnet("resnet18", CLASSES, width=4).to(getattr(torch, kind)).float())
    dtype = getattr(torch, kind)
    state = {name: tensor.to(dtype) for name, tensor in module.state_dict().items()}
    save_file(state, tmp_path / "weights.safetensors")
    module.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    network, _ = loaded(config_of("resnet18", width=4), tmp_path / "weights.safetensors", 33)
    assert_same_logits(module, network, rng, 33)


def test_another_number_of_classes(tmp_path):
    save_file(resnet("resnet18", 1000, width=4).state_dict(), tmp_path / "weights.safetensors")
    _, report = loaded(config_of("resnet18", width=4), tmp_path / "weights.safetensors", 33)
    assert report.anew == ["21.linear"]
    assert report.unused == []
    assert "1 anew" in report.line or "21.linear anew" in report.line


def test_a_stem_for_small_images_starts_anew(tmp_path):
    save_file(resnet("resnet34", CLASSES, width=4).state_dict(), tmp_path / "weights.safetensors")
    config = config_of("resnet34", width=4, small_images=True)
    _, report = loaded(config, tmp_path / "weights.safetensors", 33)
    assert report.anew == ["0.conv2d"]


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
def test_resnets_of_timm(name, rng, tmp_path):
    timm = pytest.importorskip("timm")
    module = randomise(timm.create_model(name, num_classes=CLASSES))
    save_file(module.state_dict(), tmp_path / "weights.safetensors")
    network, report = loaded(config_of(name), tmp_path / "weights.safetensors", 65)
    assert (report.anew, report.unused) == ([], [])
    assert_same_logits(module, network, rng, 65)
