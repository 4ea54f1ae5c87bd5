"""What only the NumPy backend promises: threads, pieces, one precision throughout."""

import importlib
import pkgutil
import threading
from dataclasses import replace

import numpy as np
import pytest
from tolerance import assert_close, probable_sum_bound

from gpucnn import text
from gpucnn.backends import get_backend, numpy_backend
from gpucnn.backends.numpy_backend import NumpyBackend
from gpucnn.backends.numpy_backend.workers import Workers
from gpucnn.check.cases import draw
from gpucnn.check.expected import expect
from gpucnn.errors import BackendError
from gpucnn.operations import OPERATIONS
from gpucnn.operations.tracked import unit_roundoff


def test_refuses_a_precision():
    with pytest.raises(BackendError, match="fp8"):
        get_backend("numpy", "fp8")


# Every operation, on drawn cases
class Uncopied(NumpyBackend):
    """What an operation gives is seen as it is."""

    def to_numpy(self, array):
        return array


@pytest.mark.parametrize("name", OPERATIONS)
def test_results_have_the_backends_dtype(name):
    for case in draw(name, 4):
        single, double = (case.run(Uncopied(precision)) for precision in ("fp32", "fp64"))
        assert single.keys() == double.keys()
        for result in single:
            one, other = single[result], double[result]
            wanted = np.float64 if one.dtype == np.float32 else one.dtype
            assert other.dtype == wanted, f"{result} of {case}"
            # Norms and totals, which are sums over all elements, are in double at once.
            assert one.dtype != np.float64 or one.size <= 2, f"{result} of {case}"
            assert one.shape == other.shape
            assert one.flags.c_contiguous and other.flags.c_contiguous, f"{result} of {case}"


PIECES = {"PIECE": 64, "PIECE_BYTES": 256, "_ROWS": 2, "_FILTER_GRAD_ROWS": 1}
"""Constants that set how much there is in a piece, and values so small that all is cut up."""


@pytest.fixture
def small_pieces(monkeypatch):
    changed = set()
    for found in pkgutil.walk_packages(numpy_backend.__path__, f"{numpy_backend.__name__}."):
        module = importlib.import_module(found.name)
        for constant in PIECES.keys() & vars(module).keys():
            monkeypatch.setattr(module, constant, PIECES[constant])
            changed.add(constant)
    assert changed == PIECES.keys()


class CountingWorkers(Workers):
    """Takes note of how many pieces there were."""

    def run(self, task, count):
        self.counts.append(count)
        super().run(task, count)


@pytest.fixture(scope="module")
def on_threads():
    """Backends that have one thread, then more; two are alike."""
    backends = []
    for threads in (1, 2, 3, 2):
        be = NumpyBackend(threads=threads)
        be.workers = CountingWorkers(threads)
        backends.append(be)
    return backends


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("name", OPERATIONS)
def test_bits_do_not_depend_on_threads_nor_on_the_run(on_threads, name):
    """Nor is anything left out or done twice where an operation is cut."""
    for be in on_threads:
        be.workers.counts = []
    for case in draw(name, 8, seed=2):
        first, *others = [case.run(be) for be in on_threads]
        for be, other in zip(on_threads[1:], others, strict=True):
            for array, value in first.items():
                on = f"{array} of {case} on {be.workers.threads} threads"
                assert other[array].tobytes() == value.tobytes(), on
        complaint = expect(case).complaint(first)
        assert not complaint, f"{case}: {complaint}"
    counts = on_threads[0].workers.counts
    assert not counts or max(counts) > 1, f"no case of {name} was cut"


def test_an_error_in_a_thread_reaches_the_caller():
    be = NumpyBackend(threads=3)

    def task(number):
        if number == 7:
            raise RuntimeError("the seventh")

    with pytest.raises(RuntimeError, match="the seventh"):
        be.workers.run(task, 20)
    done = []
    be.workers.run(done.append, 20)
    assert sorted(done) == list(range(20))


# Arrays of several pieces against one NumPy expression in float64

CHANNELS = [1, 3, 16, 1500]


def rows_for(C):
    """Three pieces and a part, the count of rows odd or even by turns."""
    return 4 * 262144 // C // 5 * 4 + (1 if C in (3, 1500) else 2)


