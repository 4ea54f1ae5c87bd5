import math

import described
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucnn.errors import ShapeError

INF, NAN = float("inf"), float("nan")
SHAPES = [(1,), (2, 3), (2, 3, 4, 5), (1, 1, 1, 17)]
SLOPE = 0.01


def values(rng, backend, shape):
    """With zeros of both signs among them, where activations have their corners."""
    x = rng.standard_normal(shape) * rng.choice([0.0, -0.0, 1.0, 3.0], shape)
    return x.astype(backend.dtype)


def check(backend, shape, seed=0):
    rng = np.random.default_rng(seed)
    x, dy = (values(rng, backend, shape).astype(np.float32) for _ in range(2))
    for name, numbers in {"relu": {}, "leaky_relu": {"slope": SLOPE}}.items():
        described.check(backend, f"{name}_forward", x=x, **numbers)
    for name in ("sigmoid", "tanh"):
        described.check(backend, f"{name}_forward", x=x)
        described.check(backend, f"{name}_input_grad", dy=dy, y=np.tanh(x))
    described.check(backend, "gelu_forward", x=x)
    described.check(backend, "gelu_input_grad", dy=dy, x=x)
    described.check(backend, "relu_input_grad", dy=dy, y=x)
    described.check(backend, "leaky_relu_input_grad", dy=dy, x=x, slope=SLOPE)
    described.check(backend, "add", a=x, b=dy)


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes(backend, shape):
    check(backend, shape)


@given(
    shape=st.lists(st.integers(1, 7), min_size=1, max_size=4).map(tuple), seed=st.integers(0, 99)
)
def test_random_shapes(backend, shape, seed):
    check(backend, shape, seed)


def run(backend, operation, *arrays, **options):
    there = [backend.asarray(np.array(array, float)) for array in arrays]
    return backend.to_numpy(getattr(backend, operation)(*there, **options))


def test_special_values(backend):
    x = [-INF, -1e30, -0.0, 0.0, 1e30, INF, NAN]
    x = [float(backend.dtype.type(value)) for value in x]
    expected = {
        "relu_forward": [0, 0, 0, 0, x[4], INF, NAN],
        "sigmoid_forward": [0, 0, 0.5, 0.5, 1, 1, NAN],
        "tanh_forward": [-1, -1, 0, 0, 1, 1, NAN],
        "gelu_forward": [NAN, 0, 0, 0, x[4], INF, NAN],
    }
    for operation, wanted in expected.items():
        np.testing.assert_array_equal(run(backend, operation, x), wanted, err_msg=operation)
    leaky = run(backend, "leaky_relu_forward", x, slope=0.5)
    np.testing.assert_array_equal(leaky, [-INF, x[1] / 2, 0, 0, x[4], INF, NAN])


def test_relu_gradient_is_zero_at_zero_and_a_choice_not_a_product(backend):
    """An infinite or NaN dy must not leak out where y is 0."""
    dy = [INF, NAN, -INF, 1, INF, NAN]
    dx = run(backend, "relu_input_grad", dy, [0, 0, 0, 0, 1, 2])
    np.testing.assert_array_equal(dx, [0, 0, 0, 0, INF, NAN])


def test_gelu_is_close_to_the_normal_distribution_times_x(backend):
    """Hendrycks and Gimpel's approximation is within 5e-4 of x · Φ(x), and so is its slope."""
    x = np.linspace(-6, 6, 101)
    phi = np.array([0.5 * (1 + math.erf(each / math.sqrt(2))) for each in x])
    slope = phi + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    np.testing.assert_allclose(run(backend, "gelu_forward", x), x * phi, rtol=0, atol=5e-4)
    dx = run(backend, "gelu_input_grad", np.ones_like(x), x)
    np.testing.assert_allclose(dx, slope, rtol=0, atol=2e-3)


