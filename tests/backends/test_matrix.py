"""Special cases of the matrix product and of sums of channels: what drawn problems do not have."""

import numpy as np
import pytest

from gpucnn.errors import ShapeError


def test_a_relu_keeps_nan(backend):
    a = backend.asarray(np.array([[np.nan], [-1.0], [2.0]]))
    result = backend.matmul(a, backend.asarray(np.ones((1, 4))), relu=True)
    np.testing.assert_array_equal(backend.to_numpy(result)[:, 3], [np.nan, 0, 2])


def test_matmul_writes_to_out(backend, rng):
    a, b = (backend.asarray(rng.standard_normal(s)) for s in ((3, 4), (4, 5)))
    out = backend.zeros((3, 5))
    assert backend.matmul(a, b, out=out) is out
    np.testing.assert_array_equal(backend.to_numpy(out), backend.to_numpy(backend.matmul(a, b)))


@pytest.mark.parametrize("shape", [(1, 1), (2, 3, 4, 17), (7,)])
def test_channel_sum(backend, rng, shape):
    """Integers, whose sums are exact; along any number of axes."""
    x = rng.integers(-9, 10, shape)
    out = backend.zeros((shape[-1],))
    assert backend.channel_sum(backend.asarray(x.astype(backend.dtype)), out=out) is out
    np.testing.assert_array_equal(backend.to_numpy(out), x.reshape(-1, shape[-1]).sum(axis=0))


@pytest.mark.parametrize(
    "shape", [(2100, 1), (1400, 3), (270, 17), (40, 17, 48), (300, 132), (20000, 128), (70, 2048)]
)
def test_channel_sum_over_many_rows_and_channels(backend, rng, shape):
    """Integers, all sums of which are exact: nothing may be left out or taken twice."""
    x = rng.integers(-9, 10, shape)
    total = backend.channel_sum(backend.asarray(x.astype(backend.dtype)))
    expected = x.reshape(-1, shape[-1]).sum(axis=0)
    np.testing.assert_array_equal(backend.to_numpy(total), expected)


def test_refuses(backend):
    a, b = backend.zeros((3, 4)), backend.zeros((4, 5))
    other = np.float64 if backend.dtype == np.float32 else np.float32
    for call, message in (
        (lambda: backend.matmul(backend.zeros((3, 4), other), b), f"a is {np.dtype(other)}"),
        (lambda: backend.matmul(a, backend.zeros((4, 5), np.int32)), "b is int32"),
        (lambda: backend.matmul(a, backend.zeros((4, 10))[:, ::2]), "b of shape .* contiguous"),
        (lambda: backend.matmul(b.T, b), "a of shape .* contiguous"),
        (lambda: backend.matmul(a, backend.zeros((4,))), r"\(3, 4\) and \(4,\)"),
        (lambda: backend.matmul(a, a), r"\(3, 4\) and \(3, 4\).*4 and 3 differ"),
        (lambda: backend.matmul(a, b, transpose_a=True), "3 and 4 differ"),
        (lambda: backend.matmul(a, b, transpose_b=True), "4 and 5 differ"),
        (lambda: backend.matmul(a, b, bias=backend.zeros((3,))), r"bias .*expected \(5,\)"),
        (lambda: backend.matmul(a, b, out=backend.zeros((5, 3))), r"out .*expected \(3, 5\)"),
        (lambda: backend.channel_sum(backend.zeros((4, 6), other)), f"x is {np.dtype(other)}"),
        (lambda: backend.channel_sum(backend.zeros((4, 6))[:, ::2]), "x of shape .* contiguous"),
        (lambda: backend.channel_sum(backend.zeros(())), r"x has shape \(\); .*C at least 1"),
        (lambda: backend.channel_sum(backend.zeros((4, 0))), r"x has shape \(4, 0\)"),
        (lambda: backend.channel_sum(b, out=backend.zeros((4,))), r"out .*expected \(5,\)"),
    ):
        with pytest.raises(ShapeError, match=f"(?s){message}"):
            call()
