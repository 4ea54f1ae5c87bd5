"""Vanishing and exploding gradients: the configs that show them, and those that cure them.

Seconds of processor time, both cores together: 6 to 9 for each of the pair that is about vanishing
gradients, 10 to 12 for "exploding_cured", and below 1 for "exploding".
"""

from pathlib import Path

import pytest

from gpucnn.config import load_config
from gpucnn.errors import NonFiniteError
from gpucnn.layers import Conv2d
from gpucnn.training.display import Display
from gpucnn.training.trainer import Trainer

CONFIGS = Path(__file__).parents[2] / "configs"


class Heard(Display):
    """Keeps what training.watch says."""

    def __init__(self):
        super().__init__(quiet=True)
        self.said = []

    def line(self, text=""):
        if text.startswith("watch: "):
            self.said.append(text)


def load(name):
    return load_config(CONFIGS / f"{name}.toml")


def convolutions(config):
    layers = [part for layer in config.build_model() for part in layer.walk()]
    return [layer.filters for layer in layers if isinstance(layer, Conv2d)]


@pytest.mark.slow
def test_ten_convolutions_with_sigmoids_do_not_learn():
    heard = Heard()
    trainer = Trainer(load("vanishing"), "numpy", display=heard)
    assert trainer.fit().accuracy < 0.3
    assert trainer.progress.epoch == trainer.config.epochs
    vanishing, stuck = heard.said
    assert 'the gradient vanishes. At layer "0.conv2d" its norm is' in vanishing
    assert "the network does no better than chance: after 3 epochs" in stuck


def test_the_loss_of_ten_residual_blocks_is_soon_not_finite():
    heard = Heard()
    trainer = Trainer(load("exploding"), "numpy", display=heard)
    with pytest.raises(NonFiniteError, match=r'output of layer "\d\.residual.*set training.clip_n'):
        trainer.fit()
    assert trainer.progress.epoch == 0
    (exploding,) = heard.said
    assert "the gradient explodes. Its norm is" in exploding


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vanishing_cured", "exploding_cured"])
def test_the_cured_learn(name):
    heard = Heard()
    assert Trainer(load(name), "numpy", display=heard).fit().accuracy > 0.9
    assert heard.said == []


def test_batch_normalisation_and_relu_are_all_that_cures_vanishing_gradients():
    sick, cured = load("vanishing"), load("vanishing_cured")
    assert len(convolutions(sick)) == 10
    assert convolutions(sick) == convolutions(cured)
    kinds = {layer.kind for layer in sick.build_model()}
    assert kinds == {"conv2d", "sigmoid", "global_avg_pool2d", "linear"}
    kinds = {layer.kind for layer in cured.build_model()}
    assert kinds == {"conv2d", "batch_norm2d", "relu", "global_avg_pool2d", "linear"}
    assert differences(sick, cured) == {"model"}


def test_clipping_is_all_that_cures_exploding_gradients():
    sick, cured = load("exploding"), load("exploding_cured")
    assert differences(sick, cured) == {"training"}
    assert {**cured.tables["training"], "clip_norm": None} == sick.tables["training"]


def differences(one, other):
    return {key for key in one.tables if one.tables[key] != other.tables[key]}