@pytest.fixture(scope="module", params=["fp32", "fp64"])
def be(request):
    return NumpyBackend(request.param, threads=2)


def wide(*arrays):
    return [array.astype(np.float64) for array in arrays]


@pytest.mark.parametrize("C", CHANNELS)
def test_channel_sum_over_pieces(be, C):
    rng = np.random.default_rng(C)
    x = rng.standard_normal((rows_for(C), C)).astype(be.dtype)
    (exact,) = wide(x)
    bound = probable_sum_bound(len(x), abs(exact).sum(axis=0), be.dtype)
    assert_close(be.channel_sum(x), exact.sum(axis=0), bound)


@pytest.mark.parametrize("C", CHANNELS)
def test_batch_norm_over_pieces(be, C):
    rng = np.random.default_rng(C)
    M = rows_for(C)
    x, dy = rng.standard_normal((2, M, C)).astype(be.dtype)
    x += be.dtype.type(3)
    scale, shift = rng.standard_normal((2, C)).astype(be.dtype)
    running = be.zeros((C,)), be.zeros((C,))
    y, mean, inverse_std = be.batch_norm_forward(x, scale, shift, *running, 1.0, 1e-5)
    dx, dscale, dshift = be.batch_norm_gradients(dy, x, scale, mean, inverse_std)

    ex, edy, escale, eshift = wide(x, dy, scale, shift)
    emean, evariance = ex.mean(axis=0), ex.var(axis=0)
    einverse = 1 / np.sqrt(evariance + 1e-5)
    normal = (ex - emean) * einverse
    # e: the relative error of a long sum; the mean of |x| is about 3, all else of order 1.
    e = probable_sum_bound(M, 1.0, be.dtype) + 8 * unit_roundoff(be.dtype)
    size = abs(ex).mean(axis=0)
    assert_close(mean, emean, e * size)
    assert_close(running[0], emean, e * size)
    assert_close(inverse_std, einverse, 2 * e * einverse)
    assert_close(running[1], evariance * M / (M - 1), 2 * e * size**2)
    spread = 1 + abs(normal)  # (x − mean) · inverse_std, its mean off by e·|x| and its scale by 2e
    assert_close(y, escale * normal + eshift, 8 * e * (size * spread * abs(escale) + abs(eshift)))
    edshift, edscale = edy.sum(axis=0), (edy * normal).sum(axis=0)
    sums = abs(edy).sum(axis=0), (abs(edy) * size * spread).sum(axis=0)
    assert_close(dshift, edshift, e * sums[0])
    assert_close(dscale, edscale, 4 * e * sums[1])
    expected = escale * einverse * (edy - edshift / M - normal * edscale / M)
    terms = abs(edy) + sums[0] / M + size * spread * sums[1] / M
    assert_close(dx, expected, 8 * e * abs(escale * einverse) * terms)


