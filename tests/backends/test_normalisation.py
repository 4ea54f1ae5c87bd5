import numpy as np
import oracle
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tolerance import assert_close, assert_tracked, bounds, track, values

from gpucnn.errors import ShapeError

MOMENTUM, EPSILON = 0.1, 1e-5


def problem(rng, backend, shape, mean=0.0, spread=1.0):
    """x, dy and four vectors a channel, exact in the backend's dtype."""
    C = shape[-1]
    x = mean + spread * rng.standard_normal(shape)
    vectors = rng.standard_normal((3, C))
    variance = rng.uniform(0.5, 2.0, (1, C))
    arrays = (x, rng.standard_normal(shape), *vectors, *variance)
    return [array.astype(backend.dtype) for array in arrays]


def check(backend, shape, seed=0, mean=0.0, spread=1.0):
    rng = np.random.default_rng(seed)
    x, dy, scale, shift, running_mean, running_variance = problem(rng, backend, shape, mean, spread)
    dtype = backend.dtype
    rows = track(x, dtype).reshape(-1, shape[-1])
    vectors = [track(v, dtype) for v in (scale, shift, running_mean, running_variance)]
    moving_mean, moving_variance = backend.asarray(running_mean), backend.asarray(running_variance)
    tx, tscale, tshift = (backend.asarray(array) for array in (x, scale, shift))

    y = backend.batch_norm_inference(tx, tscale, tshift, moving_mean, moving_variance, EPSILON)
    expected = oracle.batch_norm_inference(rows, *vectors, EPSILON)
    assert_tracked(backend.to_numpy(y), expected.reshape(shape), dtype)

    # A copy, for asarray may have kept the host's own array, and the statistics move.
    moving_mean = backend.asarray(running_mean.copy())
    moving_variance = backend.asarray(running_variance.copy())
    y, batch_mean, inverse_std = backend.batch_norm_forward(
        tx, tscale, tshift, moving_mean, moving_variance, MOMENTUM, EPSILON
    )
    expected = oracle.batch_norm_forward(rows, *vectors, MOMENTUM, EPSILON)
    assert_tracked(backend.to_numpy(y), expected[0].reshape(shape), dtype)
    results = (batch_mean, inverse_std, moving_mean, moving_variance)
    for result, wanted in zip(results, expected[1:], strict=True):
        assert_tracked(backend.to_numpy(result), wanted, dtype)

    # The oracle works the statistics out of x, with an error bound that covers rounding them.
    statistics = [values(wanted) for wanted in expected[1:3]]
    results = backend.batch_norm_gradients(
        backend.asarray(dy), tx, tscale, *(backend.asarray(s) for s in statistics)
    )
    check_gradients(backend, results, dy, x, scale)


def check_gradients(backend, results, dy, x, scale):
    """(dx, dscale, dshift) against the oracle's, which knows no statistics."""
    dtype, C = backend.dtype, x.shape[-1]
    tracked = (track(array, dtype).reshape(-1, C) for array in (dy, x))
    expected = oracle.batch_norm_gradients(*tracked, track(scale, dtype), EPSILON)
    for result, wanted, form in zip(results, expected, (x.shape, None, None), strict=True):
        assert_tracked(backend.to_numpy(result), wanted.reshape(form or wanted.shape), dtype)


