"""Losses, steps, norms, dropout and augmentation of more than one block of a kernel's threads."""

import math

import numpy as np
import pytest
from tolerance import assert_close, sum_bound

from gpucnn import random
from gpucnn.operations.augmentation import AugmentImages
from gpucnn.operations.tracked import Tracked


@pytest.mark.parametrize("n", [1023, 1024, 16384, 16385, 40003, 300 * 16384 + 1])
def test_norm_of_ones(backend, n):
    """A sum of integers is exact: each element is added once, and nothing else is.

    The largest has more pieces than a block has threads.
    """
    norm = backend.to_numpy(backend.global_norm(backend.asarray(np.ones(n))))
    assert norm[0] == math.sqrt(n)


def test_norm_of_random_numbers(backend, rng):
    n = 40003
    g = rng.standard_normal(n).astype(backend.dtype)
    squares = math.fsum(float(value) ** 2 for value in g)
    there = backend.asarray(g)
    norm = backend.to_numpy(backend.global_norm(there))
    # d√s = ds / 2√s, and one rounding more for the root. All of it is in double.
    bound = sum_bound(n, squares, np.float64) / (2 * math.sqrt(squares))
    assert_close(norm, [math.sqrt(squares)], bound + np.finfo(np.float64).eps * norm)
    np.testing.assert_array_equal(backend.to_numpy(backend.global_norm(there)), norm)


@pytest.mark.parametrize("place", [0, 1023, 1024, 16383, 16384, 40000, 40002])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_norm_sees_what_is_not_finite(backend, place, value):
    g = np.ones(40003)
    g[place] = value
    assert not np.isfinite(backend.to_numpy(backend.global_norm(backend.asarray(g)))[0])


def test_norm_of_nothing(backend):
    assert backend.to_numpy(backend.global_norm(backend.zeros((0,))))[0] == 0


@pytest.mark.parametrize("name", ["sgd", "nesterov", "adam", "adamw"])
def test_a_step_is_a_step_on_each_part(backend, rng, name):
    """To the bit: an element's step depends on nothing else."""
    arrays = rng.standard_normal((4, 3001)).astype(backend.dtype)
    arrays[3] = abs(arrays[3])

    def step(vectors):
        if name in ("sgd", "nesterov"):
            backend.sgd_step(*vectors[:3], 0.1, 0.9, name == "nesterov", 0.01)
        else:
            getattr(backend, f"{name}_step")(*vectors, 3, 0.1, 0.9, 0.999, 1e-8, 0.01)

    whole = [backend.asarray(array.copy()) for array in arrays]
    parts = [backend.asarray(array.copy()) for array in arrays]
    step(whole)
    for part in (slice(0, 8), slice(8, 1036), slice(1036, 3001)):
        step([vector[part] for vector in parts])
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(backend.to_numpy(one), backend.to_numpy(other))
    assert (backend.to_numpy(whole[0]) != arrays[0]).all()


def test_clipping_reaches_every_element(backend):
    g = backend.asarray(np.full(3001, 2.0))
    backend.clip_by_value(g, 1.0)
    np.testing.assert_array_equal(backend.to_numpy(g), np.ones(3001))
    backend.clip_by_global_norm(g, backend.asarray(np.array([4.0]), np.float64), 1.0)
    np.testing.assert_array_equal(backend.to_numpy(g), np.full(3001, 0.25))


@pytest.mark.parametrize("norm", [np.nan, 0.5, 1.0])
def test_a_norm_within_the_limit_changes_no_bit(backend, rng, norm):
    g = rng.standard_normal(3001).astype(backend.dtype)
    there = backend.asarray(g.copy())
    backend.clip_by_global_norm(there, backend.asarray(np.array([norm]), np.float64), 1.0)
    np.testing.assert_array_equal(backend.to_numpy(there), g)


