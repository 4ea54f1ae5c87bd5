import numpy as np
import pytest
from described import check
from tolerance import assert_close, sum_bound

from gpucnn.errors import ShapeError

INF, NAN = float("inf"), float("nan")

NONE = ((0, 0), (0, 0))

TILES = {
    "whole": ((2, 4, 6, 3), (2, 2)),
    "with a rest": ((2, 5, 7, 3), (2, 3)),
    "the whole image": ((2, 3, 5, 4), (3, 5)),
    "one pixel": ((1, 1, 1, 1), (1, 1)),
    "over 256 elements": ((1, 34, 16, 2), (17, 16)),
}
"""x_shape and window."""


def tied_values(rng, shape, special):
    """Few different values, so that most windows have ties; or NaN and infinities among them."""
    choice = [-2.0, -1.0, 0.0, 1.0] + ([NAN, -INF, INF] if special else [])
    return rng.choice(choice, shape).astype(np.float32)


def check_max(backend, x, rng, window):
    """Of windows that are tiles, forward and back."""
    options = {"window": window, "stride": window, "padding": NONE}
    check(backend, "max_pool2d_forward", x=x, **options)
    y, argmax = backend.max_pool2d_forward(backend.asarray(x), **options)
    dy = rng.standard_normal(y.shape, np.float32)
    given = {"dy": dy, "argmax": backend.to_numpy(argmax), "x_shape": x.shape}
    check(backend, "max_pool2d_input_grad", **given, **options)


@pytest.mark.parametrize("values", ["distinct", "tied", "special"])
@pytest.mark.parametrize("case", TILES.values(), ids=TILES)
def test_max_pooling_of_tiles(backend, case, values, rng):
    """They neither overlap nor leave gaps, for which NumPy has a faster way."""
    shape, window = case
    if values == "distinct":
        x = rng.permutation(np.prod(shape)).reshape(shape).astype(np.float32)
    else:
        x = tied_values(rng, shape, values == "special")
    check_max(backend, x, rng, window)


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
    check_max(backend, x, rng, (2, 2))
    x[...] = INF
    x[0, 0, 0, 0] = -INF
    check_max(backend, x, rng, (2, 2))


def test_routes_infinite_and_nan_gradients_to_the_winner_only(backend):
    x = backend.asarray(np.array([1.0, 2, 3, 0]).reshape(1, 2, 2, 1))
    _, argmax = backend.max_pool2d_forward(x)
    for value in (INF, NAN):
        dy = backend.asarray(np.full((1, 1, 1, 1), value))
        dx = backend.to_numpy(backend.max_pool2d_input_grad(dy, argmax, x.shape))
        np.testing.assert_array_equal(dx.ravel(), [0, 0, value, 0])


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