def check_relu(backend, shape, seed=0, mean=0.0, spread=1.0):
    """The operations with ReLU: y's bound is that before it, for it brings no two values apart.

    The gradient is taken where this backend's own y is above 0, to the last element.
    """
    rng = np.random.default_rng(seed)
    x, dy, scale, shift, running_mean, running_variance = problem(rng, backend, shape, mean, spread)
    dtype = backend.dtype
    tracked = [track(v, dtype) for v in (scale, shift, running_mean, running_variance)]
    rows = track(x, dtype).reshape(-1, shape[-1])
    tx, tscale, tshift = (backend.asarray(array) for array in (x, scale, shift))
    moving = [backend.asarray(v.copy()) for v in (running_mean, running_variance)]

    def agree(y, before):
        above = np.maximum(values(before), 0.0).reshape(shape)
        assert_close(backend.to_numpy(y), above, bounds(before, dtype).reshape(shape))

    y = backend.batch_norm_inference(tx, tscale, tshift, *moving, EPSILON, relu=True)
    agree(y, oracle.batch_norm_inference(rows, *tracked, EPSILON))
    y, *statistics = backend.batch_norm_forward(
        tx, tscale, tshift, *moving, MOMENTUM, EPSILON, relu=True
    )
    expected = oracle.batch_norm_forward(rows, *tracked, MOMENTUM, EPSILON)
    agree(y, expected[0])
    for result, wanted in zip((*statistics, *moving), expected[1:], strict=True):
        assert_tracked(backend.to_numpy(result), wanted, dtype)
    results = backend.batch_norm_relu_gradients(
        backend.asarray(dy), tx, tscale, tshift, *statistics
    )
    passed = oracle.relu_input_grad(dy, backend.to_numpy(y)).astype(dtype)
    check_gradients(backend, results, passed, x, scale)


def check_add_relu(backend, shape, seed=0, mean=0.0, spread=1.0):
    """With a residual, and without and with a ReLU, whose gradient has the oracle's y, rounded."""
    rng = np.random.default_rng(seed)
    x, dy, scale, shift, running_mean, running_variance = problem(rng, backend, shape, mean, spread)
    residual = rng.standard_normal(shape).astype(backend.dtype)
    dtype, C = backend.dtype, shape[-1]
    tracked = [track(v, dtype) for v in (scale, shift, running_mean, running_variance)]
    rows, branch = (track(array, dtype).reshape(-1, C) for array in (x, residual))
    tx, tscale, tshift, there = map(backend.asarray, (x, scale, shift, residual))
    inferred = oracle.batch_norm_inference(rows, *tracked, EPSILON) + branch
    expected = oracle.batch_norm_forward(rows, *tracked, MOMENTUM, EPSILON)

    def agree(y, before, relu):
        wanted = np.maximum(values(before), 0.0) if relu else values(before)
        bound = bounds(before, dtype).reshape(shape)
        assert_close(backend.to_numpy(y), wanted.reshape(shape), bound)

    for relu in (False, True):
        moving = [backend.asarray(v.copy()) for v in (running_mean, running_variance)]
        vectors = (tscale, tshift, *moving)
        y = backend.batch_norm_inference(tx, *vectors, EPSILON, there, relu)
        agree(y, inferred, relu)
        y, *statistics = backend.batch_norm_forward(tx, *vectors, MOMENTUM, EPSILON, there, relu)
        agree(y, expected[0] + branch, relu)
        for result, wanted in zip((*statistics, *moving), expected[1:], strict=True):
            assert_tracked(backend.to_numpy(result), wanted, dtype)
    y = oracle.relu(values(expected[0] + branch)).astype(dtype).reshape(shape)
    *results, dresidual = backend.batch_norm_add_relu_gradients(
        *(backend.asarray(array) for array in (dy, y, x, scale)), *statistics
    )
    passed = oracle.relu_input_grad(dy, y).astype(dtype)
    check_gradients(backend, results, passed, x, scale)
    assert dresidual.dtype == dtype
    np.testing.assert_array_equal(backend.to_numpy(dresidual), passed)


@pytest.mark.compiles_each
@pytest.mark.parametrize(
    "shape",
    [(2, 1), (3, 5), (2, 1, 1, 3), (1, 1, 2, 17), (2, 3, 5, 1), (4, 5, 3, 3), (3, 4, 4, 16)],
)
def test_shapes(backend, shape):
    check(backend, shape)
    check_relu(backend, shape)
    check_add_relu(backend, shape)


@pytest.mark.compiles_each
@pytest.mark.parametrize("shape", [(2100, 1), (700, 3), (2, 125, 17), (12, 32, 8), (130, 132)])
def test_more_rows_and_channels_than_a_block_takes(backend, shape):
    """The last block of rows or of channels is a small one."""
    check(backend, shape, mean=2.0)
    check_relu(backend, shape, mean=2.0)
    check_add_relu(backend, shape, mean=2.0)


