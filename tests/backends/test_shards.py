"""Sums over the shards of a batch: bit by bit what the shards alone give, combined in the tree."""

import numpy as np
import pytest

from gpucnn.errors import ShapeError
from gpucnn.operations.shards import MOST_SHARDS

SHARDS = (2, 3, 4, 6, 12)
CONVOLUTIONS = {
    "direct": ((9, 10, 3), (2, 3, 3, 3), {"padding": (1, 0)}),
    "gemm": ((19, 17, 8), (12, 3, 3, 4), {"stride": (2, 1), "groups": 2}),
    "pointwise": ((16, 16, 20), (24, 1, 1, 20), {}),
    "depthwise": ((21, 20, 10), (10, 3, 3, 1), {"groups": 10, "padding": (1, 1)}),
}


def tree(parts):
    """((s0 + s1) + (s2 + s3)) + s4."""
    if len(parts) == 1:
        return parts[0]
    pairs = [sum(parts[n + 1 : n + 2], parts[n]) for n in range(0, len(parts), 2)]
    return tree(pairs)


def filter_grad_case(name):
    """As one of CASES."""
    image, w_shape, options = CONVOLUTIONS[name]
    stride, padding = options.get("stride", (1, 1)), options.get("padding", (0, 0))
    sizes = [
        (size + 2 * pad - taps) // step + 1
        for size, pad, taps, step in zip(image[:2], padding, w_shape[1:3], stride, strict=True)
    ]

    def operation(be, x, dy, shards):
        return be.conv2d_filter_grad(x, dy, w_shape, **options, shards=shards)

    return operation, 12, (image, (*sizes, w_shape[0]))


def total_loss(be, losses, shards):
    """Without the count, which is exact; of powers, which even float64 does not add up exactly."""
    losses = be.asarray(be.to_numpy(losses) ** 15)
    totals, rows = be.zeros((2,), np.float64), len(be.to_numpy(losses))
    scores, labels = be.zeros((rows, 2)), be.zeros((rows,), np.int32)
    be.accumulate_metrics(totals, losses, scores, labels, shards=shards)
    return be.asarray(be.to_numpy(totals)[:1], np.float64)


def total_errors(be, predictions, shards):
    """Of powers of predictions and targets of 0; half of a sum is exact."""
    predictions = be.asarray(be.to_numpy(predictions) ** 15)
    totals = be.zeros((2,), np.float64)
    losses, targets = be.zeros(predictions.shape[:1]), be.zeros(predictions.shape)
    be.accumulate_errors(totals, losses, predictions, targets, shards=shards)
    return be.asarray(be.to_numpy(totals)[1:], np.float64)


def dscale_and_dshift(be, dy, x, shards):
    """With 1 for inverse_std: both are plain sums then."""
    C = x.shape[-1]
    ones, zeros = be.asarray(np.ones(C)), be.zeros((C,))
    _, *sums = be.batch_norm_gradients(dy, x, ones, zeros, ones, shards=shards)
    return be.asarray(np.stack([be.to_numpy(each) for each in sums]))


def transposed_product(be, a, b, shards):
    return be.matmul(a, b, transpose_a=True, shards=shards)


def product_of_transposed(be, a, b, shards):
    b = be.asarray(np.ascontiguousarray(be.to_numpy(b).T))
    return be.matmul(a, b, transpose_a=True, transpose_b=True, shards=shards)


def channel_sum(be, x, shards):
    return be.channel_sum(x, shards=shards)


CASES = {
    **{f"filter grad, {name}": filter_grad_case(name) for name in CONVOLUTIONS},
    "matmul": (transposed_product, 12, ((33,), (20,))),
    "matmul, long": (transposed_product, 1800, ((33,), (20,))),
    "matmul, both transposed": (product_of_transposed, 12, ((9,), (5,))),
    "channel sum": (channel_sum, 12, ((30, 7, 4),)),
    "channel sum, long": (channel_sum, 12, ((2100, 3),)),
    "metrics": (total_loss, 36, ((),)),
    "metrics, long": (total_loss, 3600, ((),)),
    "errors": (total_errors, 36, ((2,),)),
    "batch norm gradients": (dscale_and_dshift, 12, ((700, 8), (700, 8))),
}
"""Functions of a backend, arrays and shards; images or samples; the rest of the arrays' shapes."""
parametrized = pytest.mark.parametrize("name", CASES)


ROUNDED_LATER = "batch norm gradients", "numpy"
"""Sums that NumPy leaves in float64 until the shards are combined."""


@parametrized
@pytest.mark.parametrize("shards", SHARDS)
def test_shards_are_summed_alone_and_combined_in_the_tree(backend, rng, name, shards):
    operation, samples, shapes = CASES[name]
    if (name, backend.name) == ROUNDED_LATER and backend.dtype == np.float32:
        pytest.skip("what is rounded is the sum of all shards")
    arrays = [rng.standard_normal((samples, *shape)).astype(backend.dtype) for shape in shapes]

    def run(arrays, shards):
        result = operation(backend, *map(backend.asarray, arrays), shards)
        return backend.to_numpy(result)

    parts = zip(*(np.split(array, shards) for array in arrays), strict=True)
    expected = tree([run(part, 1) for part in parts])
    assert run(arrays, shards).tobytes() == expected.tobytes()


