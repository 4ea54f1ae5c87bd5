import numpy as np
import pytest

from gpucnn import init, random
from gpucnn.errors import ConfigError

SHAPES = [(64, 3, 3, 32), (128, 5, 1, 16), (200, 150)]
DEVIATIONS = 5
"""Of the estimate: all seeds are fixed, so a bound once met is always met."""


def check_moments(values, variance, kurtosis):
    """The mean of n has variance σ²/n, the variance of n has (kurtosis − 1)·σ⁴/n."""
    mean, estimate = values.mean(), (values**2).mean()
    n = values.size
    assert abs(mean) < DEVIATIONS * np.sqrt(variance / n)
    assert abs(estimate - variance) < DEVIATIONS * variance * np.sqrt((kurtosis - 1) / n)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("name", "gain"), [("he", 2.0), ("lecun", 1.0)])
def test_normal_initialisers(name, gain, shape):
    values = init.draw(name, shape, 3, 1)
    assert values.shape == shape
    variance = gain / np.prod(shape[1:])
    check_moments(values, variance, kurtosis=3)
    # A normal number is within one deviation with probability 0.6827, not uniform's 0.577.
    share = (abs(values) < np.sqrt(variance)).mean()
    assert abs(share - 0.6827) < DEVIATIONS * np.sqrt(0.6827 * 0.3173 / values.size)


@pytest.mark.parametrize("shape", SHAPES)
def test_glorot(shape):
    values = init.draw("glorot", shape, 3, 1)
    fan_in, fan_out = np.prod(shape[1:]), shape[0] * np.prod(shape[1:-1])
    check_moments(values, 2 / (fan_in + fan_out), kurtosis=9 / 5)
    limit = np.sqrt(6 / (fan_in + fan_out))
    assert values.shape == shape
    assert values.min() >= -limit
    assert values.max() < limit
    # Of n, the largest is within 20/n of the end, except with probability exp(−10).
    assert values.max() > limit * (1 - 20 / values.size)


def test_zeros():
    np.testing.assert_array_equal(init.draw("zeros", (3, 4), 1, 1), np.zeros((3, 4)))


@pytest.mark.parametrize("name", ["he", "lecun", "glorot"])
def test_determined_by_seed_and_stream(name):
    first = init.draw(name, (5, 3, 3, 7), 1, 2)
    np.testing.assert_array_equal(first, init.draw(name, (5, 3, 3, 7), 1, 2))
    assert (first != init.draw(name, (5, 3, 3, 7), 2, 2)).any()
    assert (first != init.draw(name, (5, 3, 3, 7), 1, 3)).any()


def test_the_order_of_values_is_that_of_the_numbers():
    """Output channels first; a reader elsewhere must be able to draw the same filters."""
    filters = init.draw("he", (4, 3, 3, 2), 9, 5)
    numbers = random.normal(9, 5, 0, 72) * np.sqrt(2 / 18)
    np.testing.assert_array_equal(filters.ravel(), numbers)


def test_fans():
    assert init.fans((8, 3, 5, 4)) == (60, 120)
    assert init.fans((10, 7)) == (7, 10)


def test_names():
    assert set(init.names()) == {"he", "glorot", "lecun", "zeros"}
    for name in init.names():
        init.check(name)
    with pytest.raises(ConfigError, match='"glorott"; did you mean "glorot"'):
        init.check("glorott")