def test_leaky_relu_gradient_at_zero_is_the_slope(backend):
    dx = run(backend, "leaky_relu_input_grad", [4, 4, 4, 4], [-1, -0.0, 0, 1], slope=0.25)
    np.testing.assert_array_equal(dx, [1, 1, 1, 4])


@pytest.mark.parametrize("slope", [-0.5, 0.0, 1.0, 2.0])
def test_any_slope(backend, slope):
    y = run(backend, "leaky_relu_forward", [-4, -2, 0, 2], slope=slope)
    np.testing.assert_array_equal(y, [-4 * slope, -2 * slope, 0, 2])


def test_relu_in_place(backend, rng):
    x = values(rng, backend, (3, 5))
    there = backend.asarray(x.copy())
    assert backend.relu_forward(there, out=there) is there
    np.testing.assert_array_equal(backend.to_numpy(there), np.where(x > 0, x, 0))


def test_add_in_place(backend, rng):
    a, b = values(rng, backend, (3, 5)), values(rng, backend, (3, 5))
    there = backend.asarray(a.copy())
    assert backend.add(there, backend.asarray(b), out=there) is there
    np.testing.assert_array_equal(backend.to_numpy(there), a + b)


def test_arguments_stay_as_they_are(backend, rng):
    x, dy = values(rng, backend, (3, 5)), values(rng, backend, (3, 5))
    tx, tdy = backend.asarray(x.copy()), backend.asarray(dy.copy())
    backend.relu_forward(tx)
    backend.leaky_relu_forward(tx, SLOPE)
    backend.sigmoid_forward(tx)
    backend.tanh_forward(tx)
    backend.gelu_forward(tx)
    backend.add(tx, tdy)
    backend.relu_input_grad(tdy, tx)
    backend.leaky_relu_input_grad(tdy, tx, SLOPE)
    backend.sigmoid_input_grad(tdy, tx)
    backend.tanh_input_grad(tdy, tx)
    backend.gelu_input_grad(tdy, tx)
    np.testing.assert_array_equal(backend.to_numpy(tx), x)
    np.testing.assert_array_equal(backend.to_numpy(tdy), dy)


def test_refuses(backend):
    x = backend.zeros((2, 3))
    other = backend.zeros((2, 3), np.float64 if backend.dtype == np.float32 else np.float32)
    slanted, short = backend.zeros((2, 6))[:, ::2], backend.zeros((2, 2))
    forward = {
        "relu_forward": backend.relu_forward,
        "leaky_relu_forward": lambda x: backend.leaky_relu_forward(x, SLOPE),
        "sigmoid_forward": backend.sigmoid_forward,
        "tanh_forward": backend.tanh_forward,
        "gelu_forward": backend.gelu_forward,
    }
    for call in forward.values():
        with pytest.raises(ShapeError, match=f"x is {other.dtype}"):
            call(other)
        with pytest.raises(ShapeError, match=r"x of shape \(2, 3\) is not contiguous"):
            call(slanted)
    backward = (
        backend.relu_input_grad,
        lambda dy, x: backend.leaky_relu_input_grad(dy, x, SLOPE),
        backend.sigmoid_input_grad,
        backend.tanh_input_grad,
        backend.gelu_input_grad,
    )
    for call in backward:
        with pytest.raises(ShapeError, match=r"dy has shape \(2, 2\), expected \(2, 3\)"):
            call(short, x)
        with pytest.raises(ShapeError, match=f"dy is {other.dtype}"):
            call(other, x)
        with pytest.raises(ShapeError, match=r"[xy] of shape .* is not contiguous"):
            call(x, slanted)
    with pytest.raises(ShapeError, match=r"b has shape \(2, 2\), expected \(2, 3\)"):
        backend.add(x, short)
    with pytest.raises(ShapeError, match=r"out has shape \(2, 2\), expected \(2, 3\)"):
        backend.add(x, x, out=short)
    with pytest.raises(ShapeError, match=f"out is {other.dtype}"):
        backend.relu_forward(x, out=other)
