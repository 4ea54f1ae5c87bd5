"""Special cases of the losses and of the running totals: what drawn cases do not have."""

import numpy as np
import pytest
from tolerance import assert_close

from gpucnn.check.case import Case
from gpucnn.check.expected import expect
from gpucnn.errors import ShapeError
from gpucnn.operations import OPERATIONS
from gpucnn.operations.loss import SoftmaxCrossEntropyInputGrad
from gpucnn.operations.tracked import Tracked

INF, NAN = float("inf"), float("nan")


def batch(rng, N, K, spread=2.0):
    scores = (spread * rng.standard_normal((N, K))).astype(np.float32)
    return scores, rng.integers(0, K, N).astype(np.int32)


@pytest.mark.parametrize("spread", [0.0, 1e-3, 30.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.9, 0.99])
def test_strong_smoothing_and_scores_alike_or_far_apart(backend, rng, smoothing, spread):
    logits, labels = batch(rng, 3, 10, spread)
    arguments = {"logits": logits, "labels": labels, "label_smoothing": smoothing}
    case = Case(OPERATIONS["softmax_cross_entropy_forward"], arguments)
    outcome = case.run(backend)
    assert not expect(case, backend.dtype).complaint(outcome)
    rest = {"labels": labels, "label_smoothing": smoothing, "scale": 1 / 48}
    probabilities = outcome["probabilities"].astype(np.float32)
    arguments = {"probabilities": probabilities, **rest}
    case = Case(OPERATIONS["softmax_cross_entropy_input_grad"], arguments)
    assert not expect(case, backend.dtype).complaint(case.run(backend))


def test_huge_logits_do_not_overflow(backend):
    logits = backend.asarray(np.array([[1e30, 0, -1e30], [-1e4, -1e4, -1e4], [2000, 0, 0]]))
    labels = backend.asarray(np.array([0, 1, 1], np.int32))
    losses, p = backend.softmax_cross_entropy_forward(logits, labels)
    expected = [[1, 0, 0], [1 / 3] * 3, [1, 0, 0]]
    few = 16 * np.finfo(backend.dtype).eps
    assert_close(backend.to_numpy(p), expected, few)
    assert_close(backend.to_numpy(losses), [0, np.log(3), 2000], [few, few, 2000 * few])
    assert_close(backend.to_numpy(backend.softmax(logits)), expected, few)


def test_minus_infinity_is_a_class_ruled_out(backend):
    logits = backend.asarray(np.array([[-INF, 0.0, 0.0], [0.0, -INF, -INF]]))
    labels = backend.asarray(np.array([1, 0], np.int32))
    losses, p = backend.softmax_cross_entropy_forward(logits, labels)
    few = 16 * np.finfo(backend.dtype).eps
    assert_close(backend.to_numpy(losses), [np.log(2), 0], few)
    assert_close(backend.to_numpy(p), [[0, 0.5, 0.5], [1, 0, 0]], few)
    ruled_out = backend.asarray(np.array([0, 1], np.int32))
    losses, _ = backend.softmax_cross_entropy_forward(logits, ruled_out)
    np.testing.assert_array_equal(backend.to_numpy(losses), [INF, INF])


def test_nan_stays_in_its_row(backend):
    logits = backend.asarray(np.array([[0.0, NAN], [0.0, 0.0], [INF, 0.0]]))
    losses, _ = backend.softmax_cross_entropy_forward(logits, backend.zeros((3,), np.int32))
    losses = backend.to_numpy(losses)
    assert not np.isfinite(losses[[0, 2]]).any()
    assert abs(losses[1] - np.log(2)) < 16 * np.finfo(backend.dtype).eps


