import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpucnn import layers as nn
from gpucnn.errors import ShapeError

SHAPE, CLASSES = (6, 6, 3), 4


def results(network, rng, turns=2):
    """Scores and gradients of two training steps and an inference, as bytes can be compared."""
    be, out = network.backend, []
    for step in range(turns):
        x = rng.standard_normal((3, *network.input_shape))
        there = be.asarray(x.copy())
        network.train()
        network.begin_step(step)
        scores = network.forward(there)
        dscores = be.asarray(rng.standard_normal((3, CLASSES)))
        out.append(be.to_numpy(scores))
        network.backward(dscores)
        out.append(be.to_numpy(network.gradients))
        network.infer()
        out.append(be.to_numpy(network.forward(there)))
        np.testing.assert_array_equal(be.to_numpy(there), x.astype(be.dtype))
    return out


def relus(network):
    return [layer for layer in network.body.walk() if isinstance(layer, nn.ReLU)]


def compare_in_place(build, backend):
    """The same network with and without writing over inputs, bit by bit."""
    usual = nn.Network(build(), SHAPE, CLASSES, backend, seed=3)
    careful = nn.Network(build(), SHAPE, CLASSES, backend, seed=3)
    for layer in relus(careful):
        layer.in_place = False
    one = results(usual, np.random.default_rng(1))
    other = results(careful, np.random.default_rng(1))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)
    return usual


def tail():
    return [nn.Flatten(), nn.Linear("classes")]


def convolution(padding=1):
    return nn.Conv2d(4, 3, padding=padding)


EACH = {
    "conv": convolution,
    "norm": nn.BatchNorm2d,
    "relu": nn.ReLU,
    "leaky": nn.LeakyReLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "dropout": lambda: nn.Dropout(0.3),
    "max": lambda: nn.MaxPool2d(3, stride=1, padding=1),
    "average": lambda: nn.AvgPool2d(3, stride=1, padding=1),
}


def make(plan):
    """Layers from names; a list is a Residual, a tuple a Sequential."""
    made = []
    for part in plan:
        if isinstance(part, list):
            made.append(nn.Residual([*make(part), nn.Conv2d(4, 1)], [nn.Conv2d(4, 1)]))
        elif isinstance(part, tuple):
            made.append(nn.Sequential(make(part)))
        else:
            made.append(EACH[part]())
    return made


def short_lists(inner):
    return st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple)


PARTS = st.recursive(st.sampled_from([*EACH, "relu", "relu"]), short_lists, max_leaves=6)


@settings(max_examples=60)
@given(plan=st.lists(PARTS, max_size=6))
def test_relu_in_place_corrupts_nothing(exact, plan):
    compare_in_place(lambda: [*make(plan), *tail()], exact)


@pytest.mark.compiles_each
@pytest.mark.parametrize("before", EACH)
def test_relu_after_each_layer(backend, before):
    def build():
        return [convolution(), *make([before]), nn.ReLU(), *tail()]

    network = compare_in_place(build, backend)
    keeps = before in ("relu", "sigmoid", "tanh", "dropout")
    assert relus(network)[-1].in_place == (not keeps)


def test_relu_that_may_not_write(exact):
    """First of all (the images), of a branch, after views, and after an empty container."""
    for build in (
        lambda: [nn.ReLU(), *tail()],
        lambda: [nn.Conv2d(4, 1), nn.Flatten(), nn.ReLU(), nn.Linear("classes")],
        lambda: [convolution(), nn.Residual([nn.ReLU()]), *tail()],
        lambda: [convolution(), nn.Residual([convolution()], [nn.ReLU()]), *tail()],
        lambda: [convolution(), nn.Sequential([]), nn.ReLU(), *tail()],
        lambda: [convolution(), nn.Sequential([nn.Tanh()]), nn.ReLU(), *tail()],
    ):
        network = compare_in_place(build, exact)
        assert not any(layer.in_place for layer in relus(network))


