import itertools

import numpy as np
import pytest
from tolerance import assert_close

from gpucnn.check.case import Case
from gpucnn.check.expected import expect
from gpucnn.errors import ShapeError
from gpucnn.launch import EMULATED, plan
from gpucnn.operations import OPERATIONS
from gpucnn.operations.normalisation import BatchNormInference
from gpucnn.operations.normalisation_gradients import BatchNormGradients

MOMENTUM, EPSILON = 0.1, 1e-5


def problem(rng, backend, shape, mean=0.0, spread=1.0):
    """x, dy and four vectors a channel, exact in the backend's dtype."""
    C = shape[-1]
    x = mean + spread * rng.standard_normal(shape)
    vectors = rng.standard_normal((3, C))
    variance = rng.uniform(0.5, 2.0, (1, C))
    arrays = (x, rng.standard_normal(shape), *vectors, *variance)
    return [array.astype(backend.dtype) for array in arrays]


def check(backend, rng, shape, mean, spread):
    """All operations, with each end, against the reference; x is as given, in FP32."""
    C = shape[-1]
    x = (mean + spread * rng.standard_normal(shape)).astype(np.float32)
    arrays = [x, *(rng.standard_normal((C,)).astype(np.float32) for _ in range(3))]
    names = ("x", "scale", "shift", "running_mean")
    variance = rng.uniform(0.5, 2.0, (C,)).astype(np.float32)
    other = rng.standard_normal((2, *shape)).astype(np.float32)
    forward = dict(zip(names, arrays, strict=True)) | {"running_variance": variance}
    wide = x.astype(np.float64).reshape(-1, C)
    gradients = {
        "dy": other[0],
        "x": x,
        "scale": forward["scale"],
        "mean": wide.mean(axis=0).astype(np.float32),
        "inverse_std": (1 / np.sqrt(wide.var(axis=0) + EPSILON)).astype(np.float32),
    }
    for residual, relu in itertools.product((None, other[1]), (False, True)):
        end = {"residual": residual, "relu": relu, "epsilon": EPSILON}
        agree(backend, "batch_norm_forward", {**forward, "momentum": MOMENTUM, **end})
        given = {"x": x, "mean": arrays[3], "variance": variance, **end}
        agree(backend, "batch_norm_inference", given | {n: forward[n] for n in ("scale", "shift")})
    for end in ({}, {"shift": forward["shift"]}, {"y": np.maximum(other[1], 0)}):
        agree(backend, "batch_norm_gradients", {**gradients, **end})


def agree(backend, operation, arguments):
    one = Case(OPERATIONS[operation], arguments)
    complaint = expect(one, backend.dtype).complaint(one.run(backend))
    assert not complaint, f"{one}: {complaint}"


@pytest.mark.parametrize("mean", [10.0, -1000.0])
def test_a_large_mean_does_not_cancel(backend, rng, mean):
    """The mean of squares minus the square of the mean would lose all digits here."""
    check(backend, rng, (4, 4, 4, 3), mean, spread=1.0)


@pytest.mark.parametrize("spread", [1e-3, 100.0])
def test_spreads(backend, rng, spread):
    check(backend, rng, (3, 5, 4, 3), 0.0, spread)


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
    *vectors, moved = (backend.asarray(v) for v in (scale, mean, inverse_std, shift))
    there, gradient = backend.asarray(x.copy()), backend.asarray(dy.copy())
    expected = backend.batch_norm_gradients(backend.asarray(dy), there, *vectors, shift=moved)
    dscale, dshift = backend.empty((5,)), backend.empty((5,))
    results = backend.batch_norm_gradients(
        gradient, there, *vectors, shift=moved, dscale=dscale, dshift=dshift, dx=gradient
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
    expected = backend.batch_norm_gradients(backend.asarray(dy), tx, *vectors, y=ty)
    given_arrays = {name: backend.empty(shape[-1:]) for name in ("dscale", "dshift")}
    given_arrays |= {name: backend.empty(shape) for name in ("dx", "dresidual")}
    given_arrays[overwritten] = gradient
    results = backend.batch_norm_gradients(gradient, tx, *vectors, y=ty, **given_arrays)
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
    results = backend.batch_norm_gradients(tdy, tx, vectors[0], *statistics, y=y)
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
    *_, dresidual = backend.batch_norm_gradients(dy, x, vectors[0], *statistics, y=y)
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
    *_, dshift = backend.batch_norm_gradients(ones, tx, vectors[0], *statistics, shift=vectors[1])
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
    results = backend.batch_norm_gradients(dy, constant, vectors[0], *statistics, shift=vectors[1])
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
    short, few = backend.zeros((1, 3, 3, 4)), backend.zeros((3,))
    with pytest.raises(ShapeError, match=r"residual has shape \(1, 3, 3, 4\)"):
        backend.batch_norm_forward(x, v, v, v, v, MOMENTUM, EPSILON, residual=short)
    with pytest.raises(ShapeError, match=r"residual has shape \(1, 3, 3, 4\)"):
        backend.batch_norm_inference(x, v, v, v, v, EPSILON, residual=short)
    for end in ({}, {"shift": v}, {"y": x}):
        with pytest.raises(ShapeError, match=r"dy has shape \(1, 3, 3, 4\)"):
            backend.batch_norm_gradients(short, x, v, v, v, **end)
        with pytest.raises(ShapeError, match=r"inverse_std has shape \(3,\)"):
            backend.batch_norm_gradients(x, x, v, v, few, **end)
        with pytest.raises(ShapeError, match=r"dscale has shape \(3,\), expected \(4,\)"):
            backend.batch_norm_gradients(x, x, v, v, v, **end, dscale=few)
    with pytest.raises(ShapeError, match=r"shift has shape \(3,\)"):
        backend.batch_norm_gradients(x, x, v, v, v, shift=few)
    with pytest.raises(ShapeError, match=r"^y has shape \(1, 3, 3, 4\)"):
        backend.batch_norm_gradients(x, x, v, v, v, y=short)
    with pytest.raises(ShapeError, match=r"dresidual has shape \(1, 3, 3, 4\)"):
        backend.batch_norm_gradients(x, x, v, v, v, y=x, dresidual=short)
    with pytest.raises(ShapeError, match="dx and dresidual are one array"):
        backend.batch_norm_gradients(x, x, v, v, v, y=x, dx=x, dresidual=x)
    with pytest.raises(ShapeError, match="residual, ReLU takes no shift"):
        backend.batch_norm_gradients(x, x, v, v, v, shift=v, y=x)
    for end in ({}, {"shift": v}):
        with pytest.raises(ShapeError, match="takes no dresidual"):
            backend.batch_norm_gradients(x, x, v, v, v, **end, dresidual=x)


def test_a_residual_needs_gradients_of_its_own_only_with_a_relu():
    with pytest.raises(ShapeError, match="residual and without a ReLU"):
        BatchNormGradients((2, 3), residual=True)


def test_more_channels_than_a_kernel_counts():
    """Eight rows of threads go down the rows together: that many channels further is an int."""
    with pytest.raises(ShapeError, match=r"C · 8 is 4294967296, and a kernel counts"):
        plan(BatchNormInference((1, 2**29)), EMULATED)
