import numpy as np
import pytest

from gpucnn.errors import ConfigError, ShapeError
from gpucnn.layers import AvgPool2d, Context, GlobalAvgPool2d, MaxPool2d

BOTH = pytest.mark.parametrize("kind", [MaxPool2d, AvgPool2d])


def declared(layer, backend, shape):
    layer.attach(Context(backend, seed=0, classes=10), "2.pool")
    return layer.declare(shape)


@BOTH
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (4, 5, 3)),
        ({"window": 3}, (3, 3, 3)),
        ({"window": (2, 3)}, (4, 3, 3)),
        ({"window": 3, "stride": 2}, (4, 4, 3)),
        ({"window": 3, "stride": (1, 2), "padding": 1}, (9, 5, 3)),
        ({"window": 3, "stride": 1, "padding": (0, 1)}, (7, 10, 3)),
        ({"window": "global"}, (1, 1, 3)),
    ],
)
def test_output_shape(exact, kind, options, expected):
    layer = kind(**options)
    assert declared(layer, exact, (9, 10, 3)) == expected
    assert not layer.parameters


def test_max_by_hand(backend):
    layer = MaxPool2d(2)
    declared(layer, backend, (2, 4, 1))
    x = np.array([[1.0, 5, 2, 2], [3, 4, 2, 2]]).reshape(1, 2, 4, 1)
    y = layer.forward(backend.asarray(x))
    np.testing.assert_array_equal(backend.to_numpy(y).ravel(), [5, 2])
    dx = layer.backward(backend.asarray(np.array([10.0, 20]).reshape(1, 1, 2, 1)))
    np.testing.assert_array_equal(backend.to_numpy(dx)[0, :, :, 0], [[0, 10, 20, 0], [0, 0, 0, 0]])


def test_average_by_hand(backend):
    """Padding counts as zeros."""
    layer = AvgPool2d(2, padding=1)
    declared(layer, backend, (2, 2, 1))
    y = layer.forward(backend.asarray(np.array([[4.0, 8], [12, 16]]).reshape(1, 2, 2, 1)))
    np.testing.assert_array_equal(backend.to_numpy(y)[0, :, :, 0], [[1, 2], [3, 4]])
    dx = layer.backward(backend.asarray(np.array([[4.0, 8], [12, 16]]).reshape(1, 2, 2, 1)))
    np.testing.assert_array_equal(backend.to_numpy(dx)[0, :, :, 0], [[1, 2], [3, 4]])


@BOTH
def test_global_window_is_the_image(backend, rng, kind):
    layer = kind("global")
    declared(layer, backend, (3, 5, 2))
    x = rng.standard_normal((2, 3, 5, 2)).astype(backend.dtype)
    y = backend.to_numpy(layer.forward(backend.asarray(x)))
    assert y.shape == (2, 1, 1, 2)
    wanted = x.max(axis=(1, 2)) if kind is MaxPool2d else x.mean(axis=(1, 2), dtype=float)
    np.testing.assert_allclose(y[:, 0, 0], wanted, atol=15 * np.finfo(backend.dtype).eps)


def test_global_average(backend):
    layer = GlobalAvgPool2d()
    assert declared(layer, backend, (2, 2, 3)) == (3,)
    x = np.arange(24.0).reshape(2, 2, 2, 3)
    y = layer.forward(backend.asarray(x))
    np.testing.assert_array_equal(backend.to_numpy(y), x.mean(axis=(1, 2)))
    dx = layer.backward(backend.asarray(np.array([[4.0, 8, 12], [0, 4, 0]])))
    expected = np.broadcast_to(np.array([[1, 2, 3], [0, 1, 0]])[:, None, None], x.shape)
    np.testing.assert_array_equal(backend.to_numpy(dx), expected)


@BOTH
def test_refuses(exact, kind):
    for options, message in (
        ({"window": 0}, "window=0"),
        ({"window": (2, -1)}, r"window=\(2, -1\)"),
        ({"stride": 0}, "stride=0"),
        ({"padding": -1}, "padding=-1"),
        ({"window": "all"}, 'window is "all"'),
    ):
        with pytest.raises(ConfigError, match=f"{kind.kind}.*{message}"):
            kind(**options)
    with pytest.raises(ShapeError, match=r'"2\.pool" cannot take .*\(1, 5, 3\).*2×2.*1×5'):
        declared(kind(2), exact, (1, 5, 3))
    with pytest.raises(ShapeError, match=r'"2\.pool" cannot take .*padding'):
        declared(kind(2, padding=2), exact, (4, 4, 3))
    for layer in (kind(2), GlobalAvgPool2d()):
        with pytest.raises(ShapeError, match=r'"2\.pool" cannot take .*\(12,\).*images'):
            declared(layer, exact, (12,))
