import oracle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucnn.errors import ShapeError
from gpucnn.operations.geometry import (
    as_pair,
    as_sides,
    conv2d_geometry,
    output_size,
    pool2d_geometry,
    same_padding,
)

SMALL, PAD = st.integers(1, 9), st.integers(0, 4)


@given(size=SMALL, window=SMALL, stride=SMALL, before=PAD, after=PAD, dilation=st.integers(1, 3))
def test_output_size_counts_windows(size, window, stride, before, after, dilation):
    expected = oracle.output_length(size, window, stride, before, after, dilation)
    assert max(0, output_size(size, window, stride, (before, after), dilation)) == expected


@given(size=st.integers(1, 40), window=SMALL, stride=SMALL, dilation=st.integers(1, 3))
def test_same_padding_rounds_up(size, window, stride, dilation):
    before, after = same_padding(size, window, stride, dilation)
    assert after - before in (0, 1)
    assert output_size(size, window, stride, (before, after), dilation) == -(-size // stride)
    # No less would do, unless there is none at all.
    if before + after:
        less = output_size(size, window, stride, (before, after - 1), dilation)
        assert less < -(-size // stride)


def test_same_padding_by_hand():
    assert same_padding(5, 3, 1, 1) == (1, 1)
    assert same_padding(5, 2, 1, 1) == (0, 1)
    assert same_padding(5, 4, 2, 1) == (1, 2)
    assert same_padding(6, 3, 2, 1) == (0, 1)
    assert same_padding(7, 3, 1, 2) == (2, 2)
    assert same_padding(4, 1, 2, 1) == (0, 0)


def test_padding_in_both_forms():
    assert as_sides((1, 2)) == ((1, 1), (2, 2))
    assert as_sides(((1, 0), (2, 3))) == ((1, 0), (2, 3))
    assert as_sides((1, (2, 3))) == ((1, 1), (2, 3))
    assert as_pair((3, 4), "window") == (3, 4)


def test_convolution_shapes():
    problem = conv2d_geometry((8, 31, 30, 6), (9, 3, 5, 2), (2, 1), ((1, 0), (2, 2)), (1, 2), 3)
    assert (problem.P, problem.Q) == (15, 26)
    assert problem.x_shape == (8, 31, 30, 6)
    assert problem.w_shape == (9, 3, 5, 2)
    assert problem.y_shape == (8, 15, 26, 9)
    assert problem.padding == ((1, 0), (2, 2))
    assert problem.multiply_adds == 8 * 15 * 26 * 9 * 3 * 5 * 2


def test_groups_that_are_no_integer_are_refused_and_not_remembered():
    """2.0 equals 2 and has its hash: a remembered answer must not stand for the other."""
    shapes = (1, 5, 5, 4), (6, 3, 3, 2)
    options = ((1, 1), (0, 0), (1, 1))
    with pytest.raises(ShapeError, match=r"groups is 2\.0"):
        conv2d_geometry(*shapes, *options, 2.0)
    assert type(conv2d_geometry(*shapes, *options, 2).groups) is int


def test_a_stride_is_refused_whatever_was_asked_before():
    shapes = (1, 5, 6, 4), (6, 3, 3, 4)
    conv2d_geometry(*shapes, (1, 1), (0, 0), (1, 1), 1)
    with pytest.raises(ShapeError, match=r"stride is \(1\.0, 1\.0\)"):
        conv2d_geometry(*shapes, (1.0, 1.0), (0, 0), (1, 1), 1)


def test_pooling_shapes():
    problem = pool2d_geometry((2, 7, 8, 3), (3, 2), (2, 2), (1, 0))
    assert problem.x_shape == (2, 7, 8, 3)
    assert problem.y_shape == (2, 4, 4, 3)


@pytest.mark.parametrize(
    ("x", "window", "padding", "fits"),
    [
        ((1, 4, 4, 1), (3, 3), ((2, 0), (0, 0)), True),
        ((1, 4, 4, 1), (3, 3), ((3, 0), (0, 0)), False),
        ((1, 4, 4, 1), (3, 3), ((0, 2), (0, 0)), True),
        ((1, 4, 4, 1), (3, 3), ((0, 3), (0, 0)), False),
        ((1, 4, 4, 1), (3, 3), ((0, 0), (3, 0)), False),
        ((1, 4, 4, 1), (3, 3), ((0, 0), (0, 3)), False),
        ((1, 1, 1, 1), (3, 3), ((2, 2), (2, 2)), True),
    ],
)
def test_windows_in_the_padding(x, window, padding, fits):
    if fits:
        pool2d_geometry(x, window, (1, 1), padding)
    else:
        with pytest.raises(ShapeError, match="lies wholly in the padding"):
            pool2d_geometry(x, window, (1, 1), padding)


@pytest.mark.parametrize(
    "padding",
    [
        -1,
        None,
        "same",
        (1,),
        (1, 2, 3),
        (-1, 0),
        ((0, -1), (0, 0)),
        ((1,), 2),
        ((1, 2, 3), 0),
        (1.5, 0),
        ((1.5, 0), (0, 0)),
        (None, 1),
    ],
)
def test_refuses_padding(padding):
    with pytest.raises(ShapeError, match="padding"):
        as_sides(padding)


@pytest.mark.parametrize("pair", [3, (1,), (1, 2, 3), (0, 1), (1, -1), (1, 2.0), ("2", 2), None])
def test_refuses_pairs(pair):
    with pytest.raises(ShapeError, match="window is"):
        as_pair(pair, "window")
