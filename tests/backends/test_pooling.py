import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerance import assert_close, assert_tracked, sum_bound, track

from gpucnn.errors import ShapeError

INF, NAN = float("inf"), float("nan")

CASES = {
    "2×2 tiles": ((2, 4, 6, 3), (2, 2), (2, 2), (0, 0)),
    "tiles with a rest": ((2, 5, 7, 3), (2, 3), (2, 3), (0, 0)),
    "overlapping": ((2, 6, 5, 3), (3, 3), (2, 1), (1, 1)),
    "overlapping, four channels at a time": ((2, 6, 5, 8), (3, 3), (2, 1), (1, 1)),
    "gaps between windows": ((1, 9, 9, 5), (2, 1), (4, 3), (0, 0)),
    "unequal padding": ((1, 4, 5, 2), (3, 4), (2, 2), ((0, 2), (3, 1))),
    "the whole image": ((2, 3, 5, 4), (3, 5), (3, 5), (0, 0)),
    "one pixel": ((1, 1, 1, 1), (1, 1), (1, 1), (0, 0)),
    "one pixel, padded": ((2, 1, 1, 3), (3, 3), (2, 2), (1, 1)),
    "image smaller than the window": ((1, 2, 3, 2), (5, 6), (1, 2), ((4, 3), (3, 2))),
    "padding no window reaches": ((1, 4, 4, 3), (2, 2), (3, 3), ((0, 1), (0, 1))),
    "256 elements": ((1, 16, 17, 2), (16, 16), (1, 1), (0, 0)),
    "over 256 elements": ((2, 18, 17, 2), (17, 16), (1, 1), (0, 0)),
    "over 256 elements, four channels": ((1, 18, 17, 4), (17, 16), (1, 1), (0, 0)),
    "over 256 elements, tiles": ((1, 34, 16, 2), (17, 16), (17, 16), (0, 0)),
}


@st.composite
def cases(draw):
    sizes, window, stride, padding = [], [], [], []
    for _ in range(2):
        extent = draw(st.integers(1, 5))
        step = draw(st.integers(1, 4))
        before, after = draw(st.integers(0, extent - 1)), draw(st.integers(0, extent - 1))
        size = max(1, extent - before - after) + draw(st.integers(0, 6))
        # A last window wholly in the padding is refused; such an image gets less of it.
        while (oracle.output_length(size, extent, step, before, after) - 1) * step >= size + before:
            after -= 1
        sizes.append(size)
        window.append(extent)
        stride.append(step)
        padding.append((before, after))
    C = draw(st.sampled_from([1, 3, 5, 8, 17]))
    shape = (draw(st.integers(1, 3)), *sizes, C)
    return shape, tuple(window), tuple(stride), tuple(padding)


def tied_values(rng, shape, special):
    """Few different values, so that most windows have ties; or NaN and infinities among them."""
    choice = [-2.0, -1.0, 0.0, 1.0] + ([NAN, -INF, INF] if special else [])
    return rng.choice(choice, shape)


def check_max(backend, case, x, rng):
    _, window, stride, padding = case
    options = {"window": window, "stride": stride, "padding": padding}
    y, argmax = backend.max_pool2d_forward(backend.asarray(x), **options)
    expected, winner = oracle.max_pool2d(x, window, stride, padding)
    assert y.dtype == backend.dtype
    assert argmax.dtype == (np.uint8 if window[0] * window[1] <= 256 else np.uint16)
    np.testing.assert_array_equal(backend.to_numpy(y), expected)
    np.testing.assert_array_equal(backend.to_numpy(argmax), winner)

    dy = rng.standard_normal(y.shape).astype(backend.dtype)
    dx = backend.max_pool2d_input_grad(backend.asarray(dy), argmax, x.shape, **options)
    settled = (winner, x.shape, window, stride, padding)
    tracked = oracle.max_pool2d_input_grad(track(dy, backend.dtype), *settled)
    assert_tracked(backend.to_numpy(dx), tracked, backend.dtype)