def test_gradients_of_a_row_cancel(backend, rng):
    """Σ_k (p_k − t_k) = 0, as both sum to 1; within the errors of the gradients themselves."""
    scores, labels = batch(rng, 6, 11)
    there = backend.asarray(labels)
    _, p = backend.softmax_cross_entropy_forward(backend.asarray(scores), there, 0.2)
    gradient = backend.to_numpy(backend.softmax_cross_entropy_input_grad(p, there, 0.2, 1.0))
    exact = Tracked(scores, dtype=backend.dtype)
    powers = (exact - exact.value.max(axis=1, keepdims=True)).exp()
    softmax = powers / powers.sum(1, keepdims=True)
    wanted = SoftmaxCrossEntropyInputGrad.reference(softmax, labels, 0.2, 1.0)["dlogits"]
    allowed = wanted.bound.sum(axis=1)
    assert_close(gradient.astype(float).sum(axis=1), np.zeros(6), allowed)


@pytest.mark.parametrize("smoothing", [0.0, 0.25])
def test_targets_of_labels_are_the_loss_of_labels(backend, rng, smoothing):
    """Each row weighted by a power of two, which multiplies the loss and the gradient exactly."""
    scores, labels = batch(rng, 9, 8)
    weights = 2.0 ** rng.integers(-2, 3, 9)
    targets = np.full((9, 8), smoothing / 8)
    targets[np.arange(9), labels] += 1 - smoothing
    logits, there = backend.asarray(scores), backend.asarray(labels)
    soft = backend.asarray(targets * weights[:, None])
    losses, p = backend.soft_cross_entropy_forward(logits, soft)
    wanted, same_p = backend.softmax_cross_entropy_forward(logits, there, smoothing)
    np.testing.assert_array_equal(backend.to_numpy(p), backend.to_numpy(same_p))
    few = 64 * np.finfo(backend.dtype).eps
    wanted = backend.to_numpy(wanted) * weights
    assert_close(backend.to_numpy(losses), wanted, few * wanted)
    gradient = backend.to_numpy(backend.soft_cross_entropy_input_grad(p, soft, 0.5))
    wanted = backend.softmax_cross_entropy_input_grad(p, there, smoothing, 0.5)
    wanted = backend.to_numpy(wanted) * weights[:, None]
    assert_close(gradient, wanted, few * weights[:, None])


def test_a_class_without_a_target_may_be_ruled_out(backend):
    logits = backend.asarray(np.array([[-INF, 0.0, 0.0], [0.0, -INF, 0.0]]))
    targets = backend.asarray(np.array([[0.0, 0.5, 0.25], [0.5, 0.5, 0.0]]))
    losses, _ = backend.soft_cross_entropy_forward(logits, targets)
    losses = backend.to_numpy(losses)
    assert abs(losses[0] - 0.75 * np.log(2)) < 16 * np.finfo(backend.dtype).eps
    assert losses[1] == INF


def test_metrics_count_the_first_largest_score(backend):
    scores = [
        [0, 2, 1],  # right
        [0, 2, 2],  # a tie: the first counts, right
        [0, 2, 2],  # a tie: the second does not count
        [3, 1, 2],  # wrong
        [NAN, 0, 1],  # the largest number is the label's, but a NaN is in the row
        [NAN, 0, 1],  # the label's own score is the NaN
        [0, NAN, 1],
        [-INF, -INF, -INF],  # the first of equals
        [INF, 0, 0],
    ]
    labels = np.array([1, 1, 2, 2, 2, 0, 1, 0, 0], np.int32)
    losses = backend.asarray(np.arange(9.0))
    totals = backend.asarray(np.array([10.0, 5.0]), np.float64)
    arguments = backend.asarray(np.array(scores, float)), backend.asarray(labels)
    backend.accumulate_metrics(totals, losses, *arguments)
    np.testing.assert_array_equal(backend.to_numpy(totals), [10 + 36, 5 + 4])
    backend.accumulate_metrics(totals, losses, *arguments)
    np.testing.assert_array_equal(backend.to_numpy(totals), [10 + 72, 5 + 8])


