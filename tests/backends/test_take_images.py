"""A batch of images gathered from all of them."""

import numpy as np
import pytest

from gpucnn.errors import ShapeError


@pytest.mark.parametrize("shape", [(4, 4, 3), (2, 3, 2), (5, 3, 1), (33, 32, 16)])
@pytest.mark.parametrize("indices", [[0], [4, 4, 0, 2, 1, 3], []])
def test_take_images(backend, rng, shape, indices):
    images = rng.integers(0, 256, (5, *shape), np.uint8)
    there = backend.asarray(images)
    taken = backend.take_images(there, backend.asarray(np.array(indices, np.int64)))
    expected = np.array([images[index] for index in indices], np.uint8).reshape(-1, *shape)
    np.testing.assert_array_equal(backend.to_numpy(taken), expected)
    assert taken.dtype == np.uint8
    np.testing.assert_array_equal(backend.to_numpy(there), images)


def test_refuses(backend):
    images, indices = backend.zeros((2, 3, 3, 1), np.uint8), backend.zeros((2,), np.int64)
    for call, message in (
        (lambda: backend.take_images(backend.zeros((2, 3, 3, 1)), indices), "images is float"),
        (lambda: backend.take_images(backend.zeros((2, 9), np.uint8), indices), r"shape \(2, 9\)"),
        (lambda: backend.take_images(images, backend.zeros((2,), np.int32)), "indices is int32"),
        (lambda: backend.take_images(images, backend.zeros((2, 1), np.int64)), r"shape \(2, 1\)"),
    ):
        with pytest.raises(ShapeError, match=message):
            call()
