import numpy as np
import pytest

from gpucnn.errors import ConfigError, ShapeError
from gpucnn.layers import Context, Flatten, Linear


def declared(layer, backend, shape, name="0.linear"):
    layer.attach(Context(backend, seed=0, classes=10), name)
    return layer.declare(shape)


def test_shapes_and_parameters(exact):
    layer = Linear(7, initialiser="lecun")
    assert declared(layer, exact, (5,)) == (7,)
    weight, bias = layer.parameters["weight"], layer.parameters["bias"]
    assert (weight.shape, weight.initialiser, weight.decay) == ((7, 5), "lecun", True)
    assert (bias.shape, bias.initialiser, bias.decay) == ((7,), 0.0, False)
    assert layer.multiply_adds() == 35
    layer = Linear(7, bias=False)
    declared(layer, exact, (5,))
    assert list(layer.parameters) == ["weight"]


def test_classes_come_from_the_data(exact):
    assert declared(Linear("classes"), exact, (5,)) == (10,)


def test_passes_by_hand(backend):
    layer = Linear(2)
    declared(layer, backend, (3,))
    weight, bias = layer.parameters["weight"], layer.parameters["bias"]
    weight.value = backend.asarray(np.array([[1.0, 2, 3], [-1, 0, 1]]))
    bias.value = backend.asarray(np.array([10.0, 20]))
    weight.gradient, bias.gradient = backend.zeros((2, 3)), backend.zeros((2,))
    y = layer.forward(backend.asarray(np.array([[1.0, 1, 1], [2, 0, -1]])))
    np.testing.assert_array_equal(backend.to_numpy(y), [[16, 20], [9, 17]])
    dx = layer.backward(backend.asarray(np.array([[1.0, 2], [3, 4]])))
    np.testing.assert_array_equal(backend.to_numpy(dx), [[-1, 2, 5], [-1, 6, 13]])
    np.testing.assert_array_equal(backend.to_numpy(weight.gradient), [[7, 1, -2], [10, 2, -2]])
    np.testing.assert_array_equal(backend.to_numpy(bias.gradient), [4, 6])
    layer.skip_input_grad()
    assert layer.backward(backend.asarray(np.array([[1.0, 2], [3, 4]]))) is None


def test_refuses(exact):
    with pytest.raises(ShapeError, match=r'"0\.linear" cannot take .*\(4, 4, 3\).*"flatten"'):
        declared(Linear(7), exact, (4, 4, 3))
    for features in (0, -1, "class"):
        with pytest.raises(ConfigError, match=f"features is {features!r}"):
            Linear(features)
    with pytest.raises(ConfigError, match='"uniform"'):
        Linear(3, initialiser="uniform")


def test_flatten(backend, rng):
    layer = Flatten()
    assert declared(layer, backend, (2, 3, 4), "0.flatten") == (24,)
    assert declared(Flatten(), backend, (5,), "0.flatten") == (5,)
    x = rng.standard_normal((3, 2, 3, 4)).astype(backend.dtype)
    y = layer.forward(backend.asarray(x))
    np.testing.assert_array_equal(backend.to_numpy(y), x.reshape(3, 24))
    np.testing.assert_array_equal(backend.to_numpy(layer.backward(y)), x)
    assert not layer.parameters
