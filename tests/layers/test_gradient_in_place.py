"""Layers that overwrite the gradient they are given do so only where no one else reads it."""

import numpy as np
import pytest

from gpucnn import layers as nn

SHAPE, CLASSES = (4, 4, 3), 5


def convolution():
    return nn.Conv2d(3, 3, padding="same")


BODIES = {
    "relu last": lambda: ([convolution(), nn.ReLU()], []),
    "relu alone": lambda: ([nn.ReLU()], []),
    "norm last": lambda: ([convolution(), nn.BatchNorm2d()], []),
    "norm in both": lambda: ([nn.BatchNorm2d()], [nn.BatchNorm2d()]),
    "relu before flatten": lambda: ([nn.ReLU(), nn.Flatten()], [nn.Flatten()]),
    "norm before flatten": lambda: ([nn.BatchNorm2d(), nn.Flatten()], [nn.Flatten()]),
    "relu before a sequence that begins with flatten": lambda: (
        [nn.ReLU(), nn.Sequential([nn.Flatten()])],
        [nn.Flatten()],
    ),
    "relu before an empty sequence": lambda: ([nn.ReLU(), nn.Sequential([])], []),
}


def build(name, backend, careful):
    body, shortcut = BODIES[name]()
    flat = any(isinstance(layer, nn.Flatten) for layer in shortcut)
    layers = [convolution(), nn.Residual(body, shortcut), *([] if flat else [nn.Flatten()])]
    network = nn.Network([*layers, nn.Linear("classes")], SHAPE, CLASSES, backend, seed=5)
    if careful:
        for layer in network.body.walk():
            layer.owns_gradient = False
    network.train()
    return network


@pytest.mark.parametrize("name", BODIES)
def test_gradients_are_as_without_overwriting(backend, rng, name):
    x = rng.standard_normal((3, *SHAPE))
    dscores = rng.standard_normal((3, CLASSES))
    gradients = []
    for careful in (False, True):
        network = build(name, backend, careful)
        network.forward(backend.asarray(x.copy()))
        network.backward(backend.asarray(dscores.copy()))
        gradients.append(backend.to_numpy(network.gradients))
    np.testing.assert_array_equal(gradients[0], gradients[1])


@pytest.mark.parametrize("name", ["relu", "norm"])
def test_the_callers_gradient_stays(backend, rng, name):
    last = {"relu": nn.ReLU, "norm": nn.BatchNorm2d}[name]()
    layer = nn.Sequential([convolution(), last])
    layer.attach(nn.Context(backend, seed=0, classes=CLASSES, training=True), "")
    layer.declare(SHAPE)
    for part in layer.walk():
        for parameter in part.parameters.values():
            parameter.value = backend.asarray(rng.standard_normal(parameter.shape))
            parameter.gradient = backend.zeros(parameter.shape)
        for buffer in part.buffers.values():
            buffer.value = backend.zeros(buffer.shape)
    layer.forward(backend.asarray(rng.standard_normal((2, *SHAPE))))
    dy = backend.asarray(rng.standard_normal((2, *SHAPE)))
    before = backend.to_numpy(dy)
    layer.backward(dy)
    np.testing.assert_array_equal(backend.to_numpy(dy), before)
