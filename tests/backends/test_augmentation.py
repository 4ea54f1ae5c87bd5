import numpy as np
import pytest

from gpucnn.backends import get_backend
from gpucnn.data import Augmentation
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


def changed(backend, images, **changes):
    """The bytes of images after changes, each a NumPy array."""
    there = {name: backend.asarray(array, array.dtype) for name, array in changes.items()}
    C = images.shape[-1]
    one, zero = backend.asarray(np.ones(C)), backend.zeros((C,))
    y = backend.to_numpy(backend.augment_images(backend.asarray(images), one, zero, **there))
    assert (y == y.astype(np.uint8)).all(), "no whole numbers from 0 to 255"
    return y.astype(np.uint8)


def fixed(*numbers):
    return np.rint(65536 * np.array(numbers)).astype(np.int32)


def row_of(*values):
    return np.array(values, np.uint8).reshape(1, 1, -1, 1)


def test_places_between_pixels_by_hand(backend):
    row = row_of(0, 100, 200, 255)
    for scale, start, expected in (
        (1, 0.5, [50, 150, 228, 228]),  # 227.5 is rounded up; beyond the end comes 200 again
        (1, -0.25, [25, 75, 175, 241]),  # before the beginning comes 100
        (0.5, 0, [0, 50, 100, 150]),
        (-1, 3, [255, 200, 100, 0]),
        (1, 6, [0, 100, 200, 255]),  # a whole period of reflections
        (1, 1 / 512, [0, 100, 200, 255]),  # 100/256 and 55/256 round down
        (1, 1 / 256 + 1 / 1024, [0, 100, 200, 255]),
        (1, 2 / 256, [1, 101, 200, 255]),
    ):
        warp = fixed([0, 0, 0, 0, scale, start])
        found = changed(backend, row, warp=warp).ravel().tolist()
        assert found == expected, (scale, start)


def test_matrices_that_flip_and_shift_move_pixels_whole(backend, rng):
    images = rng.integers(0, 256, (6, 5, 7, 3), np.uint8)
    flip = np.array([0, 1, 0, 1, 1, 0], np.uint8)
    shift = rng.integers(-4, 5, (6, 2)).astype(np.int32)
    matrices = [[1, 0, down, 0, 1, right] for down, right in shift]
    mirrored = [[1, 0, down, 0, -1, 6 - right] for down, right in shift]
    warp = fixed(*[m if f else n for f, m, n in zip(flip, mirrored, matrices, strict=True)])
    expected = changed(backend, images, flip=flip, shift=shift)
    np.testing.assert_array_equal(changed(backend, images, warp=warp), expected)


def test_colours_by_hand(backend):
    grey = row_of(0, 100, 200, 255)
    found = changed(backend, grey, colour=fixed([1.5, 7, -20.25])).ravel()
    assert found.tolist() == [0, 130, 255, 255]  # 129.75; no grey value of one channel
    red = np.array([200, 0, 0], np.uint8).reshape(1, 1, 1, 3)
    assert changed(backend, red, colour=fixed([0, 1, 0])).ravel().tolist() == [60] * 3  # 59.8
    found = changed(backend, red, colour=fixed([0.5, 0.5, 1])).ravel()
    assert found.tolist() == [131, 31, 31]


def test_rectangles_by_hand(backend):
    images = np.full((2, 3, 3, 1), 9, np.uint8)
    hole = np.array([[-1, 1, 2, 9], [2, 0, 2, 3]], np.int32)
    first, second = changed(backend, images, hole=hole, fill=np.array([4], np.uint8))[..., 0]
    assert first.tolist() == [[9, 4, 4], [9, 4, 4], [9, 9, 9]]
    assert (second == 9).all()


def test_mixing_by_hand(backend):
    images = np.array([[10, 20], [200, 101]], np.uint8).reshape(2, 1, 2, 1)
    mix = np.array([[1, 65536 // 2, 0, 0, 1, 2], [0, 0, 0, 1, 1, 2]], np.int32)
    assert changed(backend, images, mix=mix).reshape(2, 2).tolist() == [[105, 61], [200, 20]]
    # A partner is covered, but not mixed.
    hole = np.array([[0, 0, 1, 1], [0, 0, 0, 0]], np.int32)
    found = changed(backend, images, mix=mix, hole=hole, fill=np.array([0], np.uint8))
    assert found.reshape(2, 2).tolist() == [[100, 61], [200, 20]]


@pytest.mark.parametrize("C", [1, 3])
def test_every_backend_has_the_bytes_of_numpy(backend, rng, C):
    """Of all changes at once, as training draws them."""
    shape = (13, 9, C)
    everything = Augmentation(
        flip=True, translate=0.2, random_resized_crop=0.3, rotation=40, cutout=4, brightness=0.4,
        contrast=0.5, saturation=0.6 if C == 3 else 0.0, mixup=0.4, cutmix=1.0,
    )  # fmt: skip
    images = rng.integers(0, 256, (30, *shape), np.uint8)
    draw = everything.draw(11, 2, np.arange(30), shape)
    changes = {name: getattr(draw, name) for name in ("warp", "colour", "hole", "mix")}
    changes["fill"] = rng.integers(0, 256, C, np.uint8)
    expected = changed(get_backend("numpy", "fp64"), images, **changes)
    assert len(np.unique(expected)) > 100
    np.testing.assert_array_equal(changed(backend, images, **changes), expected)


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
    for name, wrong, message in (
        ("warp", backend.zeros((2, 6), np.int32), "warp is given beside flip or shift"),
        ("colour", backend.zeros((2, 2), np.int32), r"colour has shape \(2, 2\)"),
        ("hole", backend.zeros((2, 4), np.int32), "fill"),
        ("fill", backend.zeros((3,), np.uint8), "takes no fill"),
        ("mix", backend.zeros((2, 6), np.int64), "mix is int64"),
    ):
        with pytest.raises(ShapeError, match=message):
            backend.augment_images(*good, **{name: wrong})
