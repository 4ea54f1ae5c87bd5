"""Soft labels from an npz file, trained on as PyTorch trains on them."""

import numpy as np
import pytest

from gpucnn.config import Config
from gpucnn.training.trainer import Trainer

SIDE, CLASSES, COUNT, RATE = 4, 3, 24, 0.3


@pytest.fixture
def file(tmp_path, rng):
    """Images, and in each row of labels the share of each class."""
    images = rng.integers(0, 256, (COUNT, SIDE, SIDE, 1), np.uint8)
    soft = rng.random((COUNT, CLASSES))
    soft /= soft.sum(axis=1, keepdims=True)
    np.savez(
        tmp_path / "soft.npz", images=images, labels=soft, test_images=images, test_labels=soft
    )
    return tmp_path / "soft.npz"


def config(file, loss):
    layers = [{"type": "flatten"}, {"type": "linear", "features": "classes"}]
    return Config(
        {
            "data": {"name": "npz", "path": str(file), "normalise": False},
            "model": {"name": "sequential", "layers": layers},
            "loss": {"name": loss},
            "optimizer": {"name": "sgd", "learning_rate": RATE, "momentum": 0.0},
            "training": {"epochs": 5, "batch_size": COUNT},
        }
    )


@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "mean_squared_error"])
def test_pytorch_learns_the_same_from_them(file, loss):
    torch = pytest.importorskip("torch")
    trainer = Trainer(config(file, loss), "numpy")
    parameters = trainer.network.parameters()
    weight, bias = (
        torch.tensor(
            np.asarray(parameters[f"1.linear.{name}"].value), dtype=torch.float64
        ).requires_grad_()
        for name in ("weight", "bias")
    )
    data = trainer.test
    x = torch.tensor(data.images(np.arange(COUNT)).reshape(COUNT, -1) / 255.0)
    soft = torch.tensor(data.targets.astype(float))
    compare = {"softmax_cross_entropy": torch.nn.functional.cross_entropy,
               "mean_squared_error": torch.nn.functional.mse_loss}[loss]  # fmt: skip
    result = trainer.fit()
    for _ in range(5):
        compare(x @ weight.T + bias, soft).backward()
        with torch.no_grad():
            for parameter in (weight, bias):
                parameter -= RATE * parameter.grad
                parameter.grad = None
    # Weights are about 1; each of five steps adds a few roundings of sums over 24 samples.
    close = 5 * 24 * np.finfo(np.float32).eps
    for name, theirs in (("weight", weight), ("bias", bias)):
        ours = np.asarray(parameters[f"1.linear.{name}"].value)
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=0, atol=close)
    scores = x @ weight.T + bias
    assert result.loss == pytest.approx(compare(scores, soft).item(), rel=1e-5)
    right = scores.argmax(1) == torch.tensor(data.labels)
    assert result.correct == int(right.sum())
