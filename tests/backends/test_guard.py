"""A step that must not be taken changes nothing, and the first one is remembered."""

import numpy as np
import pytest

from gpucnn.errors import ShapeError

INF, NAN = float("inf"), float("nan")


def guarded(backend, losses, norm=1.0, before=0, step=5):
    guard = backend.asarray(np.array([before], np.int32))
    there = backend.asarray(np.asarray(losses, float))
    backend.guard_step(guard, backend.asarray(np.array([norm]), np.float64), there, step)
    return int(backend.to_numpy(guard)[0])


@pytest.mark.parametrize("count", [1, 31, 256, 257, 1000])
@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_any_loss_refuses(backend, count, value):
    losses = np.linspace(-1.0, 1.0, count)
    assert guarded(backend, losses) == 0
    for place in {0, count // 2, count - 1}:
        wrong = losses.copy()
        wrong[place] = value
        assert guarded(backend, wrong) == 5


def test_the_norm_refuses(backend):
    for norm, expected in ((0.0, 0), (1e300, 0), (NAN, 5), (INF, 5)):
        assert guarded(backend, [1.0, 2.0], norm) == expected
    assert guarded(backend, [float(np.finfo(backend.dtype).max)] * 3) == 0


def test_the_first_refused_step_is_remembered(backend):
    assert guarded(backend, [1.0], before=3) == 3
    assert guarded(backend, [NAN], before=3) == 3


def test_any_step_that_fits_a_guard(backend):
    for step in (1, 2**31 - 2**23 + 1, 2**31 - 1):
        assert guarded(backend, [NAN], step=step) == step


def steps(backend, guard):
    """Every operation that a guard holds back, on the same arrays; what they are afterwards."""
    rng = np.random.default_rng(3)
    vectors = [backend.asarray(abs(rng.standard_normal(1030))) for _ in range(4)]
    totals = backend.asarray(np.array([2.0, 3.0]), np.float64)
    losses, scores = backend.asarray(np.ones(4)), backend.asarray(np.eye(4))
    labels = backend.asarray(np.arange(4), np.int32)
    for nesterov in (False, True):
        backend.sgd_step(*vectors[:3], 0.1, 0.9, nesterov, 0.01, guard)
    backend.sgd_step(*vectors[:2], None, 0.1, 0.0, False, 0.01, guard)
    backend.adam_step(*vectors, 1, 0.1, 0.9, 0.999, 1e-8, 0.01, guard)
    backend.adamw_step(*vectors, 1, 0.1, 0.9, 0.999, 1e-8, 0.01, guard)
    backend.accumulate_metrics(totals, losses, scores, labels, guard)
    return [backend.to_numpy(array) for array in (*vectors, totals)]


def test_a_guard_holds_back_each_operation(backend):
    free = steps(backend, None)
    passed = steps(backend, backend.zeros((1,), np.int32))
    held = steps(backend, backend.asarray(np.array([9], np.int32)))
    rng = np.random.default_rng(3)
    untouched = [abs(rng.standard_normal(1030)).astype(backend.dtype) for _ in range(4)]
    for one, other in zip(free, passed, strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(held, [*untouched, [2.0, 3.0]], strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(free[4], [6.0, 7.0])
    assert (free[0] != untouched[0]).all()


@pytest.mark.parametrize(
    "name", ["sgd_step", "sgd_step_without_velocity", "adam_step", "adamw_step", "update_average"]
)
def test_a_guard_holds_back_each_step_alone(backend, name):
    rng = np.random.default_rng(4)
    host = [abs(rng.standard_normal(7)) for _ in range(4)]
    w, g, m, v = (backend.asarray(array) for array in host)
    guard = backend.asarray(np.array([1], np.int32))
    if name == "sgd_step":
        backend.sgd_step(w, g, m, 0.1, 0.9, False, 0.01, guard)
    elif name == "sgd_step_without_velocity":
        backend.sgd_step(w, g, None, 0.1, 0.0, False, 0.01, guard)
    elif name == "update_average":
        backend.update_average(w, g, 0.5, guard)
    else:
        getattr(backend, name)(w, g, m, v, 1, 0.1, 0.9, 0.999, 1e-8, 0.01, guard)
    for array, before in zip((w, m, v), (host[0], *host[2:]), strict=True):
        np.testing.assert_array_equal(backend.to_numpy(array), before.astype(backend.dtype))


def test_refuses(backend):
    guard, norm = backend.zeros((1,), np.int32), backend.zeros((1,), np.float64)
    losses, v = backend.zeros((3,)), backend.zeros((4,))
    scores, labels = backend.zeros((3, 2)), backend.zeros((3,), np.int32)
    totals = backend.zeros((2,), np.float64)
    two, wide = backend.zeros((2,), np.int32), backend.zeros((1,), np.int64)
    for call, message in (
        (lambda: backend.guard_step(two, norm, losses, 1), r"guard has shape \(2,\)"),
        (lambda: backend.guard_step(wide, norm, losses, 1), "guard is int64"),
        (lambda: backend.guard_step(None, norm, losses, 1), "guard is NoneType"),
        (lambda: backend.guard_step(guard, totals, losses, 1), r"norm has shape \(2,\)"),
        (lambda: backend.guard_step(guard, norm, scores, 1), r"losses have shape \(3, 2\)"),
        (lambda: backend.guard_step(guard, norm, losses, 0), "step is 0"),
        (lambda: backend.guard_step(guard, norm, losses, 2**31), "guard holds steps up to 2147483"),
        (lambda: backend.sgd_step(v, v, v, 0.1, 0.9, False, 0.0, two), "guard has"),
        (lambda: backend.adam_step(v, v, v, v, 1, 0.1, 0.9, 0.9, 1e-8, 0.0, wide), "guard is"),
        (lambda: backend.adamw_step(v, v, v, v, 1, 0.1, 0.9, 0.9, 1e-8, 0.0, two), "guard has"),
        (lambda: backend.update_average(v, v, 0.1, wide), "guard is"),
        (lambda: backend.accumulate_metrics(totals, losses, scores, labels, two), "guard has"),
    ):
        with pytest.raises(ShapeError, match=message):
            call()
