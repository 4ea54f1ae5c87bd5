"""Special cases of a regression's losses and totals: what drawn cases do not have."""

import numpy as np
import pytest

from gpucnn.errors import ShapeError

INF, NAN = float("inf"), float("nan")


def test_squared_error_by_hand(backend):
    x = backend.asarray(np.array([[1.0, 2.0], [0.0, -3.0]]))
    y = backend.asarray(np.array([[0.0, 4.0], [0.0, -3.0]]))
    losses = backend.to_numpy(backend.squared_error_forward(x, y))
    np.testing.assert_array_equal(losses, [2.5, 0.0])
    gradient = backend.to_numpy(backend.squared_error_input_grad(x, y, 0.5))
    np.testing.assert_array_equal(gradient, [[0.5, -1.0], [0.0, 0.0]])


def test_huber_by_hand(backend):
    """Differences of 0, ±delta, and beyond on both sides."""
    x = backend.asarray(np.array([[0.0], [2.0], [-2.0], [5.0], [-5.0], [1.0]]))
    y = backend.zeros((6, 1))
    losses = backend.to_numpy(backend.huber_forward(x, y, 2.0))
    np.testing.assert_array_equal(losses, [0.0, 2.0, 2.0, 8.0, 8.0, 0.5])
    gradient = backend.to_numpy(backend.huber_input_grad(x, y, 2.0, 0.5))
    np.testing.assert_array_equal(gradient, [[0.0], [1.0], [-1.0], [1.0], [-1.0], [0.5]])


def test_what_is_not_finite(backend):
    x = backend.asarray(np.array([[NAN, 0.0], [INF, 0.0], [-INF, 0.0], [1.0, 0.0]]))
    y = backend.asarray(np.array([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [NAN, 0.0]]))
    for losses in (backend.squared_error_forward(x, y), backend.huber_forward(x, y, 1.0)):
        np.testing.assert_array_equal(backend.to_numpy(losses), [NAN, INF, INF, NAN])
    gradient = backend.to_numpy(backend.huber_input_grad(x, y, 1.0, 1.0))
    np.testing.assert_array_equal(gradient[:, 0], [NAN, 0.5, -0.5, NAN])


def test_totals_are_sums_in_float64(backend):
    """2²⁵ + 1 is no FP32 number."""
    totals = backend.asarray(np.array([1.0, 2.0]), np.float64)
    losses = backend.asarray(np.array([2.0**25, 1.0, 1.0, 1.0]))
    x = backend.asarray(np.array([[2.0**13, 0.0], [2.0, 0.0], [0.0, 2.0], [0.0, 0.0]]))
    y = backend.zeros((4, 2))
    backend.accumulate_errors(totals, losses, x, y)
    expected = [1.0 + 2**25 + 3, 2.0 + (2**26 + 8) / 2]
    np.testing.assert_array_equal(backend.to_numpy(totals), expected)
    guard = backend.asarray(np.array([1], np.int32))
    backend.accumulate_errors(totals, losses, x, y, guard)
    np.testing.assert_array_equal(backend.to_numpy(totals), expected)


@pytest.mark.parametrize("operation", ["mse_loss", "huber_loss"])
def test_pytorch_has_the_same_losses_and_gradients(backend, rng, operation):
    torch = pytest.importorskip("torch")
    x, y = (3 * rng.standard_normal((2, 37, 5))).astype(np.float32)
    options = {"delta": 1.25} if operation == "huber_loss" else {}
    theirs = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    loss = getattr(torch.nn.functional, operation)(
        theirs, torch.tensor(y, dtype=torch.float64), **options
    )
    loss.backward()
    ours = backend.asarray(x), backend.asarray(y)
    if options:
        losses = backend.huber_forward(*ours, **options)
        gradient = backend.huber_input_grad(*ours, **options, scale=1 / 37)
    else:
        losses = backend.squared_error_forward(*ours)
        gradient = backend.squared_error_input_grad(*ours, 1 / 37)
    # A difference, a square, a sum of five, a division: each rounds by half an epsilon at most.
    few = 8 * np.finfo(np.float32).eps
    mean = backend.to_numpy(losses).mean(dtype=np.float64)
    np.testing.assert_allclose(mean, loss.item(), rtol=few)
    # Where x and y are close, their difference still has the error of both.
    np.testing.assert_allclose(backend.to_numpy(gradient), theirs.grad.numpy(), few, few)


def test_refuses(backend):
    x, y = backend.zeros((4, 3)), backend.zeros((4, 2))
    labels, totals = backend.zeros((4,), np.int32), backend.zeros((2,), np.float64)
    losses = backend.zeros((4,))
    for call in (
        backend.squared_error_forward,
        lambda x, y: backend.squared_error_input_grad(x, y, 1.0),
        lambda x, y: backend.huber_forward(x, y, 1.0),
        lambda x, y: backend.huber_input_grad(x, y, 1.0, 1.0),
        lambda x, y: backend.accumulate_errors(totals, losses, x, y),
    ):
        with pytest.raises(ShapeError, match=r"targets has shape \(4, 2\), expected \(4, 3\)"):
            call(x, y)
        with pytest.raises(ShapeError, match="targets is int32"):
            call(x, labels)
        with pytest.raises(ShapeError, match=r"shape \(4,\)"):
            call(losses, losses)
    for delta in (0.0, -1.0, INF, NAN):
        with pytest.raises(ShapeError, match=f"delta is {delta}"):
            backend.huber_forward(x, x, delta)
        with pytest.raises(ShapeError, match=f"delta is {delta}"):
            backend.huber_input_grad(x, x, delta, 1.0)
    with pytest.raises(ShapeError, match="shards is 0"):
        backend.accumulate_errors(totals, losses, x, x, shards=0)
    with pytest.raises(ShapeError, match=r"guard has shape \(2,\)"):
        backend.accumulate_errors(totals, losses, x, x, backend.zeros((2,), np.int32))
