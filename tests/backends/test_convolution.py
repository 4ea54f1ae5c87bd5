"""Convolutions that are not drawn for every backend: padding as long as a window, whole numbers,
NaN, and what is refused."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucnn.check import case as drawn
from gpucnn.check.expected import expect
from gpucnn.errors import ShapeError
from gpucnn.operations import OPERATIONS


@dataclass(frozen=True)
class Case:
    x: tuple
    w: tuple
    stride: tuple = (1, 1)
    padding: tuple = (0, 0)
    dilation: tuple = (1, 1)
    groups: int = 1

    @property
    def options(self):
        return {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
        }


CASES = {
    "one pixel, one tap": Case((1, 1, 1, 1), (1, 1, 1, 1)),
    "1×1 with stride": Case((2, 5, 6, 3), (5, 1, 1, 3), stride=(2, 3)),
    "1×1 with padding": Case((2, 3, 3, 3), (5, 1, 1, 3), padding=(1, 2)),
    "1×1 groups": Case((2, 3, 4, 6), (9, 1, 1, 2), groups=3),
    "3×3 same": Case((2, 6, 5, 3), (4, 3, 3, 3), padding=(1, 1)),
    "one input channel": Case((3, 7, 7, 1), (6, 5, 5, 1)),
    "image smaller than the filter": Case((2, 1, 2, 3), (2, 5, 7, 3), padding=((2, 3), (3, 3))),
    "filter as large as the image": Case((2, 4, 3, 5), (3, 4, 3, 5)),
    "even filter, one-sided padding": Case((1, 5, 5, 2), (3, 4, 2, 2), padding=((1, 2), (0, 1))),
    "stride beyond the filter": Case((2, 9, 9, 3), (2, 2, 1, 3), stride=(4, 3)),
    "rows no window reaches": Case((1, 6, 8, 3), (2, 2, 2, 3), stride=(3, 4)),
    "padding no window reaches": Case((1, 4, 4, 3), (2, 3, 3, 3), (4, 4), ((0, 2), (0, 3))),
    "windows wholly in the padding": Case((1, 2, 2, 2), (3, 2, 2, 2), padding=(4, 5)),
    "dilated": Case((1, 9, 8, 3), (4, 3, 2, 3), padding=(2, 1), dilation=(3, 2)),
    "dilated, strided, grouped": Case(
        (2, 9, 9, 6), (4, 3, 3, 3), (2, 2), ((2, 1), (0, 3)), (2, 3), groups=2
    ),
    "groups of one filter": Case((2, 4, 4, 15), (3, 3, 3, 5), padding=(1, 1), groups=3),
    "depthwise": Case((2, 5, 5, 17), (17, 3, 3, 1), padding=(1, 1), groups=17),
    "depthwise, multiplier 3": Case((2, 5, 4, 5), (15, 3, 2, 1), (2, 1), (1, 1), (1, 2), groups=5),
    "depthwise, unequal padding": Case(
        (1, 3, 4, 3), (6, 4, 4, 1), (3, 2), ((3, 0), (1, 4)), groups=3
    ),
    "17 to 17": Case((1, 3, 3, 17), (17, 2, 2, 17)),
    "five channels, same": Case((3, 6, 5, 5), (7, 3, 3, 5), padding=(1, 1)),
    "five channels, no row reads all outputs": Case((1, 2, 2, 5), (6, 2, 2, 5), padding=(4, 5)),
    "five channels, all in the padding": Case((2, 1, 1, 5), (5, 2, 2, 5), (4, 1), (2, 1)),
    "five channels, strided": Case((2, 7, 8, 5), (6, 3, 2, 5), (3, 2), ((1, 0), (2, 1))),
    "five channels, dilated, grouped": Case(
        (2, 9, 9, 10), (12, 3, 3, 5), (2, 1), ((2, 1), (0, 3)), (3, 2), groups=2
    ),
    "more padding than filter": Case((1, 4, 4, 5), (5, 2, 3, 5), padding=((0, 3), (2, 4))),
}


@st.composite
def cases(draw):
    def pair(low, high):
        return draw(st.integers(low, high)), draw(st.integers(low, high))

    channels = st.sampled_from([1, 3, 5, 17])
    groups = draw(st.sampled_from([1, 1, 2, 3, "depthwise"]))
    if groups == "depthwise":
        C = groups = draw(channels)
        K = C * draw(st.integers(1, 3))
    else:
        C, K = groups * draw(channels), groups * draw(channels)
    R, S = pair(1, 7)
    stride, dilation = pair(1, 4), pair(1, 3)
    sizes, padding = [], []
    for window, spread in ((R, dilation[0]), (S, dilation[1])):
        extent = (window - 1) * spread + 1
        before, after = draw(st.integers(0, extent)), draw(st.integers(0, extent))
        # At least one window fits, however small the image before padding.
        sizes.append(max(1, extent - before - after) + draw(st.integers(0, 5)))
        padding.append((before, after))
    N = draw(st.sampled_from([1, 2, 3]))
    return Case((N, *sizes, C), (K, R, S, C // groups), stride, tuple(padding), dilation, groups)


def check(backend, case, seed=0):
    """All three passes are within the bounds of the naive loops."""
    rng = np.random.default_rng(seed)

    def normal(shape):
        return rng.standard_normal(shape).astype(np.float32)

    for drawn_case, outcome in passes(backend, case, normal):
        complaint = expect(drawn_case, backend.dtype).complaint(outcome)
        assert not complaint, f"{drawn_case}: {complaint}"


def passes(backend, case, draw):
    """The three passes with arguments that are drawn, and their outcomes."""
    x, w, bias = draw(case.x), draw(case.w), draw(case.w[:1])
    plain, outcome = run(backend, "conv2d_forward", case, x=x, w=w)
    yield plain, outcome
    y_shape = outcome["y"].shape
    dy, residual = draw(y_shape), draw(y_shape)
    epilogue = {"bias": bias, "residual": residual, "relu": True}
    yield run(backend, "conv2d_forward", case, x=x, w=w, **epilogue)
    yield run(backend, "conv2d_input_grad", case, dy=dy, w=w, x_shape=case.x)
    yield run(backend, "conv2d_filter_grad", case, x=x, dy=dy, w_shape=case.w)


def run(backend, operation, case, **arguments):
    drawn_case = drawn.Case(OPERATIONS[operation], {**arguments, **case.options})
    return drawn_case, drawn_case.run(backend)


def check_exactly(drawn_case, outcome):
    """The outcome is that of the naive loops, whose bounds do not matter."""
    for name, value in expect(drawn_case).outcome.items():
        np.testing.assert_array_equal(outcome[name], value)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_fixed_cases(random_shape_backend, case):
    check(random_shape_backend, case)


@given(case=cases(), seed=st.integers(0, 99))
def test_random_cases(random_shape_backend, case, seed):
    check(random_shape_backend, case, seed)


def integers(rng, shape):
    return rng.integers(-4, 5, shape).astype(np.float32)


EPILOGUES = [
    "one input channel", "groups of one filter", "depthwise, multiplier 3",
    "five channels, dilated, grouped", "five channels, all in the padding", "1×1 groups",
]  # fmt: skip


@pytest.mark.compiles_each
@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("has_residual", [False, True])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("name", EPILOGUES)
def test_epilogue(backend, rng, name, has_bias, has_residual, relu):
    """On small integers, which round nowhere, so nothing may differ."""
    case = CASES[name]
    x, w, bias = (integers(rng, shape) for shape in (case.x, case.w, case.w[:1]))
    y_shape = run(backend, "conv2d_forward", case, x=x, w=w)[1]["y"].shape
    epilogue = {
        "bias": bias if has_bias else None,
        "residual": integers(rng, y_shape) if has_residual else None,
        "relu": relu,
    }
    check_exactly(*run(backend, "conv2d_forward", case, x=x, w=w, **epilogue))


@pytest.mark.parametrize(("groups", "channels"), [(1, 1), (1, 5), (5, 1)])
def test_relu_lets_nan_through(backend, groups, channels):
    """From x and from the residual, to their own places only."""
    K = 5
    x = np.ones((2, 3, 3, groups * channels))
    x[0, 0, 0] = np.nan
    residual = np.zeros((2, 2, 3, K))
    residual[1, 0, 2, 3] = np.nan
    w = -np.ones((K, 2, 1, channels))
    y = backend.conv2d_forward(
        backend.asarray(x), backend.asarray(w), groups=groups,
        residual=backend.asarray(residual), relu=True,
    )  # fmt: skip
    expected = residual.copy()
    expected[0, 0, 0] = np.nan
    np.testing.assert_array_equal(backend.to_numpy(y), expected)


def test_small_integers_are_exact(backend, rng):
    """Products and sums of small integers round nowhere, so any wrong index shows as a digit."""
    case = Case((2, 6, 7, 3), (4, 3, 2, 3), (2, 1), ((1, 2), (0, 1)), (1, 2))
    for drawn_case, outcome in passes(backend, case, lambda shape: integers(rng, shape)):
        check_exactly(drawn_case, outcome)


def test_padding_as_a_pair_is_both_sides(backend, rng):
    x = backend.asarray(rng.standard_normal((1, 4, 5, 2)))
    w = backend.asarray(rng.standard_normal((3, 3, 3, 2)))
    short = backend.conv2d_forward(x, w, padding=(1, 2))
    long = backend.conv2d_forward(x, w, padding=((1, 1), (2, 2)))
    np.testing.assert_array_equal(backend.to_numpy(short), backend.to_numpy(long))


def test_filter_grad_writes_to_out(backend, rng):
    x = backend.asarray(rng.standard_normal((2, 5, 5, 3)))
    dy = backend.asarray(rng.standard_normal((2, 3, 3, 4)))
    vector = backend.zeros((4 * 27 + 5,))
    out = vector[: 4 * 27].reshape(4, 3, 3, 3)
    assert backend.conv2d_filter_grad(x, dy, out.shape, out=out) is out
    expected = backend.to_numpy(backend.conv2d_filter_grad(x, dy, out.shape))
    np.testing.assert_array_equal(backend.to_numpy(out), expected)
    assert not backend.to_numpy(vector[4 * 27 :]).any()


X, W, Y = (2, 6, 7, 4), (6, 3, 3, 4), (2, 4, 5, 6)

REFUSED = {
    "stride 0": ({"stride": (0, 1)}, r"stride is \(0, 1\)"),
    "negative stride": ({"stride": (1, -2)}, r"stride is \(1, -2\)"),
    "stride not a pair": ({"stride": (1, 1, 1)}, r"stride is \(1, 1, 1\)"),
    "stride a number": ({"stride": 2}, "stride is 2"),
    "fractional stride": ({"stride": (1.5, 1)}, r"stride is \(1\.5, 1\)"),
    "dilation 0": ({"dilation": (1, 0)}, r"dilation is \(1, 0\)"),
    "negative padding": ({"padding": (-1, 0)}, r"padding \(-1, 0\)"),
    "negative side": ({"padding": ((0, 0), (0, -3))}, r"\(0, -3\)"),
    "padding not a pair": ({"padding": (1,)}, r"padding is \(1,\)"),
    "groups 0": ({"groups": 0}, "groups=0"),
    "groups not a divisor": ({"groups": 5}, "groups=5.*C=4.*K=6"),
    "groups unlike the filters": ({"groups": 2}, r"\(6, 3, 3, 4\).*groups=2"),
    "filter too large": ({"dilation": (3, 4)}, r"3×3.*\(3, 4\).*6×7"),
}


@pytest.mark.parametrize(("options", "message"), REFUSED.values(), ids=REFUSED)
def test_refuses_options(backend, options, message):
    x, w, dy = (backend.zeros(shape) for shape in (X, W, Y))
    with pytest.raises(ShapeError, match=message):
        backend.conv2d_forward(x, w, **options)
    with pytest.raises(ShapeError, match=message):
        backend.conv2d_input_grad(dy, w, X, **options)
    with pytest.raises(ShapeError, match=message):
        backend.conv2d_filter_grad(x, dy, W, **options)


def wrong_arrays(backend, shape):
    """Arrays that no operation takes in place of a good one of this shape, with what is said."""
    other = np.float64 if backend.dtype == np.float32 else np.float32
    wide = backend.zeros((*shape[:-1], 2 * shape[-1]))
    return [
        (backend.zeros(shape, other), f"{np.dtype(other)}.*{backend.dtype}"),
        (backend.zeros(shape, np.int32), "int32"),
        (wide[..., ::2], "not contiguous"),
    ]


def test_refuses_arrays(backend):
    good = {name: backend.zeros(shape) for name, shape in (("x", X), ("w", W), ("dy", Y))}
    good["bias"], good["residual"] = backend.zeros((6,)), backend.zeros(Y)
    for name, array in good.items():
        for wrong, message in wrong_arrays(backend, array.shape):
            given = {**good, name: wrong}
            pattern = f"(?s)^{name} .*{message}"
            if name in ("x", "w", "bias", "residual"):
                with pytest.raises(ShapeError, match=pattern):
                    backend.conv2d_forward(
                        given["x"], given["w"], given["bias"], residual=given["residual"]
                    )
            if name in ("dy", "w"):
                with pytest.raises(ShapeError, match=pattern):
                    backend.conv2d_input_grad(given["dy"], given["w"], X)
            if name in ("x", "dy"):
                with pytest.raises(ShapeError, match=pattern):
                    backend.conv2d_filter_grad(given["x"], given["dy"], W)


def test_refuses_shapes(backend):
    x, w, dy = (backend.zeros(shape) for shape in (X, W, Y))
    with pytest.raises(ShapeError, match=r"x has shape \(2, 6, 7\)"):
        backend.conv2d_forward(backend.zeros((2, 6, 7)), w)
    with pytest.raises(ShapeError, match=r"x has shape \(0, 6, 7, 4\)"):
        backend.conv2d_forward(backend.zeros((0, 6, 7, 4)), w)
    with pytest.raises(ShapeError, match=r"w has shape \(6, 3, 3\)"):
        backend.conv2d_forward(x, backend.zeros((6, 3, 3)))
    with pytest.raises(ShapeError, match=r"\(6, 3, 3, 5\).*\(2, 6, 7, 4\)"):
        backend.conv2d_forward(x, backend.zeros((6, 3, 3, 5)))
    with pytest.raises(ShapeError, match=r"bias has shape \(4,\), expected \(6,\)"):
        backend.conv2d_forward(x, w, backend.zeros((4,)))
    with pytest.raises(ShapeError, match=r"residual has shape .*expected \(2, 4, 5, 6\)"):
        backend.conv2d_forward(x, w, residual=backend.zeros((2, 4, 5, 1)))
    with pytest.raises(ShapeError, match=r"dy has shape \(2, 4, 5, 6\), expected \(2, 5, 5, 6\)"):
        backend.conv2d_input_grad(dy, w, (2, 7, 7, 4))
    with pytest.raises(ShapeError, match=r"dy has shape .*expected \(2, 5, 6, 6\)"):
        backend.conv2d_filter_grad(x, dy, (6, 2, 2, 4))
    with pytest.raises(ShapeError, match=r"out has shape \(6, 3, 3, 5\), expected \(6, 3, 3, 4\)"):
        backend.conv2d_filter_grad(x, dy, W, out=backend.zeros((6, 3, 3, 5)))


def test_a_filter_whose_rows_lie_on_both_sides_of_the_image(backend):
    """Nothing is read, and nothing may be left of what was computed before."""
    x, w = backend.asarray(np.ones((1, 1, 5, 17))), backend.asarray(np.ones((3, 5, 2, 17)))
    bias = backend.asarray(np.array([1.0, 2.0, 3.0]))
    options = {"stride": (4, 2), "dilation": (3, 3)}
    reached = backend.conv2d_forward(x, w, None, padding=((6, 8), (0, 0)), **options)
    np.testing.assert_array_equal(backend.to_numpy(reached), np.full((1, 1, 1, 3), 34.0))
    missed = backend.conv2d_forward(x, w, bias, padding=((7, 7), (0, 0)), **options)
    np.testing.assert_array_equal(backend.to_numpy(missed).ravel(), [1.0, 2.0, 3.0])