def check_average(backend, case, rng):
    shape, window, stride, padding = case
    options = {"window": window, "stride": stride, "padding": padding}
    x = rng.standard_normal(shape).astype(backend.dtype)
    y = backend.avg_pool2d_forward(backend.asarray(x), **options)
    expected = oracle.avg_pool2d(track(x, backend.dtype), window, stride, padding)
    assert_tracked(backend.to_numpy(y), expected, backend.dtype)

    dy = rng.standard_normal(y.shape).astype(backend.dtype)
    dx = backend.avg_pool2d_input_grad(backend.asarray(dy), shape, **options)
    settled = (shape, window, stride, padding)
    tracked = oracle.avg_pool2d_input_grad(track(dy, backend.dtype), *settled)
    assert_tracked(backend.to_numpy(dx), tracked, backend.dtype)


@pytest.mark.parametrize("values", ["distinct", "tied", "special"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_max_pooling(backend, case, values, rng):
    if values == "distinct":
        x = rng.permutation(np.prod(case[0])).reshape(case[0]).astype(float)
    else:
        x = tied_values(rng, case[0], values == "special")
    check_max(backend, case, x, rng)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_average_pooling(backend, case, rng):
    check_average(backend, case, rng)


@given(case=cases(), seed=st.integers(0, 99), special=st.booleans())
def test_random_cases(random_shape_backend, case, seed, special):
    rng = np.random.default_rng(seed)
    check_max(random_shape_backend, case, tied_values(rng, case[0], special), rng)
    check_average(random_shape_backend, case, rng)


@pytest.mark.slow
@settings(max_examples=2000)
@given(case=cases(), seed=st.integers(0, 99), special=st.booleans())
def test_many_random_cases(uncompiled_backend, case, seed, special):
    rng = np.random.default_rng(seed)
    check_max(uncompiled_backend, case, tied_values(rng, case[0], special), rng)
    check_average(uncompiled_backend, case, rng)


@pytest.mark.parametrize("padding", [(0, 0), (1, 1)])
@pytest.mark.parametrize(
    ("pixels", "winner"),
    [
        ([1, 1, 1, 1], 0),
        ([0, 1, 1, 1], 1),
        ([0, 0, 2, 2], 2),
        ([-INF, -INF, -INF, -INF], 0),
        ([-INF, -INF, -INF, -1024.0], 3),
        ([INF, NAN, NAN, 5], 1),
        ([3, INF, INF, NAN], 3),
        ([NAN, NAN, INF, NAN], 0),
        ([-0.0, 0.0, 0.0, -0.0], 0),
        ([-3, -2, -2, -4], 1),
    ],
)
def test_who_wins(backend, pixels, winner, padding):
    """One window holds all four pixels, with or without padding around them."""
    x = np.array(pixels, float).reshape(1, 2, 2, 1)
    size = 2 + 2 * padding[0]
    y, argmax = backend.max_pool2d_forward(
        backend.asarray(x), window=(size, size), stride=(size, size), padding=padding
    )
    row, column = divmod(winner, 2)
    number = (row + padding[0]) * size + column + padding[1]
    assert int(backend.to_numpy(argmax)[0, 0, 0, 0]) == number
    np.testing.assert_array_equal(backend.to_numpy(y)[0, 0, 0, 0], x[0, row, column, 0])


def test_one_nan_leaves_the_other_windows_alone(backend, rng):
    """The faster way of tiled windows must not be left behind half done."""
    x = tied_values(rng, (3, 6, 6, 4), special=False)
    x[1, 2, 3, 1] = NAN
    check_max(backend, (x.shape, (2, 2), (2, 2), (0, 0)), x, rng)
    x[...] = INF
    x[0, 0, 0, 0] = -INF
    check_max(backend, (x.shape, (2, 2), (2, 2), (0, 0)), x, rng)


def test_routes_infinite_and_nan_gradients_to_the_winner_only(backend):
    x = backend.asarray(np.array([1.0, 2, 3, 0]).reshape(1, 2, 2, 1))
    _, argmax = backend.max_pool2d_forward(x)
    for value in (INF, NAN):
        dy = backend.asarray(np.full((1, 1, 1, 1), value))
        dx = backend.to_numpy(backend.max_pool2d_input_grad(dy, argmax, x.shape))
        np.testing.assert_array_equal(dx.ravel(), [0, 0, value, 0])


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 5, 17), (3, 7, 7, 3)])
def test_global_average(backend, shape, rng):
    x = rng.standard_normal(shape).astype(backend.dtype)
    y = backend.global_avg_pool2d_forward(backend.asarray(x))
    assert y.shape == (shape[0], shape[3])
    expected = oracle.global_avg_pool2d(track(x, backend.dtype))
    assert_tracked(backend.to_numpy(y), expected, backend.dtype)
    dy = rng.standard_normal(y.shape).astype(backend.dtype)
    dx = backend.global_avg_pool2d_input_grad(backend.asarray(dy), shape)
    tracked = oracle.global_avg_pool2d_input_grad(track(dy, backend.dtype), shape)
    assert_tracked(backend.to_numpy(dx), tracked, backend.dtype)