def test_sequential_names_and_shapes(exact):
    inner = nn.Sequential([nn.ReLU(), convolution()])
    network = nn.Network([convolution(), inner, *tail()], SHAPE, CLASSES, exact)
    names = [layer.name for layer in network.body.walk()]
    assert names == [
        "", "0.conv2d", "1.sequential", "1.sequential.0.relu", "1.sequential.1.conv2d",
        "2.flatten", "3.linear",
    ]  # fmt: skip
    assert inner.output_shape == (6, 6, 4)
    assert network.body.input_shape == SHAPE


def attached(layer, backend, shape):
    layer.attach(nn.Context(backend, seed=0, classes=CLASSES, training=True), "1.residual")
    return layer.declare(shape)


def test_residual_without_projection(backend, rng):
    """y = x + f(x) with f by a linear layer: dx = dy + f'(dy)."""
    linear = nn.Linear(3, bias=False)
    layer = nn.Residual([linear])
    assert attached(layer, backend, (3,)) == (3,)
    assert [name for name, _ in layer.children()] == ["body"]
    weight = linear.parameters["weight"]
    matrix = np.array([[1.0, 2, 0], [0, 1, 3], [4, 0, 1]])
    weight.value, weight.gradient = backend.asarray(matrix), backend.zeros((3, 3))
    x, dy = rng.integers(-5, 5, (2, 2, 3)).astype(float)
    y = layer.forward(backend.asarray(x))
    np.testing.assert_array_equal(backend.to_numpy(y), x + x @ matrix.T)
    there = backend.asarray(dy)
    dx = layer.backward(there)
    np.testing.assert_array_equal(backend.to_numpy(dx), dy + dy @ matrix)
    np.testing.assert_array_equal(backend.to_numpy(there), dy)
    np.testing.assert_array_equal(backend.to_numpy(weight.gradient), dy.T @ x)


def test_residual_with_projection(backend, rng):
    branches = [nn.Linear(2, bias=False), nn.Linear(2, bias=False)]
    layer = nn.Residual([branches[0]], [branches[1]])
    assert attached(layer, backend, (3,)) == (2,)
    assert [name for name, _ in layer.children()] == ["body", "shortcut"]
    assert branches[1].name == "1.residual.shortcut.0.linear"
    matrices = rng.integers(-3, 4, (2, 2, 3)).astype(float)
    for branch, matrix in zip(branches, matrices, strict=True):
        weight = branch.parameters["weight"]
        weight.value, weight.gradient = backend.asarray(matrix), backend.zeros((2, 3))
    x = rng.integers(-5, 5, (4, 3)).astype(float)
    dy = rng.integers(-5, 5, (4, 2)).astype(float)
    y = layer.forward(backend.asarray(x))
    np.testing.assert_array_equal(backend.to_numpy(y), x @ (matrices[0] + matrices[1]).T)
    dx = layer.backward(backend.asarray(dy))
    np.testing.assert_array_equal(backend.to_numpy(dx), dy @ (matrices[0] + matrices[1]))
    for branch in branches:
        gradient = backend.to_numpy(branch.parameters["weight"].gradient)
        np.testing.assert_array_equal(gradient, dy.T @ x)


def test_residual_branches_must_agree(exact):
    layer = nn.Residual([nn.Conv2d(8, 3, stride=2, padding=1)])
    with pytest.raises(ShapeError, match=r'"1\.residual".*\(6, 6, 3\).*\(3, 3, 8\).*\(6, 6, 3\)'):
        attached(layer, exact, SHAPE)
    layer = nn.Residual([nn.Conv2d(8, 3, stride=2, padding=1)], [nn.Conv2d(8, 1)])
    with pytest.raises(ShapeError, match=r'"1\.residual".*\(3, 3, 8\).*\(6, 6, 8\)'):
        attached(layer, exact, SHAPE)


def test_errors_name_the_layer_within(exact):
    layers = [nn.Residual([convolution(), nn.Conv2d(3, 9)]), *tail()]
    with pytest.raises(ShapeError, match=r'"0\.residual\.body\.1\.conv2d".*\(6, 6, 4\)'):
        nn.Network(layers, SHAPE, CLASSES, exact)
