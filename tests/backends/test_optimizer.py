"""Special cases of steps, of the norm and of clipping: what drawn cases do not have."""

import numpy as np
import pytest
from tolerance import assert_close

from gpucnn.check.case import Case
from gpucnn.check.cases import draw
from gpucnn.check.expected import expect
from gpucnn.errors import ShapeError
from gpucnn.operations import OPERATIONS

INF, NAN = float("inf"), float("nan")


def vectors(backend, n, count, seed=0):
    """``count`` vectors, exact in the backend's dtype, the last one not negative."""
    rng = np.random.default_rng(seed)
    drawn = rng.standard_normal((count, n)).astype(backend.dtype)
    drawn[-1] = abs(drawn[-1])
    return list(drawn)


def check(backend, operation, **numbers):
    """A drawn case with other numbers, against the naive reference."""
    drawn = draw(operation, 2)[1]
    case = Case(OPERATIONS[operation], {**drawn.arguments, **numbers, "guard": None})
    assert not expect(case, backend.dtype).complaint(case.run(backend))


@pytest.mark.parametrize("step", [1, 10**6])
@pytest.mark.parametrize("betas", [(0.0, 0.5), (0.99, 0.9)])
@pytest.mark.parametrize("name", ["adam_step", "adamw_step"])
def test_other_betas_and_late_steps(backend, name, betas, step):
    check(backend, name, step=step, beta1=betas[0], beta2=betas[1], weight_decay=0.1)


@pytest.mark.parametrize("nesterov", [False, True])
def test_a_velocity_without_momentum(backend, nesterov):
    check(backend, "sgd_step", momentum=0.0, nesterov=nesterov)


def test_first_step_of_adam_is_the_learning_rate(backend):
    """With m = v = 0 the corrections cancel: |Δw| = learning_rate · |g| / (|g| + ε)."""
    g = np.array([1e-3, -5.0, 100.0])
    w, m, v = (backend.zeros((3,)) for _ in range(3))
    backend.adam_step(w, backend.asarray(g), m, v, 1, 0.5, 0.9, 0.999, 1e-8, 0.0)
    few = 16 * np.finfo(backend.dtype).eps
    expected = -0.5 * np.sign(g) * abs(g) / (abs(g) + 1e-8)
    assert_close(backend.to_numpy(w), expected, few)


def test_zeros_stay_zero(backend):
    """The gaps between parameters: no decay, no momentum and no epsilon may move them."""
    w, g, m, v = (backend.zeros((5,)) for _ in range(4))
    backend.sgd_step(w, g, m, 0.1, 0.9, True, 0.1)
    backend.adam_step(w, g, m, v, 1, 0.1, 0.9, 0.999, 1e-8, 0.1)
    backend.adamw_step(w, g, m, v, 2, 0.1, 0.9, 0.999, 1e-8, 0.1)
    for vector in (w, m, v):
        assert not backend.to_numpy(vector).any()


def test_a_step_on_a_part_leaves_the_rest(backend):
    arrays = vectors(backend, 10, 4)
    there = [backend.asarray(array.copy()) for array in arrays]
    part = [vector[4:8] for vector in there]
    backend.adamw_step(*part, 1, 0.1, 0.9, 0.999, 1e-8, 0.1)
    for result, array in zip(there, arrays, strict=True):
        rest = np.delete(np.arange(10), slice(4, 8))
        np.testing.assert_array_equal(backend.to_numpy(result)[rest], array[rest])
    assert (backend.to_numpy(there[0])[4:8] != arrays[0][4:8]).all()


def test_global_norm_of_extremes(backend):
    for values, expected in (
        ([3.0, 4.0, 0.0], 5.0),
        ([0.0, 0.0], 0.0),
        ([2.0**100, 0.0], 2.0**100),  # its square is no FP32 number
        ([2.0**-100, 0.0], 2.0**-100),
    ):
        norm = backend.global_norm(backend.asarray(np.array(values)))
        assert backend.to_numpy(norm)[0] == expected
    for value in (INF, -INF, NAN):
        norm = backend.global_norm(backend.asarray(np.array([1.0, value, 2.0])))
        assert not np.isfinite(backend.to_numpy(norm)[0])


def test_clip_by_global_norm(backend):
    for limit, expected in ((10.0, [3, 4]), (5.0, [3, 4]), (2.5, [1.5, 2]), (0.0, [0, 0])):
        g = backend.asarray(np.array([3.0, 4.0]))
        backend.clip_by_global_norm(g, backend.global_norm(g), limit)
        few = 4 * np.finfo(backend.dtype).eps * 4
        assert_close(backend.to_numpy(g), expected, few)
    g = backend.zeros((2,))
    backend.clip_by_global_norm(g, backend.global_norm(g), 1.0)
    assert not backend.to_numpy(g).any()


def test_clip_by_value(backend):
    g = backend.asarray(np.array([-3.0, -0.5, 0.0, 0.5, 1.0, 2.0, INF, -INF, NAN]))
    backend.clip_by_value(g, 1.0)
    np.testing.assert_array_equal(backend.to_numpy(g), [-1, -0.5, 0, 0.5, 1, 1, 1, -1, NAN])


def test_refuses(backend):
    v, short = backend.zeros((4,)), backend.zeros((3,))
    other = backend.zeros((4,), np.float64 if backend.dtype == np.float32 else np.float32)
    strided = backend.zeros((8,))[::2]
    norm = backend.zeros((1,), np.float64)
    adam = (1, 0.1, 0.9, 0.999, 1e-8, 0.0)

    def sgd(*arrays):
        backend.sgd_step(*arrays, 0.1, 0.9, False, 0.0)

    for call, message in (
        (lambda: sgd(other, v, v), f"parameters is {other.dtype}"),
        (lambda: sgd(strided, v, v), "parameters of .* contiguous"),
        (lambda: sgd(v, short, v), r"gradients has shape \(3,\), expected \(4,\)"),
        (lambda: sgd(v, v, short), r"velocity has shape \(3,\), expected \(4,\)"),
        (lambda: sgd(v, None, v), "gradients is NoneType"),
        (lambda: sgd(v, v, None), "momentum is 0.9"),
        (lambda: sgd(*[backend.zeros((2, 2))] * 3), r"shape \(2, 2\)"),
        (lambda: backend.adam_step(v, v, short, v, *adam), "mean has shape"),
        (lambda: backend.adam_step(v, v, v, other, *adam), f"square is {other.dtype}"),
        (lambda: backend.adamw_step(v, strided, v, v, *adam), "gradients of .* contiguous"),
        (lambda: backend.adamw_step(v, v, v, short, *adam), "square has shape"),
        (lambda: backend.adam_step(v, v, v, v, 0, *adam[1:]), "step is 0; steps count from 1"),
        (lambda: backend.adamw_step(v, v, v, v, -1, *adam[1:]), "step is -1"),
        (lambda: backend.global_norm(other), f"gradients is {other.dtype}"),
        (lambda: backend.clip_by_global_norm(v, backend.zeros((2,), "float64"), 1.0), "norm has"),
        (lambda: backend.clip_by_global_norm(v, backend.zeros((1,), "int32"), 1.0), "norm is"),
        (lambda: backend.clip_by_global_norm(other, norm, 1.0), f"gradients is {other.dtype}"),
        (lambda: backend.clip_by_value(strided, 1.0), "gradients of .* contiguous"),
    ):
        with pytest.raises(ShapeError, match=f"(?s){message}"):
            call()
