"""A batch of images gathered from all of them."""

import numpy as np
import pytest

from gpucnn.errors import ShapeError


def test_none_are_taken(backend):
    images, indices = backend.zeros((5, 4, 4, 3), np.uint8), backend.zeros((0,), np.int64)
    taken = backend.take_images(images, indices)
    assert (taken.shape, taken.dtype) == ((0, 4, 4, 3), np.uint8)


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
