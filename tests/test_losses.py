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


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_soft_targets_are_smoothed_and_weighted_on_the_host(backend, batch, smoothing):
    """Against the definition: −Σ w·t·log p, whose gradient is p·Σ w·t − w·t."""
    scores, labels = batch
    shares = np.array([0.0, 0.2, 0.5, 0.7, 0.9, 1.0])[:, None]
    one_hot = np.eye(4)[labels]
    mixed = (shares * one_hot + (1 - shares) * one_hot[::-1]).astype(np.float32)
    loss = SoftmaxCrossEntropy(smoothing, [0.5, 1.0, 2.0, 0.0])
    loss.prepare(np.array([1, 1, 1, 1]))
    target = loss.target(labels, mixed, is_training=True)
    values = loss.forward(backend, backend.asarray(scores), backend.asarray(target))
    weighted = (1 - smoothing) * mixed.astype(np.float64) + smoothing / 4
    weighted *= [0.5, 1.0, 2.0, 0.0]
    exact = scores.astype(np.float64)
    p = np.exp(exact) / np.exp(exact).sum(axis=1, keepdims=True)
    few = 64 * np.finfo(backend.dtype).eps
    expected = -(weighted * np.log(p)).sum(axis=1)
    np.testing.assert_allclose(backend.to_numpy(values), expected, rtol=few, atol=few)
    gradient = backend.to_numpy(loss.backward(backend, 24))
    expected = (p * weighted.sum(axis=1, keepdims=True) - weighted) / 24
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=few)


def test_balanced_weights_make_classes_count_alike():
    loss = SoftmaxCrossEntropy(class_weights="balanced")
    sizes = np.array([10, 30, 0, 60])
    loss.prepare(sizes)
    labels = np.repeat(np.arange(4, dtype=np.int32), sizes)
    weights = loss.target(labels, None, is_training=True).sum(axis=1)
    for label in (0, 1, 3):
        assert weights[labels == label].sum() == pytest.approx(100 / 4)


def test_labels_stay_labels_unless_classes_are_weighted():
    labels = np.array([2, 0], np.int32)
    loss = SoftmaxCrossEntropy(0.1, [1.0, 2.0, 3.0])
    loss.prepare(np.array([5, 5, 5]))
    assert loss.target(labels, None, is_training=False) is labels
    assert loss.target(labels, None, is_training=True).shape == (2, 3)
    unweighted = SoftmaxCrossEntropy(0.1)
    unweighted.prepare(np.array([5, 5, 5]))
    assert unweighted.target(labels, None, is_training=True) is labels
    assert MeanSquaredError().target(labels, None, is_training=True) is labels


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, -1.0], "a number in class_weights is -1"),
        ([1.0, float("nan")], "a number in class_weights is nan"),
        ([0.0, 0.0], "no number above 0"),
    ],
)
def test_refuses_weights(weights, message):
    with pytest.raises(ConfigError, match=message):
        SoftmaxCrossEntropy(class_weights=weights)


def test_refuses_weights_of_other_classes():
    with pytest.raises(ConfigError, match="class_weights has 2 numbers; there are 3 classes"):
        SoftmaxCrossEntropy(class_weights=[1.0, 2.0]).prepare(np.array([1, 2, 3]))


def test_by_name():
    assert losses.names() == ["softmax_cross_entropy", "mean_squared_error", "huber"]
    loss = losses.create({"name": "softmax_cross_entropy", "label_smoothing": 0.1}, "loss")
    assert loss.label_smoothing == 0.1


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, float("nan")])
def test_refuses(smoothing):
    with pytest.raises(ConfigError, match=f"label_smoothing is {smoothing}"):
        SoftmaxCrossEntropy(smoothing)