def test_metrics_sum_in_float64(backend):
    """2²⁵ + 1 is no FP32 number."""
    totals = backend.zeros((2,), np.float64)
    losses = backend.asarray(np.array([2.0**25, 1.0, 1.0, 1.0]))
    scores, labels = backend.zeros((4, 2)), backend.zeros((4,), np.int32)
    backend.accumulate_metrics(totals, losses, scores, labels)
    np.testing.assert_array_equal(backend.to_numpy(totals), [2**25 + 3, 4])


def test_arguments_stay_as_they_are(backend, rng):
    scores, labels = batch(rng, 5, 4)
    there, labels_there = backend.asarray(scores.copy()), backend.asarray(labels)
    backend.softmax(there)
    backend.softmax_cross_entropy_forward(there, labels_there, 0.1)
    backend.softmax_cross_entropy_input_grad(there, labels_there, 0.1, 1.0)
    backend.soft_cross_entropy_forward(there, there)
    backend.soft_cross_entropy_input_grad(there, there, 1.0)
    backend.mean_squared_error_forward(there, labels_there)
    backend.mean_squared_error_input_grad(there, labels_there, 1.0)
    np.testing.assert_array_equal(backend.to_numpy(there), scores)


def test_refuses(backend):
    scores, labels = backend.zeros((4, 3)), backend.zeros((4,), np.int32)
    other = backend.zeros((4, 3), np.float64 if backend.dtype == np.float32 else np.float32)
    losses, totals = backend.zeros((4,)), backend.zeros((2,), np.float64)
    every = (
        backend.softmax_cross_entropy_forward,
        lambda scores, labels: backend.softmax_cross_entropy_input_grad(scores, labels, 0.0, 1.0),
        backend.mean_squared_error_forward,
        lambda scores, labels: backend.mean_squared_error_input_grad(scores, labels, 1.0),
        lambda scores, labels: backend.accumulate_metrics(totals, losses, scores, labels),
    )
    for call in every:
        for wrong_scores, wrong_labels, message in (
            (other, labels, f"is {other.dtype}"),
            (backend.zeros((4,)), labels, r"shape \(4,\)"),
            (backend.zeros((4, 6))[:, ::2], labels, "not contiguous"),
            (scores, labels[:3], r"labels has shape \(3,\), expected \(4,\)"),
            (scores, backend.zeros((4,), np.int64), "labels is int64.*int32"),
            (scores, losses, f"labels is {losses.dtype}"),
        ):
            with pytest.raises(ShapeError, match=message):
                call(wrong_scores, wrong_labels)
    for smoothing in (-0.1, 1.0, NAN):
        with pytest.raises(ShapeError, match=f"label_smoothing is {smoothing}"):
            backend.softmax_cross_entropy_forward(scores, labels, smoothing)
        with pytest.raises(ShapeError, match=f"label_smoothing is {smoothing}"):
            backend.softmax_cross_entropy_input_grad(scores, labels, smoothing, 1.0)
    for call in (
        backend.soft_cross_entropy_forward,
        lambda scores, targets: backend.soft_cross_entropy_input_grad(scores, targets, 1.0),
    ):
        with pytest.raises(ShapeError, match=f"targets is {other.dtype}"):
            call(scores, other)
        with pytest.raises(ShapeError, match=r"targets has shape \(4,\), expected \(4, 3\)"):
            call(scores, losses)
    with pytest.raises(ShapeError, match=f"logits is {other.dtype}"):
        backend.softmax(other)
    with pytest.raises(ShapeError, match=r"shape \(4,\)"):
        backend.softmax(losses)
    with pytest.raises(ShapeError, match=r"losses has shape \(2,\), expected \(4,\)"):
        backend.accumulate_metrics(totals, losses[:2], scores, labels)
    with pytest.raises(ShapeError, match=r"totals is int64.*float64"):
        backend.accumulate_metrics(backend.zeros((2,), np.int64), losses, scores, labels)
