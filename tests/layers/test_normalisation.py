import numpy as np
import pytest

from gpucnn.errors import ConfigError, ShapeError
from gpucnn.layers import BatchNorm2d, Context


def ready(layer, backend, shape):
    """The layer, its parameters and buffers made as a network makes them."""
    context = Context(backend, seed=0, classes=10, training=True)
    layer.attach(context, "1.batch_norm2d")
    assert layer.declare(shape) == shape
    for parameter in layer.parameters.values():
        parameter.value = backend.asarray(np.full(parameter.shape, parameter.initialiser))
        parameter.gradient = backend.zeros(parameter.shape)
    for buffer in layer.buffers.values():
        buffer.value = backend.asarray(np.full(buffer.shape, buffer.initial))
    return context


def test_parameters_and_buffers(exact):
    layer = BatchNorm2d()
    ready(layer, exact, (4, 5, 3))
    assert {name: (p.shape, p.initialiser, p.decay) for name, p in layer.parameters.items()} == {
        "scale": ((3,), 1.0, False),
        "shift": ((3,), 0.0, False),
    }
    assert {name: (b.shape, b.initial) for name, b in layer.buffers.items()} == {
        "running_mean": ((3,), 0.0),
        "running_variance": ((3,), 1.0),
    }


def test_training_and_inference(backend):
    """Values ±2 about 3 and ±1 about 0: mean and variance are exact."""
    layer = BatchNorm2d(momentum=0.5, epsilon=1e-12)
    context = ready(layer, backend, (2, 1, 2))
    x = np.array([[5.0, 1], [1, -1], [5, -1], [1, 1]]).reshape(2, 2, 1, 2)
    y = backend.to_numpy(layer.forward(backend.asarray(x)))
    few = 8 * np.finfo(backend.dtype).eps
    expected = np.array([[1.0, 1], [-1, -1], [1, -1], [-1, 1]]).reshape(x.shape)
    np.testing.assert_allclose(y, expected, atol=few + 1e-12)
    mean = backend.to_numpy(layer.buffers["running_mean"].value)
    variance = backend.to_numpy(layer.buffers["running_variance"].value)
    np.testing.assert_array_equal(mean, [1.5, 0])
    np.testing.assert_allclose(variance, [0.5 + 0.5 * 16 / 3, 0.5 + 0.5 * 4 / 3], rtol=few)

    context.training = False
    y = backend.to_numpy(layer.forward(backend.asarray(x)))
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(variance), atol=4 * few)
    np.testing.assert_array_equal(backend.to_numpy(layer.buffers["running_mean"].value), mean)


def test_gradients_are_the_backends(backend, rng):
    layer = BatchNorm2d()
    ready(layer, backend, (3, 4, 5))
    layer.parameters["scale"].value = backend.asarray(rng.standard_normal(5))
    x = backend.asarray(rng.standard_normal((2, 3, 4, 5)))
    dy = backend.asarray(rng.standard_normal((2, 3, 4, 5)))
    layer.forward(x)
    dx = layer.backward(dy)
    zero, one = backend.zeros((5,)), backend.asarray(np.ones(5))
    scale = layer.parameters["scale"].value
    _, mean, inverse_std = backend.batch_norm_forward(x, scale, zero, zero, one, 0.1, 1e-5)
    expected = backend.batch_norm_gradients(dy, x, scale, mean, inverse_std)
    gradients = (dx, layer.parameters["scale"].gradient, layer.parameters["shift"].gradient)
    for result, wanted in zip(gradients, expected, strict=True):
        np.testing.assert_array_equal(backend.to_numpy(result), backend.to_numpy(wanted))


def test_refuses(exact):
    layer = BatchNorm2d()
    layer.attach(Context(exact, seed=0, classes=10), "1.batch_norm2d")
    with pytest.raises(ShapeError, match=r'"1\.batch_norm2d" cannot take .*\(7,\).*images'):
        layer.declare((7,))
    for options in ({"momentum": 0.0}, {"momentum": 1.1}, {"epsilon": 0.0}, {"epsilon": -1.0}):
        ((name, value),) = options.items()
        with pytest.raises(ConfigError, match=f"{name}={value}"):
            BatchNorm2d(**options)
