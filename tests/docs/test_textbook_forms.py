"""The formulas of docs/backpropagation.md as textbooks write them, against numerical derivatives.

All sums are loops over complex numbers, so a derivative is found without subtracting: for a
function that is analytic, ∂f/∂x = Im f(x + ih)/h up to h², and h is 1e-30 (Squire and Trapp, "Using
complex variables to estimate derivatives of real functions", SIAM Review 40, 1998). What remains is
rounding. No sum here has more than 50 terms, at most five sums are nested (two passes through the
layer, the loss, and the sums of their gradients), and all magnitudes are below 10. Then 250
roundings of at most 10 · 2⁻⁵³ each are below 1e-12.
"""

import numpy as np
import pytest

from gpucnn.backends import get_backend

BOUND = 1e-12
H = 1e-30
IMAGE, FILTER = (6, 5), (3, 2)


def convolve(one, two):
    """True convolution, full: (one ∗ two)[p, q] = Σ one[r, s] · two[p − r, q − s]."""
    height, width = (a + b - 1 for a, b in zip(one.shape, two.shape, strict=True))
    total = np.zeros((height, width), complex)
    for (r, s), value in np.ndenumerate(one):
        for (u, v), other in np.ndenumerate(two):
            total[r + u, s + v] += value * other
    return total


def convolve_within(large, small):
    """The part of the true convolution in which ``small`` lies within ``large``."""
    rows, columns = (a - 1 for a in small.shape)
    height, width = large.shape
    return convolve(large, small)[rows:height, columns:width]


def correlate_within(large, small):
    """Cross-correlation: [p, q] = Σ large[p + r, q + s] · small[r, s]."""
    height, width = (a - b + 1 for a, b in zip(large.shape, small.shape, strict=True))
    total = np.zeros((height, width), complex)
    for p, q in np.ndindex(height, width):
        for (r, s), value in np.ndenumerate(small):
            total[p, q] += large[p + r, q + s] * value
    return total


def rot180(array):
    return array[::-1, ::-1]


def sigma(z):
    return 1.0 / (1.0 + np.exp(-z))


def mean_squared_error(output, target):
    return ((output - target) ** 2).mean()


def numerical_gradient(function, array):
    gradient = np.empty(array.shape)
    for place in np.ndindex(array.shape):
        moved = array.astype(complex)
        moved[place] += 1j * H
        gradient[place] = function(moved).imag / H
    return gradient


@pytest.fixture
def example(rng):
    """I, F, b and a target for O."""
    size = tuple(a - b + 1 for a, b in zip(IMAGE, FILTER, strict=True))
    return (
        rng.standard_normal(IMAGE),
        rng.standard_normal(FILTER),
        rng.standard_normal(()),
        rng.standard_normal(size),
    )


@pytest.mark.parametrize("forward", [convolve_within, correlate_within])
def test_the_gradients_of_a_layer(example, forward):
    image, filters, bias, target = example

    def loss(image=image, filters=filters, bias=bias):
        return mean_squared_error(sigma(forward(image, filters) + bias), target)

    output = sigma(forward(image, filters) + bias)
    doutput = 2.0 * (output - target) / target.size
    dz = doutput * output * (1.0 - output)

    if forward is convolve_within:
        dfilter = convolve_within(rot180(image), dz)
        dimage = convolve(dz, rot180(filters))
    else:
        dfilter = correlate_within(image, dz)
        rows, columns = (side - 1 for side in FILTER)
        padded = np.pad(dz, ((rows, rows), (columns, columns)))
        dimage = correlate_within(padded, rot180(filters))

    expected = numerical_gradient(lambda moved: loss(filters=moved), filters)
    np.testing.assert_allclose(dfilter, expected, rtol=0, atol=BOUND)
    expected = numerical_gradient(lambda moved: loss(image=moved), image)
    np.testing.assert_allclose(dimage, expected, rtol=0, atol=BOUND)
    expected = numerical_gradient(lambda moved: loss(bias=moved), bias)
    np.testing.assert_allclose(dz.sum(), expected, rtol=0, atol=BOUND)


def test_either_convention_is_wrong_for_the_other(example):
    image, _, _, target = example
    ours = correlate_within(image, target)
    theirs = convolve_within(rot180(image), target)
    np.testing.assert_allclose(theirs, rot180(ours), rtol=0, atol=BOUND)
    assert np.abs(theirs - ours).max() > 0.1


def test_gpucnn_computes_these_gradients(example):
    """By its convention, and with a rotated filter by the other one."""
    image, filters, _, target = example
    backend = get_backend("numpy", "fp64")
    x, w = image[None, :, :, None], filters[None, :, :, None]
    dy = target[None, :, :, None]
    y = backend.conv2d_forward(x, w)
    np.testing.assert_allclose(y[0, :, :, 0], correlate_within(image, filters), atol=BOUND)
    dw = backend.conv2d_filter_grad(x, dy, w.shape)
    np.testing.assert_allclose(dw[0, :, :, 0], correlate_within(image, target), atol=BOUND)
    dx = backend.conv2d_input_grad(dy, w, x.shape)
    np.testing.assert_allclose(dx[0, :, :, 0], convolve(target, filters), atol=BOUND)

    w = np.ascontiguousarray(w[:, ::-1, ::-1])
    y = backend.conv2d_forward(x, w)
    np.testing.assert_allclose(y[0, :, :, 0], convolve_within(image, filters), atol=BOUND)
    dw = backend.conv2d_filter_grad(x, dy, w.shape)[:, ::-1, ::-1]
    expected = convolve_within(rot180(image), target)
    np.testing.assert_allclose(dw[0, :, :, 0], expected, atol=BOUND)
    dx = backend.conv2d_input_grad(dy, w, x.shape)
    np.testing.assert_allclose(dx[0, :, :, 0], convolve(target, rot180(filters)), atol=BOUND)


@pytest.mark.parametrize("limit", [0.5, 100.0])
def test_clipping_by_norm(rng, limit):
    backend = get_backend("numpy", "fp64")
    gradients = rng.standard_normal(100)
    norm = np.sqrt(np.sum(gradients**2))
    expected = gradients * min(1.0, limit / norm)
    backend.clip_by_global_norm(gradients, backend.global_norm(gradients), limit)
    np.testing.assert_allclose(gradients, expected, rtol=0, atol=BOUND)