@pytest.mark.parametrize("mean", [10.0, -1000.0])
def test_a_large_mean_does_not_cancel(backend, mean):
    """The mean of squares minus the square of the mean would lose all digits here."""
    check(backend, (4, 4, 4, 3), mean=mean)
    check_relu(backend, (4, 4, 4, 3), mean=mean)


@pytest.mark.parametrize("spread", [1e-3, 100.0])
def test_spreads(backend, spread):
    check(backend, (3, 5, 4, 3), spread=spread)
    check_relu(backend, (3, 5, 4, 3), spread=spread)


@given(
    sizes=st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(2, 5)),
    C=st.sampled_from([1, 3, 5, 8, 17]),
    seed=st.integers(0, 99),
)
def test_random_shapes(backend, sizes, C, seed):
    check(backend, (*sizes, C), seed)
    check_relu(backend, (*sizes, C), seed)


def test_a_constant_channel_becomes_the_shift(backend):
    """Its variance is 0 exactly, as all values and their mean are small integers."""
    x = np.full((2, 4, 4, 2), 3.0)
    vectors = [backend.asarray(np.array(v)) for v in ([2.0, 3.0], [5.0, -1.0], [0, 0.0], [1, 1.0])]
    y, mean, inverse_std = backend.batch_norm_forward(backend.asarray(x), *vectors, 1.0, 2.0**-10)
    np.testing.assert_array_equal(backend.to_numpy(y), np.broadcast_to([5.0, -1.0], x.shape))
    np.testing.assert_array_equal(backend.to_numpy(mean), [3, 3])
    np.testing.assert_array_equal(backend.to_numpy(inverse_std), [32, 32])
    np.testing.assert_array_equal(backend.to_numpy(vectors[2]), [3, 3])
    np.testing.assert_array_equal(backend.to_numpy(vectors[3]), [0, 0])


def test_gradients_go_to_the_arrays_given(backend, rng):
    x, dy, scale, mean, _, inverse_std = problem(rng, backend, (3, 2, 2, 5))
    given_arrays = [backend.asarray(a) for a in (dy, x, scale, mean, inverse_std)]
    dscale, dshift = backend.empty((5,)), backend.empty((5,))
    result = backend.batch_norm_gradients(*given_arrays, dscale=dscale, dshift=dshift)
    assert result[1] is dscale
    assert result[2] is dshift
    for one, other in zip(result, backend.batch_norm_gradients(*given_arrays), strict=True):
        np.testing.assert_array_equal(backend.to_numpy(one), backend.to_numpy(other))


def test_the_input_gradient_may_overwrite_dy(backend, rng):
    x, dy, scale, mean, _, inverse_std = problem(rng, backend, (9, 40, 8))
    given_arrays = [backend.asarray(a.copy()) for a in (dy, x, scale, mean, inverse_std)]
    expected = backend.to_numpy(backend.batch_norm_gradients(*given_arrays)[0])
    dx, *_ = backend.batch_norm_gradients(*given_arrays, dx=given_arrays[0])
    assert dx is given_arrays[0]
    np.testing.assert_array_equal(backend.to_numpy(dx), expected)


def test_relu_gradients_in_place(backend, rng):
    """dx may be dy; the results are the same to the bit, and x stays."""
    x, dy, scale, shift, mean, inverse_std = problem(rng, backend, (3, 2, 2, 5))
    vectors = [backend.asarray(v) for v in (scale, shift, mean, inverse_std)]
    there, gradient = backend.asarray(x.copy()), backend.asarray(dy.copy())
    expected = backend.batch_norm_relu_gradients(backend.asarray(dy), there, *vectors)
    dscale, dshift = backend.empty((5,)), backend.empty((5,))
    results = backend.batch_norm_relu_gradients(
        gradient, there, *vectors, dscale=dscale, dshift=dshift, dx=gradient
    )
    for result, given_array in zip(results, (gradient, dscale, dshift), strict=True):
        assert result is given_array
    for one, other in zip(results, expected, strict=True):
        np.testing.assert_array_equal(backend.to_numpy(one), backend.to_numpy(other))
    np.testing.assert_array_equal(backend.to_numpy(there), x)