@pytest.mark.parametrize(
    "shape", [(3, 60, 70, 1), (2, 40, 40, 5), (2, 17, 20, 32), (1, 1, 1, 2048)]
)
def test_global_average_of_large_images(backend, rng, shape):
    """Integers, all sums of which are exact: nothing may be left out or taken twice."""
    x = rng.integers(-9, 10, shape)
    y = backend.to_numpy(backend.global_avg_pool2d_forward(backend.asarray(x.astype(float))))
    pixels = shape[1] * shape[2]
    total = x.sum(axis=(1, 2)).astype(float)
    # A division, or a multiplication by the rounded inverse.
    assert_close(y, total / pixels, sum_bound(2, abs(total) / pixels, backend.dtype))
    dy = backend.asarray(total)
    dx = backend.to_numpy(backend.global_avg_pool2d_input_grad(dy, shape))
    wanted = np.broadcast_to(total[:, None, None] / pixels, shape)
    assert_close(dx, wanted, sum_bound(2, abs(wanted), backend.dtype))


@pytest.mark.slow
def test_more_images_than_a_grid_has_blocks(backend, rng):
    """A grid's second axis ends at 65,535."""
    x = rng.integers(-9, 10, (66000, 1, 2, 1))
    there, window = backend.asarray(x.astype(backend.dtype)), {"window": (1, 2), "stride": (1, 2)}
    y, argmax = backend.max_pool2d_forward(there, **window)
    first = x[:, :, :1] >= x[:, :, 1:]
    left = backend.asarray(x[:, :, :1].astype(backend.dtype))
    np.testing.assert_array_equal(backend.to_numpy(y), x.max(axis=2, keepdims=True))
    np.testing.assert_array_equal(backend.to_numpy(argmax), ~first)
    routed = backend.to_numpy(backend.max_pool2d_input_grad(left, argmax, x.shape, **window))
    np.testing.assert_array_equal(routed, np.concatenate([first, ~first], 2) * x[:, :, :1])
    mean = x.mean(axis=2, keepdims=True)  # exact: halves of integers
    y = backend.avg_pool2d_forward(there, **window)
    np.testing.assert_array_equal(backend.to_numpy(y), mean)
    dx = backend.avg_pool2d_input_grad(y, x.shape, **window)
    np.testing.assert_array_equal(backend.to_numpy(dx), np.repeat(mean / 2, 2, axis=2))
    y = backend.global_avg_pool2d_forward(there)
    np.testing.assert_array_equal(backend.to_numpy(y), mean[:, 0, 0])
    dx = backend.global_avg_pool2d_input_grad(y, x.shape)
    np.testing.assert_array_equal(backend.to_numpy(dx), np.repeat(mean / 2, 2, axis=2))


