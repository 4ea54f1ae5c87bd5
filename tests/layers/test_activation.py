import numpy as np
import pytest

from gpucnn.errors import ConfigError
from gpucnn.layers import GELU, Context, LeakyReLU, ReLU, Sigmoid, Tanh

E = np.exp(1.0)
SIGMOID, TANH = 1 / (1 + 1 / E), np.tanh(1.0)
GELU_AT_1, GELU_SLOPE_AT_1 = 0.8411919906082768, 1.0829640838457826


@pytest.mark.parametrize(
    ("layer", "y", "dx"),
    [
        (ReLU(), [0, 0, 1], [0, 0, 6]),
        (LeakyReLU(), [-0.01, 0, 1], [0.02, 0.04, 6]),
        (LeakyReLU(0.5), [-0.5, 0, 1], [1, 2, 6]),
        (Sigmoid(), [1 - SIGMOID, 0.5, SIGMOID], SIGMOID * (1 - SIGMOID) * np.array([2, 0, 6])),
        (
            GELU(),
            [GELU_AT_1 - 1, 0, GELU_AT_1],
            [2 * (1 - GELU_SLOPE_AT_1), 2, 6 * GELU_SLOPE_AT_1],
        ),
        (Tanh(), [-TANH, 0, TANH], (1 - TANH**2) * np.array([2, 0, 6])),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_passes(backend, layer, y, dx):
    """At −1, 0 and 1 with dy = 2, 4, 6; the gradient at 0 by itself where it is not 0."""
    layer.attach(Context(backend, seed=0, classes=10), "0")
    assert layer.declare((3,)) == (3,)
    assert layer.declare((4, 5, 6)) == (4, 5, 6)
    assert not layer.parameters
    x = backend.asarray(np.array([[-1.0, 0.0, 1.0]]))
    few = 16 * np.finfo(backend.dtype).eps
    np.testing.assert_allclose(backend.to_numpy(layer.forward(x))[0], y, atol=few)
    dx = np.array(dx, float)
    if isinstance(layer, Sigmoid | Tanh):
        dx[1] = 4 * (0.25 if isinstance(layer, Sigmoid) else 1)
    gradient = backend.to_numpy(layer.backward(backend.asarray(np.array([[2.0, 4.0, 6.0]]))))
    np.testing.assert_allclose(gradient[0], dx, atol=6 * few)


def test_relu_writes_over_its_input_only_where_it_may(backend):
    for in_place in (False, True):
        layer = ReLU()
        layer.attach(Context(backend, seed=0, classes=10), "0")
        layer.in_place = in_place
        x = backend.asarray(np.array([[-1.0, 2.0]]))
        y = layer.forward(x)
        assert (y is x) == in_place
        np.testing.assert_array_equal(backend.to_numpy(x), [[0 if in_place else -1, 2]])


def test_refuses_slopes():
    for slope in (float("nan"), float("inf")):
        with pytest.raises(ConfigError, match=f"slope is {slope}"):
            LeakyReLU(slope)