@pytest.mark.parametrize("overwritten", ["dx", "dresidual"])
@pytest.mark.parametrize("shape", [(3, 2, 2, 5), (130, 132)])
def test_add_relu_gradients_in_place(backend, rng, shape, overwritten):
    """Either may be dy; the results are the same to the bit, and x and y stay."""
    x, dy, scale, _, mean, inverse_std = problem(rng, backend, shape)
    y = np.maximum(rng.standard_normal(shape), 0).astype(backend.dtype)
    vectors = [backend.asarray(v) for v in (scale, mean, inverse_std)]
    ty, tx, gradient = (backend.asarray(array.copy()) for array in (y, x, dy))
    expected = backend.batch_norm_add_relu_gradients(backend.asarray(dy), ty, tx, *vectors)
    given_arrays = {name: backend.empty(shape[-1:]) for name in ("dscale", "dshift")}
    given_arrays |= {name: backend.empty(shape) for name in ("dx", "dresidual")}
    given_arrays[overwritten] = gradient
    results = backend.batch_norm_add_relu_gradients(gradient, ty, tx, *vectors, **given_arrays)
    for name, result in zip(("dx", "dscale", "dshift", "dresidual"), results, strict=True):
        assert result is given_arrays[name]
    for one, other in zip(results, expected, strict=True):
        np.testing.assert_array_equal(backend.to_numpy(one), backend.to_numpy(other))
    np.testing.assert_array_equal(backend.to_numpy(ty), y)
    np.testing.assert_array_equal(backend.to_numpy(tx), x)


@pytest.mark.parametrize("shape", [(9, 5), (700, 3), (130, 132)])
def test_add_relu_has_the_bits_of_three_operations(backend, rng, shape):
    x, residual, dy = rng.standard_normal((3, *shape))
    scale, shift = rng.standard_normal((2, shape[1]))
    tx, branch, tdy, *vectors = (
        backend.asarray(a) for a in (x, residual, dy, scale, shift, scale, shift)
    )
    y, *statistics = backend.batch_norm_forward(tx, *vectors, 0.0, EPSILON)
    y = backend.relu_forward(backend.add(y, branch))
    fused, *fused_statistics = backend.batch_norm_forward(
        tx, *vectors, 0.0, EPSILON, branch, relu=True
    )
    for one, other in zip((fused, *fused_statistics), (y, *statistics), strict=True):
        np.testing.assert_array_equal(backend.to_numpy(one), backend.to_numpy(other))
    passed = backend.relu_input_grad(tdy, y)
    expected = backend.batch_norm_gradients(passed, tx, vectors[0], *statistics)
    results = backend.batch_norm_add_relu_gradients(tdy, y, tx, vectors[0], *statistics)
    for one, other in zip(results, (*expected, passed), strict=True):
        np.testing.assert_array_equal(backend.to_numpy(one), backend.to_numpy(other))


def test_add_relu_at_zero_and_beside_nan(backend):
    """y = 0 passes no gradient, nor does a NaN, which stays in its own place."""
    one, zero = np.ones(2), np.zeros(2)
    vectors = [backend.asarray(v) for v in (one, zero, zero, one)]
    x = backend.asarray(np.array([[1.0, -1.0], [2.0, 1.0]]))
    residual = backend.asarray(np.array([[-1.0, np.nan], [1.0, -3.0]]))
    y = backend.batch_norm_inference(x, *vectors, 1e-30, residual, relu=True)
    np.testing.assert_array_equal(backend.to_numpy(y), [[0, np.nan], [3, 0]])
    dy = backend.asarray(np.full((2, 2), np.inf))
    statistics = vectors[2:]
    *_, dresidual = backend.batch_norm_add_relu_gradients(dy, y, x, vectors[0], *statistics)
    np.testing.assert_array_equal(backend.to_numpy(dresidual), [[0, 0], [np.inf, 0]])


