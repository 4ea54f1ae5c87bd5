import numpy as np
import oracle
import pytest
from tolerance import assert_tracked, track

from gpucnn.errors import ConfigError
from gpucnn.losses import MeanSquaredError, SoftmaxCrossEntropy, losses


@pytest.fixture
def batch(backend, rng):
    scores = rng.standard_normal((6, 4)).astype(backend.dtype)
    labels = rng.integers(0, 4, 6).astype(np.int32)
    return scores, labels


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_softmax_cross_entropy(backend, batch, smoothing):
    scores, labels = batch
    loss = SoftmaxCrossEntropy(label_smoothing=smoothing)
    values = loss.forward(backend, backend.asarray(scores), backend.asarray(labels))
    tracked = track(scores, backend.dtype)
    expected = oracle.softmax_cross_entropy(tracked, labels, smoothing)
    assert_tracked(backend.to_numpy(values), expected, backend.dtype)
    gradient = loss.backward(backend, 24)
    p = oracle.softmax(tracked)
    expected = oracle.softmax_cross_entropy_input_grad(p, labels, smoothing, 1 / 24)
    assert_tracked(backend.to_numpy(gradient), expected, backend.dtype)


def test_mean_squared_error(backend, batch):
    scores, labels = batch
    loss = MeanSquaredError()
    values = loss.forward(backend, backend.asarray(scores), backend.asarray(labels))
    tracked = track(scores, backend.dtype)
    expected = oracle.mean_squared_error(tracked, labels)
    assert_tracked(backend.to_numpy(values), expected, backend.dtype)
    gradient = loss.backward(backend, 24)
    expected = oracle.mean_squared_error_input_grad(tracked, labels, 1 / 24)
    assert_tracked(backend.to_numpy(gradient), expected, backend.dtype)


@pytest.mark.parametrize("make", [MeanSquaredError, lambda: SoftmaxCrossEntropy(0.2)])
def test_gradient_is_the_slope_of_the_mean(exact, rng, make):
    """Both losses are smooth: an error of order h² = 10⁻¹⁰, and of u/h = 10⁻¹¹ by rounding."""
    scores = rng.standard_normal((3, 5))
    labels = np.array([0, 4, 2], np.int32)
    loss = make()
    loss.forward(exact, scores, labels)
    gradient = loss.backward(exact, 3)
    for place in np.ndindex(scores.shape):
        step = np.zeros_like(scores)
        step[place] = 1e-5
        above = loss.forward(exact, scores + step, labels).mean()
        below = loss.forward(exact, scores - step, labels).mean()
        assert abs((above - below) / 2e-5 - gradient[place]) < 1e-8


def test_parts_of_a_global_batch_make_the_whole_gradient(exact, batch):
    scores, labels = batch
    scores = scores.astype(np.float64)
    for loss in (SoftmaxCrossEntropy(0.1), MeanSquaredError()):
        loss.forward(exact, scores, labels)
        whole = loss.backward(exact, 6)
        parts = []
        for part in (slice(0, 2), slice(2, 6)):
            loss.forward(exact, scores[part], labels[part])
            parts.append(loss.backward(exact, 6))
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_by_name():
    assert losses.names() == ["softmax_cross_entropy", "mean_squared_error"]
    loss = losses.create({"name": "softmax_cross_entropy", "label_smoothing": 0.1}, "loss")
    assert loss.label_smoothing == 0.1


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, float("nan")])
def test_refuses(smoothing):
    with pytest.raises(ConfigError, match=f"label_smoothing is {smoothing}"):
        SoftmaxCrossEntropy(smoothing)