X, Y = (2, 6, 7, 3), (2, 3, 3, 3)

REFUSED = {
    "window 0": ({"window": (0, 2)}, r"window is \(0, 2\)"),
    "window a number": ({"window": 2}, "window is 2"),
    "stride 0": ({"stride": (2, 0)}, r"stride is \(2, 0\)"),
    "negative padding": ({"padding": (0, -1)}, r"padding \(0, -1\)"),
    "window too large": ({"window": (7, 7)}, r"7×7.*6×7"),
    "first window in the padding": ({"padding": ((2, 0), (0, 0))}, r"2×2.*padding \(\(2, 0\)"),
    "last window in the padding": ({"padding": ((0, 2), (0, 0))}, r"2×2.*padding \(\(0, 2\)"),
    "last column in the padding": ({"padding": ((0, 0), (1, 2))}, "along the width"),
}


@pytest.mark.parametrize(("options", "message"), REFUSED.values(), ids=REFUSED)
def test_refuses_options(backend, options, message):
    x, dy = backend.zeros(X), backend.zeros(Y)
    argmax = backend.zeros(Y, np.uint8)
    for call in (
        lambda: backend.max_pool2d_forward(x, **options),
        lambda: backend.avg_pool2d_forward(x, **options),
        lambda: backend.max_pool2d_input_grad(dy, argmax, X, **options),
        lambda: backend.avg_pool2d_input_grad(dy, X, **options),
    ):
        with pytest.raises(ShapeError, match=message):
            call()


def test_refuses_arrays(backend):
    x, dy, argmax = backend.zeros(X), backend.zeros(Y), backend.zeros(Y, np.uint8)
    other = backend.zeros(X, np.float64 if backend.dtype == np.float32 else np.float32)
    for call, message in (
        (lambda: backend.max_pool2d_forward(other), f"x is {other.dtype}"),
        (lambda: backend.avg_pool2d_forward(other), f"x is {other.dtype}"),
        (lambda: backend.global_avg_pool2d_forward(other), f"x is {other.dtype}"),
        (lambda: backend.max_pool2d_forward(x[:, :, ::2]), "not contiguous"),
        (lambda: backend.max_pool2d_forward(x[0]), r"shape \(6, 7, 3\)"),
        (lambda: backend.global_avg_pool2d_forward(x[0]), r"shape \(6, 7, 3\)"),
        (lambda: backend.max_pool2d_input_grad(x, argmax, X), r"dy.*expected \(2, 3, 3, 3\)"),
        (lambda: backend.max_pool2d_input_grad(dy, dy, X), "argmax is .*uint8"),
        (lambda: backend.max_pool2d_input_grad(dy, argmax[:1], X), "argmax has shape"),
        (lambda: backend.avg_pool2d_input_grad(dy[:1], X), "dy has shape"),
        (lambda: backend.global_avg_pool2d_input_grad(dy, X), r"expected \(2, 3\)"),
        (lambda: backend.global_avg_pool2d_input_grad(dy, X[1:]), r"\(6, 7, 3\)"),
        (lambda: backend.global_avg_pool2d_forward(x[:, :0]), r"\(2, 0, 7, 3\).*none empty"),
        (lambda: backend.global_avg_pool2d_input_grad(dy, (2, 6, 0, 3)), "none empty"),
    ):
        with pytest.raises(ShapeError, match=f"(?s){message}"):
            call()


def test_refuses_a_window_that_no_argmax_can_name(backend):
    x = backend.zeros((1, 257, 256, 1))
    with pytest.raises(ShapeError, match="257×256"):
        backend.max_pool2d_forward(x, window=(257, 256), stride=(1, 1))