@pytest.mark.parametrize("shape", [(9, 5), (700, 3), (130, 132)])
def test_relu_has_the_bits_of_two_operations(backend, rng, shape):
    """Forward as one by one; and the gradient sees each y on the side of 0 where it was.

    Half of the values are one that the shift brings to 0, give or take a rounding.
    """
    x = np.where(rng.random(shape) < 0.5, 1.375, 2.0 + rng.standard_normal(shape))
    scale, mean, variance = rng.standard_normal(shape[1]), x.mean(axis=0), x.var(axis=0)
    shift = scale * (mean - 1.375) / np.sqrt(variance + EPSILON)
    tx, *vectors = (backend.asarray(a) for a in (x, scale, shift, mean, variance))
    y, *statistics = backend.batch_norm_forward(tx, *vectors, 0.0, EPSILON)
    fused, *fused_statistics = backend.batch_norm_forward(tx, *vectors, 0.0, EPSILON, relu=True)
    expected = [backend.relu_forward(y), *statistics]
    for one, other in zip((fused, *fused_statistics), expected, strict=True):
        np.testing.assert_array_equal(backend.to_numpy(one), backend.to_numpy(other))
    ones = backend.asarray(np.ones(shape))
    *_, dshift = backend.batch_norm_relu_gradients(ones, tx, *vectors[:2], *statistics)
    passed = (backend.to_numpy(fused) > 0).sum(axis=0)
    np.testing.assert_array_equal(backend.to_numpy(dshift), passed)


def test_relu_at_zero_and_beside_nan(backend):
    """y = 0 passes no gradient; a NaN stays NaN, in its own channel only."""
    x = np.array([[1.0, np.nan], [-1.0, 1.0], [1.0, 0.0], [-1.0, 2.0]])
    one, zero = np.ones(2), np.zeros(2)
    vectors = [backend.asarray(v.copy()) for v in (one, zero, zero, one)]
    tx = backend.asarray(x)
    y = backend.to_numpy(backend.batch_norm_inference(tx, *vectors, 1e-30, relu=True))
    np.testing.assert_array_equal(y, [[1, np.nan], [0, 1], [1, 0], [0, 2]])
    y, *_ = backend.batch_norm_forward(tx, *vectors, 0.1, 1e-30, relu=True)
    y = backend.to_numpy(y)
    np.testing.assert_array_equal(np.isnan(y), np.broadcast_to([False, True], y.shape))

    constant = backend.asarray(np.full((4, 2), 3.0))
    y, *statistics = backend.batch_norm_forward(constant, *vectors, 0.1, 1.0, relu=True)
    np.testing.assert_array_equal(backend.to_numpy(y), np.zeros((4, 2)))
    dy = backend.asarray(np.ones((4, 2)))
    results = backend.batch_norm_relu_gradients(dy, constant, *vectors[:2], *statistics)
    for result in results:
        np.testing.assert_array_equal(backend.to_numpy(result), np.zeros(result.shape))


def test_inference_leaves_the_statistics_alone(backend, rng):
    x, _, scale, shift, mean, variance = problem(rng, backend, (3, 2, 2, 5))
    vectors = [backend.asarray(v) for v in (scale, shift, mean.copy(), variance.copy())]
    backend.batch_norm_inference(backend.asarray(x), *vectors, EPSILON)
    np.testing.assert_array_equal(backend.to_numpy(vectors[2]), mean)
    np.testing.assert_array_equal(backend.to_numpy(vectors[3]), variance)


def test_running_statistics_converge_to_the_batch(backend, rng):
    """With momentum m, what is left of the first value after n steps is (1 − m)^n."""
    x, _, scale, shift, *_ = problem(rng, backend, (4, 3, 3, 2), mean=2.0)
    mean, variance = backend.zeros((2,)), backend.zeros((2,))
    for _ in range(3):
        backend.batch_norm_forward(
            *(backend.asarray(a) for a in (x, scale, shift)), mean, variance, 0.5, EPSILON
        )
    wide = x.astype(np.float64).reshape(-1, 2)
    # γ of the 36 values, and three more roundings a step.
    bound = 2 * (36 + 9) * np.finfo(backend.dtype).eps * abs(wide).mean(axis=0)
    assert_close(backend.to_numpy(mean), 0.875 * wide.mean(axis=0), bound)
    squares = wide.var(axis=0, ddof=1) + wide.mean(axis=0) ** 2
    bound = 2 * (36 + 12) * np.finfo(backend.dtype).eps * squares
    assert_close(backend.to_numpy(variance), 0.875 * wide.var(axis=0, ddof=1), bound)