@pytest.mark.parametrize("C", CHANNELS)
def test_batch_norm_relu_over_pieces(be, C):
    """The very bits of batch normalisation and ReLU one after the other."""
    rng = np.random.default_rng(C)
    x, dy = rng.standard_normal((2, rows_for(C), C)).astype(be.dtype)
    vectors = rng.standard_normal((2, C)).astype(be.dtype)
    apart, fused = ((be.zeros((C,)), be.zeros((C,))) for _ in range(2))
    y, *statistics = be.batch_norm_forward(x, *vectors, *apart, 1.0, 1e-5)
    y = be.relu_forward(y)
    both = be.batch_norm_forward(x, *vectors, *fused, 1.0, 1e-5, relu=True)
    for one, other in zip((y, *statistics, *apart), (*both, *fused), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(
        be.relu_forward(be.batch_norm_inference(x, *vectors, *apart, 1e-5)),
        be.batch_norm_inference(x, *vectors, *apart, 1e-5, relu=True),
    )
    gradients = be.batch_norm_gradients(be.relu_input_grad(dy, y), x, vectors[0], *statistics)
    both = be.batch_norm_gradients(dy, x, vectors[0], *statistics, shift=vectors[1])
    for one, other in zip(gradients, both, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("C", CHANNELS)
def test_batch_norm_add_relu_over_pieces(be, C):
    """The very bits of batch normalisation, addition and ReLU one after the other."""
    rng = np.random.default_rng(C)
    x, residual, dy = rng.standard_normal((3, rows_for(C), C)).astype(be.dtype)
    vectors = rng.standard_normal((2, C)).astype(be.dtype)
    apart, fused = ((be.zeros((C,)), be.zeros((C,))) for _ in range(2))
    y, *statistics = be.batch_norm_forward(x, *vectors, *apart, 1.0, 1e-5)
    y = be.relu_forward(be.add(y, residual))
    at_once = be.batch_norm_forward(x, *vectors, *fused, 1.0, 1e-5, residual, relu=True)
    for one, other in zip((y, *statistics, *apart), (*at_once, *fused), strict=True):
        np.testing.assert_array_equal(one, other)
    inferred = be.add(be.batch_norm_inference(x, *vectors, *apart, 1e-5), residual)
    np.testing.assert_array_equal(
        be.relu_forward(inferred),
        be.batch_norm_inference(x, *vectors, *apart, 1e-5, residual, relu=True),
    )
    passed = be.relu_input_grad(dy, y)
    gradients = be.batch_norm_gradients(passed, x, vectors[0], *statistics)
    at_once = be.batch_norm_gradients(dy, x, vectors[0], *statistics, y=y)
    for one, other in zip((*gradients, passed), at_once, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("size", [262143, 262144, 262145, 3 * 262144 + 17])
def test_elementwise_over_pieces(be, size):
    rng = np.random.default_rng(size)
    x, dy = rng.standard_normal((2, size)).astype(be.dtype)
    np.testing.assert_array_equal(be.relu_forward(x), np.where(x > 0, x, 0))
    np.testing.assert_array_equal(be.relu_input_grad(dy, x), np.where(x > 0, dy, 0))
    np.testing.assert_array_equal(be.add(x, dy), x + dy)
    exact = np.tanh(x.astype(np.float64))
    assert_close(be.tanh_forward(x), exact, 8 * unit_roundoff(be.dtype))
    y, mask = be.dropout_forward(x, 0.25, 3, 6, 1, 5)
    np.testing.assert_array_equal(y != 0, mask != 0)
    _, tail = be.dropout_forward(x[-1000:], 0.25, 3, 6, 1, 5 + size - 1000)
    np.testing.assert_array_equal(mask[-1000:], tail)
    (exact,) = wide(x)
    norm = np.sqrt((exact * exact).sum())
    assert_close(be.global_norm(x), [norm], probable_sum_bound(size, norm, np.float64))
    w = x.copy()
    be.sgd_step(w, dy, None, 0.5, 0.0, False, 0.0)
    np.testing.assert_array_equal(w, x - be.dtype.type(0.5) * dy)


@pytest.mark.parametrize("sizes", [(63, 5, 4), (65, 700, 3), (1030, 33, 17), (515, 1, 2)])
@pytest.mark.parametrize("transpose", [(False, False), (True, False), (False, True)])
def test_matmul_over_pieces(be, sizes, transpose):
    M, K, N = sizes
    rng = np.random.default_rng(M)
    a = rng.standard_normal((K, M) if transpose[0] else (M, K)).astype(be.dtype)
    b = rng.standard_normal((N, K) if transpose[1] else (K, N)).astype(be.dtype)
    bias = rng.standard_normal(N).astype(be.dtype)
    ea, eb, ebias = wide(a.T if transpose[0] else a, b.T if transpose[1] else b, bias)
    bound = probable_sum_bound(K + 1, abs(ea) @ abs(eb) + abs(ebias), be.dtype)
    assert_close(be.matmul(a, b, *transpose, bias=bias), ea @ eb + ebias, bound)


def plain_conv2d(x, w, dy, padding, stride, groups):
    """(y, dx, dw) tap by tap, each a product of matrices over the whole batch."""
    _, H, W, C = x.shape
    K, R, S, _ = w.shape
    _, P, Q, _ = dy.shape
    canvas = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    y, dcanvas, dw = np.zeros(dy.shape), np.zeros(canvas.shape), np.zeros(w.shape)
    for g in range(groups):
        c, k = slice(g * C // groups, (g + 1) * C // groups), slice(g * K // groups, None)
        k = slice(k.start, (g + 1) * K // groups)
        for r, s in np.ndindex(R, S):
            seen = np.s_[:, r : r + stride * P : stride, s : s + stride * Q : stride, c]
            y[..., k] += canvas[seen] @ w[k, r, s].T
            dcanvas[seen] += dy[..., k] @ w[k, r, s]
            dw[k, r, s] = np.tensordot(dy[..., k], canvas[seen], ((0, 1, 2), (0, 1, 2)))
    return y, dcanvas[:, padding : padding + H, padding : padding + W], dw


@pytest.mark.parametrize(
    ("x", "w", "stride", "groups"),
    [
        ((53, 16, 17, 16), (8, 3, 3, 16), 1, 1),
        ((41, 33, 31, 3), (16, 3, 3, 3), 2, 1),
        ((70, 28, 28, 1), (4, 5, 5, 1), 1, 1),
        ((37, 15, 16, 32), (6, 1, 1, 32), 1, 1),
        ((35, 16, 16, 12), (8, 3, 3, 3), 1, 4),
        ((150, 16, 17, 16), (32, 3, 3, 1), 1, 16),
        ((2, 3, 3, 1500), (2, 3, 3, 1500), 1, 1),
    ],
)
def test_convolution_over_pieces(be, x, w, stride, groups):
    rng = np.random.default_rng(0)
    padding = w[1] // 2
    x, w = (rng.standard_normal(shape).astype(be.dtype) for shape in (x, w))
    options = {"stride": (stride, stride), "padding": (padding, padding), "groups": groups}
    y = be.conv2d_forward(x, w, **options)
    dy = rng.standard_normal(y.shape).astype(be.dtype)
    dx = be.conv2d_input_grad(dy, w, x.shape, **options)
    dw = be.conv2d_filter_grad(x, dy, w.shape, **options)
    exact = wide(x, w, dy)
    expected = plain_conv2d(*exact, padding, stride, groups)
    magnitudes = plain_conv2d(*map(abs, exact), padding, stride, groups)
    N, P, Q, K = y.shape
    terms = w[0].size, w.shape[1] * w.shape[2] * K // groups, N * P * Q
    for result, wanted, magnitude, n in zip((y, dx, dw), expected, magnitudes, terms, strict=True):
        assert_close(result, wanted, probable_sum_bound(n, magnitude, be.dtype))


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_is_not_finite_passes_without_a_warning(be, name):
    """Warnings are errors here; in small arrays, which no other thread gets a piece of."""
    for case in draw(name, 2):
        for value in (np.nan, np.inf, -np.inf, np.finfo(np.float32).max):
            filled = {
                id(array): np.full_like(array, value)
                for array in case.arguments.values()
                if isinstance(array, np.ndarray) and array.dtype.kind == "f"
            }
            arguments = {key: filled.get(id(v), v) for key, v in case.arguments.items()}
            replace(case, arguments=arguments).run(be)


def test_border():
    be = get_backend("numpy", "fp32")
    assert be.asarray([1.5, 2]).dtype == np.float32
    assert be.asarray(np.arange(3, dtype=np.int16)).dtype == np.int16
    assert be.asarray(np.arange(3.0), np.float64).dtype == np.float64
    assert be.asarray(np.zeros((3, 4)).T).flags.c_contiguous
    array = be.zeros((2, 3))
    copy = be.to_numpy(array)
    copy[...] = 1
    assert not array.any()
    be.synchronise()


@pytest.mark.parametrize("available", [0, 1, 2, 3, 9])
def test_threads_that_the_system_refuses_are_not_missed(monkeypatch, capsys, available):
    monkeypatch.setattr(text, "_has_warned", set())
    start, running = threading.Thread.start, []

    def start_some(thread):
        running[:] = [other for other in running if other.is_alive()]
        if len(running) == available:
            raise RuntimeError("can't start new thread")
        running.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_some)
    workers = Workers(4)
    assert workers.threads == min(4, 1 + available)
    for _ in range(3):
        done = []
        workers.run(done.append, 50)
        assert sorted(done) == list(range(50))
    warnings = capsys.readouterr().err.splitlines()
    assert len(warnings) == (available < 3)
    assert all("threads" in line for line in warnings)
