import numpy as np
import pytest

from gpucnn.errors import ShapeError


def moved(backend, row, flip=None, shift=None):
    """A row of pixels after flip and shift."""
    images = backend.asarray(np.array(row, np.uint8).reshape(1, 1, -1, 1))
    flip = None if flip is None else backend.asarray(np.array([flip], np.uint8))
    shift = None if shift is None else backend.asarray(np.array([[0, shift]], np.int32))
    one, zero = backend.asarray(np.ones(1)), backend.zeros((1,))
    return backend.to_numpy(backend.augment_images(images, one, zero, flip, shift)).ravel()


def test_by_hand(backend):
    row = [1, 2, 3, 4]
    for flip, shift, expected in (
        (None, None, [1, 2, 3, 4]),
        (1, None, [4, 3, 2, 1]),
        (0, 0, [1, 2, 3, 4]),
        (None, 1, [2, 3, 4, 3]),
        (None, 3, [4, 3, 2, 1]),
        (None, -2, [3, 2, 1, 2]),
        (1, 1, [3, 2, 1, 2]),
    ):
        np.testing.assert_array_equal(moved(backend, row, flip, shift), expected)


def test_each_image_moves_by_itself(backend):
    """Three rows; only the second is flipped, only the third is shifted."""
    images = np.array([[1, 2, 3]] * 3, np.uint8).reshape(3, 1, 3, 1)
    y = backend.augment_images(
        backend.asarray(images),
        backend.asarray(np.ones(1)),
        backend.zeros((1,)),
        backend.asarray(np.array([0, 1, 0], np.uint8)),
        backend.asarray(np.array([[0, 0], [0, 0], [0, 1]], np.int32)),
    )
    expected = [[1, 2, 3], [3, 2, 1], [2, 3, 2]]
    np.testing.assert_array_equal(backend.to_numpy(y).reshape(3, 3), expected)


def test_refuses(backend):
    images, vector = backend.zeros((2, 4, 4, 3), np.uint8), backend.zeros((3,))
    flip, shift = backend.zeros((2,), np.uint8), backend.zeros((2, 2), np.int32)
    good = (images, vector, vector, flip, shift)
    for place, wrong, message in (
        (0, backend.zeros((2, 4, 4, 3)), "images is float.*uint8"),
        (0, images[:, ::2], "images of shape .* contiguous"),
        (0, images[0], r"images have shape \(4, 4, 3\)"),
        (1, backend.zeros((1,)), r"scale has shape \(1,\), expected \(3,\)"),
        (2, backend.zeros((3,), np.int32), "offset is int32"),
        (3, backend.zeros((3,), np.uint8), r"flip has shape \(3,\), expected \(2,\)"),
        (3, backend.zeros((2,), np.int32), "flip is int32.*uint8"),
        (4, backend.zeros((2,), np.int32), r"shift has shape \(2,\), expected \(2, 2\)"),
        (4, backend.zeros((2, 2), np.int64), "shift is int64.*int32"),
    ):
        given_arrays = list(good)
        given_arrays[place] = wrong
        with pytest.raises(ShapeError, match=message):
            backend.augment_images(*given_arrays)