def test_refuses(backend):
    x, v = backend.zeros((2, 3, 3, 4)), backend.zeros((4,))
    other = np.float64 if backend.dtype == np.float32 else np.float32
    wide = backend.zeros((2, 3, 3, 8))[..., ::2]

    def forward(x, *vectors):
        return backend.batch_norm_forward(x, *vectors, MOMENTUM, EPSILON)

    def inference(x, *vectors):
        return backend.batch_norm_inference(x, *vectors, EPSILON)

    for call in (forward, inference):
        with pytest.raises(ShapeError, match=r"x of shape .* is not contiguous"):
            call(wide, v, v, v, v)
        with pytest.raises(ShapeError, match=f"x is {np.dtype(other)}"):
            call(backend.zeros(x.shape, other), v, v, v, v)
        for shape in ((), (2, 3, 3, 0)):
            with pytest.raises(ShapeError, match="C at least 1"):
                call(backend.zeros(shape), v, v, v, v)
        for place, name in enumerate(("scale", "shift", "mean", "variance")):
            vectors = [v] * 4
            vectors[place] = backend.zeros((3,))
            with pytest.raises(ShapeError, match=rf"{name} has shape \(3,\), expected \(4,\)"):
                call(x, *vectors)
    with pytest.raises(ShapeError, match=r"\(1, 1, 1, 4\) has one value a channel"):
        forward(backend.zeros((1, 1, 1, 4)), v, v, v, v)
    with pytest.raises(ShapeError, match=r"dy has shape \(1, 3, 3, 4\)"):
        backend.batch_norm_gradients(backend.zeros((1, 3, 3, 4)), x, v, v, v)
    with pytest.raises(ShapeError, match=r"inverse_std has shape \(3,\)"):
        backend.batch_norm_gradients(x, x, v, v, backend.zeros((3,)))
    with pytest.raises(ShapeError, match=r"out has shape \(3,\), expected \(4,\)"):
        backend.batch_norm_gradients(x, x, v, v, v, dscale=backend.zeros((3,)))
    with pytest.raises(ShapeError, match=r"dy has shape \(1, 3, 3, 4\)"):
        backend.batch_norm_relu_gradients(backend.zeros((1, 3, 3, 4)), x, v, v, v, v)
    with pytest.raises(ShapeError, match=r"shift has shape \(3,\)"):
        backend.batch_norm_relu_gradients(x, x, v, backend.zeros((3,)), v, v)
    with pytest.raises(ShapeError, match=r"out has shape \(3,\), expected \(4,\)"):
        backend.batch_norm_relu_gradients(x, x, v, v, v, v, dshift=backend.zeros((3,)))
    short = backend.zeros((1, 3, 3, 4))
    with pytest.raises(ShapeError, match=r"residual has shape \(1, 3, 3, 4\)"):
        backend.batch_norm_forward(x, v, v, v, v, MOMENTUM, EPSILON, residual=short)
    with pytest.raises(ShapeError, match=r"residual has shape \(1, 3, 3, 4\)"):
        backend.batch_norm_inference(x, v, v, v, v, EPSILON, residual=short)
    with pytest.raises(ShapeError, match=r"dy has shape \(1, 3, 3, 4\)"):
        backend.batch_norm_add_relu_gradients(short, x, x, v, v, v)
    with pytest.raises(ShapeError, match=r"^y has shape \(1, 3, 3, 4\)"):
        backend.batch_norm_add_relu_gradients(x, short, x, v, v, v)
    with pytest.raises(ShapeError, match=r"out has shape \(1, 3, 3, 4\)"):
        backend.batch_norm_add_relu_gradients(x, x, x, v, v, v, dresidual=short)
    with pytest.raises(ShapeError, match="dx and dresidual are one array"):
        backend.batch_norm_add_relu_gradients(x, x, x, v, v, v, dx=x, dresidual=x)