@parametrized
@pytest.mark.parametrize("shards", [2, 3, 4])
def test_a_shorter_shard_is_cut_like_a_full_one(backend, rng, name, shards):
    """Kernels sum it as a full one that ends with zeros, NumPy as a batch of its size."""
    operation, samples, shapes = CASES[name]
    if (name, backend.name) == ROUNDED_LATER and backend.dtype == np.float32:
        pytest.skip("what is rounded is the sum of all shards")
    arrays = [rng.standard_normal((samples - 1, *shape)).astype(backend.dtype) for shape in shapes]
    length = -(-(samples - 1) // shards)

    def run(arrays, shards):
        result = operation(backend, *map(backend.asarray, arrays), shards)
        return backend.to_numpy(result)

    parts = []
    for first in range(0, samples - 1, length):
        part = [array[first : first + length] for array in arrays]
        if backend.name != "numpy":
            missing = [(0, length - len(part[0]))]
            part = [np.pad(each, missing + [(0, 0)] * (each.ndim - 1)) for each in part]
        parts.append(run(part, 1))
    assert run(arrays, shards).tobytes() == tree(parts).tobytes()


@parametrized
def test_shards_that_are_shorter_or_empty(backend, rng, name):
    """Integers, whose sums are exact in any order: every image is in one shard."""
    operation, samples, shapes = CASES[name]
    arrays = [
        backend.asarray(rng.integers(-3, 4, (samples - 1, *shape)).astype(backend.dtype))
        for shape in shapes
    ]
    whole = backend.to_numpy(operation(backend, *arrays, 1))
    for shards in (2, 3, 5, 8, 11, 12, MOST_SHARDS):
        in_shards = backend.to_numpy(operation(backend, *arrays, shards))
        np.testing.assert_array_equal(in_shards, whole)


@pytest.mark.parametrize("shape", [(2, 700, 8), (3, 900, 1), (5, 2, 17), (7, 3)])
@pytest.mark.parametrize("shards", [2, 4, 8])
def test_statistics_of_equal_shards_are_those_of_one(backend, rng, shape, shards):
    """To the bit: means are moved by nothing, and squares and counts are doubled."""
    part = (3 + rng.standard_normal(shape)).astype(backend.dtype)
    whole = np.tile(part, (shards, *[1] * (len(shape) - 1)))

    def run(x, shards):
        vectors = (backend.asarray(np.full(shape[-1], value)) for value in (1.0, 0.0, 0.0, 1.0))
        results = backend.batch_norm_forward(backend.asarray(x), *vectors, 0.1, 1e-5, shards=shards)
        return [backend.to_numpy(each) for each in results]

    y, *statistics = run(whole, shards)
    expected_y, *expected = run(part, 1)
    for found, alone in zip(statistics, expected, strict=True):
        assert found.tobytes() == alone.tobytes()
    assert y.tobytes() == np.tile(expected_y, (shards, *[1] * (len(shape) - 1))).tobytes()


@pytest.mark.parametrize("shards", [0, -1, MOST_SHARDS + 1])
def test_refuses_numbers_of_shards(backend, shards):
    x = backend.zeros((2, 3))
    with pytest.raises(ShapeError, match=f"shards is {shards}; use 1 to {MOST_SHARDS}"):
        backend.channel_sum(x, shards=shards)
    with pytest.raises(ShapeError, match=f"shards is {shards}"):
        backend.matmul(x, x, transpose_a=True, shards=shards)
    image = backend.zeros((2, 3, 3, 4))
    with pytest.raises(ShapeError, match=f"shards is {shards}"):
        backend.conv2d_filter_grad(image, image, (4, 1, 1, 4), shards=shards)
    vector = backend.zeros((3,))
    with pytest.raises(ShapeError, match=f"shards is {shards}"):
        backend.batch_norm_forward(x, *[vector] * 4, 0.1, 1e-5, shards=shards)
    with pytest.raises(ShapeError, match=f"shards is {shards}"):
        backend.batch_norm_gradients(x, x, *[vector] * 3, shards=shards)
    labels = backend.zeros((2,), np.int32)
    with pytest.raises(ShapeError, match=f"shards is {shards}"):
        backend.accumulate_metrics(
            backend.zeros((2,), np.float64), backend.zeros((2,)), x, labels, shards=shards
        )


def test_refuses_a_number_that_is_no_integer(backend):
    with pytest.raises(ShapeError, match=r"shards is 1\.5"):
        backend.channel_sum(backend.zeros((2, 3)), shards=1.5)


def test_refuses_shards_of_sums_over_no_batch(backend):
    a, b = backend.zeros((2, 3)), backend.zeros((3, 4))
    with pytest.raises(ShapeError, match="shards is 2, and a is not transposed"):
        backend.matmul(a, b, shards=2)