@pytest.mark.parametrize("K", [3, 129, 1000])
def test_metrics_of_many_rows(backend, rng, K):
    """Every class is the label somewhere; the sums are of integers, so exact."""
    N = 1100
    scores = rng.standard_normal((N, K)).astype(backend.dtype)
    labels = np.where(np.arange(N) % 3 == 0, scores.argmax(axis=1), np.arange(N) % K)
    losses, totals = np.arange(float(N)), backend.zeros((2,), np.float64)
    arguments = (losses, scores, labels.astype(np.int32))
    backend.accumulate_metrics(totals, *map(backend.asarray, arguments))
    right = np.count_nonzero(scores.argmax(axis=1) == labels)
    np.testing.assert_array_equal(backend.to_numpy(totals), [losses.sum(), right])


@pytest.mark.parametrize("offset", [0, 1, 2, 3, 2**32 - 2, 4 * 2**32 - 1025])
def test_masks_have_the_words_of_the_host(backend, offset):
    x = backend.asarray(np.ones(4099))
    _, mask = backend.dropout_forward(x, 0.25, 2**63 + 9, 6 | 5 << 8, 77, offset)
    words = random.words(2**63 + 9, 6 | 5 << 8, 77, 4099, offset)
    np.testing.assert_array_equal(backend.to_numpy(mask), words >= 2**30)


@pytest.mark.parametrize("shape", [(3, 20, 22, 3), (2, 33, 35, 1)])
def test_augmentation_of_larger_images(backend, rng, shape):
    """Without scale and offset the result is the bytes themselves."""
    N, H, W, C = shape
    images = rng.integers(0, 256, shape).astype(np.uint8)
    flip = np.array([1, 0, 1], np.uint8)[:N]
    shift = np.array([[H - 1, 1 - W], [-3, 4], [0, 0]], np.int32)[:N]
    arguments = (images, np.ones(C), np.zeros(C), flip, shift)
    y = backend.augment_images(*map(backend.asarray, arguments))
    vectors = Tracked(np.ones(C)), Tracked(np.zeros(C))
    expected = AugmentImages.reference(images, *vectors, flip, shift)["y"].value
    np.testing.assert_array_equal(backend.to_numpy(y), expected)


def test_more_images_than_a_grid_has_rows(backend):
    """A grid's y ends at 65,535 blocks."""
    images = (np.arange(65600 * 2) % 251).astype(np.uint8).reshape(-1, 1, 2, 1)
    flip = (np.arange(65600) % 2).astype(np.uint8)
    arguments = (images, np.ones(1), np.zeros(1), flip)
    y = backend.to_numpy(backend.augment_images(*map(backend.asarray, arguments)))
    expected = np.where(flip.reshape(-1, 1, 1, 1) == 1, images[:, :, ::-1], images)
    np.testing.assert_array_equal(y, expected)


def test_batch_norm_of_more_chunks_than_a_block_has_threads(backend):
    """The joins go round their loop: 70 chunks of 72 rows, joined by 64 threads a channel.

    Sums of integers are exact, and so are means of them that are integers too.
    """
    rows, C = 70 * 72, 131
    signs = np.where(np.arange(rows) % 2 == 0, 1, -1)[:, None]
    chunks = np.arange(rows)[:, None] // 72
    x = 69.0 - 2 * chunks + signs * (1 + np.arange(C) % 3)  # mean 0, another in each chunk
    dy = 1.0 + (chunks + np.arange(C)) % 4
    variance = (x**2).mean(axis=0)
    tx, tdy = (backend.asarray(array.reshape(1, 1, rows, C)) for array in (x, dy))
    ones, zeros = backend.asarray(np.ones(C)), np.zeros(C)
    running = [backend.asarray(zeros.copy()) for _ in range(2)]

    _, mean, inverse_std = backend.batch_norm_forward(
        tx, ones, backend.asarray(zeros), *running, 0.1, 1e-5
    )
    np.testing.assert_array_equal(backend.to_numpy(mean), zeros)
    bound = sum_bound(rows, variance, backend.dtype) / variance
    assert_close(backend.to_numpy(inverse_std) ** 2 * (variance + 1e-5), np.ones(C), 2 * bound)

    _, dscale, dshift = backend.batch_norm_gradients(tdy, tx, ones, backend.asarray(zeros), ones)
    np.testing.assert_array_equal(backend.to_numpy(dshift), dy.sum(axis=0))
    np.testing.assert_array_equal(backend.to_numpy(dscale), (dy * x).sum(axis=0))
