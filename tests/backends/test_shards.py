"""Sums over the shards of a batch: bit by bit what the shards alone give, combined in the tree."""

import numpy as np
import pytest

from gpucnn.errors import ShapeError
from gpucnn.operations.shards import MOST_SHARDS

IMAGES = 12
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
    """A function of a backend, arrays and shards, and the shapes of the arrays, images first."""
    image, w_shape, options = CONVOLUTIONS[name]
    stride, padding = options.get("stride", (1, 1)), options.get("padding", (0, 0))
    sizes = [
        (size + 2 * pad - taps) // step + 1
        for size, pad, taps, step in zip(image[:2], padding, w_shape[1:3], stride, strict=True)
    ]

    def operation(be, x, dy, shards):
        return be.conv2d_filter_grad(x, dy, w_shape, **options, shards=shards)

    return operation, (image, (*sizes, w_shape[0]))


def long_matmul(be, a, b, shards):
    """With samples along more axes, so that a shard has many."""
    K = a.shape[0] * a.shape[1]
    return be.matmul(
        a.reshape(K, a.shape[2]), b.reshape(K, b.shape[2]), transpose_a=True, shards=shards
    )


CASES = {
    **{f"filter grad, {name}": filter_grad_case(name) for name in CONVOLUTIONS},
    "matmul": (
        lambda be, a, b, shards: be.matmul(a, b, transpose_a=True, shards=shards),
        ((33,), (20,)),
    ),
    "matmul, long": (long_matmul, ((150, 33), (150, 20))),
    "matmul, both transposed": (
        lambda be, a, b, shards: be.matmul(
            a, be.asarray(be.to_numpy(b).T.copy()), transpose_a=True, transpose_b=True,
            shards=shards,
        ),
        ((9,), (5,)),
    ),
    "channel sum": (lambda be, x, shards: be.channel_sum(x, shards=shards), ((30, 7, 4),)),
    "channel sum, long": (lambda be, x, shards: be.channel_sum(x, shards=shards), ((2100, 3),)),
}  # fmt: skip
parametrized = pytest.mark.parametrize("name", CASES)


@parametrized
@pytest.mark.parametrize("shards", SHARDS)
def test_shards_are_summed_alone_and_combined_in_the_tree(backend, rng, name, shards):
    operation, shapes = CASES[name]
    arrays = [rng.standard_normal((IMAGES, *shape)).astype(backend.dtype) for shape in shapes]

    def run(arrays, shards):
        result = operation(backend, *map(backend.asarray, arrays), shards)
        return backend.to_numpy(result)

    parts = zip(*(np.split(array, shards) for array in arrays), strict=True)
    expected = tree([run(part, 1) for part in parts])
    assert run(arrays, shards).tobytes() == expected.tobytes()


@parametrized
def test_shards_that_are_shorter_or_empty(backend, rng, name):
    """Integers, whose sums are exact in any order: every image is in one shard."""
    operation, shapes = CASES[name]
    arrays = [
        backend.asarray(rng.integers(-3, 4, (IMAGES - 1, *shape)).astype(backend.dtype))
        for shape in shapes
    ]
    whole = backend.to_numpy(operation(backend, *arrays, 1))
    for shards in (2, 3, 5, 8, 11, 12, MOST_SHARDS):
        in_shards = backend.to_numpy(operation(backend, *arrays, shards))
        np.testing.assert_array_equal(in_shards, whole)


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


def test_refuses_shards_of_sums_over_no_batch(backend):
    a, b = backend.zeros((2, 3)), backend.zeros((3, 4))
    with pytest.raises(ShapeError, match="shards is 2, and a is not transposed"):
        backend.matmul(a, b, shards=2)
