import numpy as np
import pytest

from gpucnn.errors import ConfigError
from gpucnn.losses import MeanSquaredError, SoftmaxCrossEntropy, losses
from gpucnn.operations import loss as described
from gpucnn.operations.tracked import Tracked


@pytest.fixture
def batch(backend, rng):
    scores = rng.standard_normal((6, 4)).astype(backend.dtype)
    labels = rng.integers(0, 4, 6).astype(np.int32)
    return scores, labels


def agree(backend, result, expected):
    assert (abs(backend.to_numpy(result) - expected.value) <= expected.bound).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_softmax_cross_entropy(backend, batch, smoothing):
    scores, labels = batch
    loss = SoftmaxCrossEntropy(label_smoothing=smoothing)
    values = loss.forward(backend, backend.asarray(scores), backend.asarray(labels))
    exact = Tracked(scores, dtype=backend.dtype)
    expected = described.SoftmaxCrossEntropyForward.reference(exact, labels, smoothing)
    agree(backend, values, expected["losses"])
    gradient = loss.backward(backend, 24)
    kind = described.SoftmaxCrossEntropyInputGrad
    expected = kind.reference(expected["probabilities"], labels, smoothing, 1 / 24)
    agree(backend, gradient, expected["dlogits"])


def test_mean_squared_error(backend, batch):
    scores, labels = batch
    loss = MeanSquaredError()
    values = loss.forward(backend, backend.asarray(scores), backend.asarray(labels))
    exact = Tracked(scores, dtype=backend.dtype)
    expected = described.MeanSquaredErrorForward.reference(exact, labels)
    agree(backend, values, expected["losses"])
    gradient = loss.backward(backend, 24)
    expected = described.MeanSquaredErrorInputGrad.reference(exact, labels, 1 / 24)
    agree(backend, gradient, expected["gradient"])


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
    assert losses.names() == ["softmax_cross_entropy", "mean_squared_error", "huber"]
    loss = losses.create({"name": "softmax_cross_entropy", "label_smoothing": 0.1}, "loss")
    assert loss.label_smoothing == 0.1


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, float("nan")])
def test_refuses(smoothing):
    with pytest.raises(ConfigError, match=f"label_smoothing is {smoothing}"):
        SoftmaxCrossEntropy(smoothing)
