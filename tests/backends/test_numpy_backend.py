"""What only the NumPy backend promises: threads, pieces, one precision throughout."""

import inspect
import itertools
import threading

import numpy as np
import pytest
from tolerance import assert_close, probable_sum_bound, unit_roundoff

from gpucnn import text
from gpucnn.backends import get_backend
from gpucnn.backends.base import Backend
from gpucnn.backends.numpy_backend import NumpyBackend
from gpucnn.backends.numpy_backend.workers import Workers
from gpucnn.errors import BackendError


def operations(of):
    return {name: f for name, f in inspect.getmembers(of, callable) if not name.startswith("_")}


def test_refuses_a_precision():
    with pytest.raises(BackendError, match="fp8"):
        get_backend("numpy", "fp8")


# Every operation, on random arrays of one size: large enough to be cut in pieces, or small

LARGE = {"images": (37, 30, 31, 16), "filters": (8, 3, 3, 16), "matrix": (700, 301), "few": 3}
SMALL = {"images": (2, 5, 6, 4), "filters": (8, 3, 3, 4), "matrix": (6, 5), "few": 2}


def every_operation(be, sizes):
    """Yields a name and the arrays that come out, for each operation of the interface."""
    rng = np.random.default_rng(0)

    def new(*shape):
        return be.asarray(rng.standard_normal(shape))

    N, H, W, C = sizes["images"]
    x, dx = new(N, H, W, C), new(N, H, W, C)
    for groups, K in ((1, 8), (2, 8), (C, 2 * C)):
        w = new(K, 3, 3, C // groups)
        options = {"stride": (2, 1), "padding": ((1, 0), (1, 2)), "groups": groups}
        y = be.conv2d_forward(x, w, new(K), **options)
        dy = new(*y.shape)
        rectified = be.conv2d_forward(x, w, new(K), **options, residual=dy, relu=True)
        yield f"conv2d_forward, groups={groups}", [y, rectified]
        yield "conv2d_input_grad", [be.conv2d_input_grad(dy, w, x.shape, **options)]
        yield "conv2d_filter_grad", [be.conv2d_filter_grad(x, dy, w.shape, **options)]
    for options in ({}, {"window": (3, 3), "stride": (2, 2), "padding": (1, 1)}):
        y, argmax = be.max_pool2d_forward(x, **options)
        dy = new(*y.shape)
        yield "max_pool2d_forward", [y, argmax]
        yield "max_pool2d_input_grad", [be.max_pool2d_input_grad(dy, argmax, x.shape, **options)]
        yield "avg_pool2d_forward", [be.avg_pool2d_forward(x, **options)]
        yield "avg_pool2d_input_grad", [be.avg_pool2d_input_grad(dy, x.shape, **options)]
    yield "global_avg_pool2d_forward", [be.global_avg_pool2d_forward(x)]
    yield "global_avg_pool2d_input_grad", [be.global_avg_pool2d_input_grad(new(N, C), x.shape)]
    scale, shift, mean, variance = new(C), new(C), be.zeros((C,)), be.zeros((C,))
    for residual, relu in itertools.product((None, dx), (False, True)):
        end = f"{', residual' if residual is not None else ''}{', ReLU' if relu else ''}"
        vectors, behind = (scale, shift, mean, variance), (residual, relu)
        y, *statistics = be.batch_norm_forward(x, *vectors, 0.1, 1e-5, *behind)
        yield f"batch_norm_forward{end}", [y, *statistics, mean, variance]
        y_inferred = be.batch_norm_inference(x, *vectors, 1e-5, *behind)
        yield f"batch_norm_inference{end}", [y_inferred]
    yield "batch_norm_gradients", be.batch_norm_gradients(dx, x, scale, *statistics)
    results = be.batch_norm_relu_gradients(dx, x, scale, shift, *statistics)
    yield "batch_norm_relu_gradients", results
    results = be.batch_norm_add_relu_gradients(dx, y, x, scale, *statistics)
    yield "batch_norm_add_relu_gradients", results
    for name, arrays in {
        "relu_forward": (x,), "relu_input_grad": (dx, x), "leaky_relu_forward": (x, 0.1),
        "leaky_relu_input_grad": (dx, x, 0.1), "sigmoid_forward": (x,), "tanh_forward": (x,),
        "sigmoid_input_grad": (dx, x), "tanh_input_grad": (dx, x), "add": (x, dx),
        "channel_sum": (x,),
    }.items():  # fmt: skip
        yield name, [getattr(be, name)(*arrays)]
    y, mask = be.dropout_forward(x, 0.3, 1, 6, 2, 5)
    yield "dropout_forward", [y, mask]
    yield "dropout_input_grad", [be.dropout_input_grad(dx, mask, 0.3)]
    M, K = sizes["matrix"]
    a, b = new(M, K), new(M, K)
    yield "matmul", [be.matmul(a, b, transpose_b=True, bias=new(M))]
    yield "matmul, transposed", [be.matmul(a, b, transpose_a=True)]
    labels = be.asarray(rng.integers(0, K, M).astype(np.int32))
    losses, p = be.softmax_cross_entropy_forward(a, labels, 0.1)
    yield "softmax_cross_entropy_forward", [losses, p]
    gradient = be.softmax_cross_entropy_input_grad(p, labels, 0.1, 0.5)
    yield "softmax_cross_entropy_input_grad", [gradient]
    yield "softmax", [be.softmax(a)]
    yield "mean_squared_error_forward", [be.mean_squared_error_forward(a, labels)]
    yield "mean_squared_error_input_grad", [be.mean_squared_error_input_grad(a, labels, 0.5)]
    totals = be.zeros((2,), np.float64)
    be.accumulate_metrics(totals, losses, a, labels)
    yield "accumulate_metrics", [totals]
    w, g, m, v = (new(x.size) for _ in range(4))
    v *= v
    be.sgd_step(w, g, m, 0.1, 0.9, True, 0.01)
    be.adam_step(w, g, m, v, 3, 0.1, 0.9, 0.99, 1e-8, 0.01)
    be.adamw_step(w, g, m, v, 4, 0.1, 0.9, 0.99, 1e-8, 0.01)
    norm = be.global_norm(g)
    be.clip_by_global_norm(g, norm, float(norm[0]) / 2)
    be.clip_by_value(g, 0.5)
    yield "global_norm and steps", [norm, w, g, m, v]
    guard = be.zeros((1,), np.int32)
    be.guard_step(guard, norm, losses, 3)
    yield "guard_step", [guard]
    images = be.asarray(rng.integers(0, 256, x.shape).astype(np.uint8))
    flip = be.asarray(rng.integers(0, 2, N).astype(np.uint8))
    moves = be.asarray(rng.integers(-2, 3, (N, 2)).astype(np.int32))
    order = be.asarray(rng.permutation(N), np.int64)
    yield "take_images", [be.take_images(images, order)]
    yield "augment_images", [be.augment_images(images, scale, shift, flip, moves)]


INTEGERS = {
    "dropout_forward": {1: np.uint8}, "max_pool2d_forward": {1: np.uint8},
    "guard_step": {0: np.int32}, "take_images": {0: np.uint8},
}  # fmt: skip
WIDE = {"global_norm and steps": {0: np.float64}, "accumulate_metrics": {0: np.float64}}


@pytest.mark.parametrize("precision", ["fp32", "fp64"])
def test_results_have_the_backends_dtype(precision):
    be = get_backend("numpy", precision)
    for name, arrays in every_operation(be, SMALL):
        for place, array in enumerate(arrays):
            wanted = {**INTEGERS, **WIDE}.get(name, {}).get(place, be.dtype)
            assert array.dtype == wanted, f"{name}, result {place}"
            assert array.flags.c_contiguous, f"{name}, result {place}"


def test_every_operation_is_covered():
    """So that a new operation is not forgotten in the two tests around this one."""
    used = set()

    class Recorder(NumpyBackend):
        def __getattribute__(self, name):
            used.add(name)
            return super().__getattribute__(name)

    list(every_operation(Recorder(), SMALL))
    border = {
        "to_numpy", "synchronise", "empty", "compile_ahead", "hardware", "upload", "write",
    }  # fmt: skip
    assert set(operations(Backend)) - used <= border


def test_bits_do_not_depend_on_threads_nor_on_the_run():
    def all_bits(threads):
        be = NumpyBackend(threads=threads)
        return [
            (name, [array.tobytes() for array in arrays])
            for name, arrays in every_operation(be, LARGE)
        ]

    one = all_bits(1)
    for threads in (2, 3, 2):
        for (name, bits), (_, other) in zip(one, all_bits(threads), strict=True):
            assert bits == other, f"{name} on {threads} threads"


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
    both = be.batch_norm_relu_gradients(dy, x, *vectors, *statistics)
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
    at_once = be.batch_norm_add_relu_gradients(dy, y, x, vectors[0], *statistics)
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


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, np.finfo(np.float32).max])
def test_what_is_not_finite_passes_without_a_warning(be, value):
    """Warnings are errors here; in small arrays, which no other thread gets a piece of."""
    x, scores = np.full((2, 3, 3, 4), value, be.dtype), np.full((2, 3), value, be.dtype)
    v, labels = np.full(4, value, be.dtype), np.zeros(2, np.int32)
    be.softmax(scores)
    be.softmax_cross_entropy_forward(scores, labels)
    be.mean_squared_error_forward(scores, labels)
    be.mean_squared_error_input_grad(scores, labels, 2.0)
    be.global_avg_pool2d_forward(x)
    be.global_avg_pool2d_input_grad(scores, (2, 4, 4, 3))
    be.batch_norm_forward(x, v, v, v.copy(), v.copy(), 0.1, 1e-5)
    be.batch_norm_inference(x, v, v, v, v, 1e-5)
    be.batch_norm_inference(x, v, v, v, -np.ones_like(v), 1e-5)
    be.batch_norm_gradients(x, x, v, v, v)
    be.max_pool2d_forward(x)
    be.global_norm(v)
    be.adam_step(v, v, v, v, 1, 0.1, 0.9, 0.999, 1e-8, 0.1)


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
