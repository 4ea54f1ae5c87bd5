"""The views that predictions are averaged over."""

import numpy as np
import pytest

from gpucnn.backends import get_backend
from gpucnn.data.views import VIEWS, views


def seen(name, image):
    """Each view of an image (H, W), as the backend makes it."""
    found = []
    for draw in views(name, 2, (*image.shape, 1)):
        images = np.stack([image, image])[..., None]
        moves = {} if draw is None else {"flip": draw.flip, "shift": draw.shift}
        y = get_backend("numpy", "fp64").augment_images(images, np.ones(1), np.zeros(1), **moves)
        np.testing.assert_array_equal(y[0], y[1])
        found.append(y[0, ..., 0])
    return np.array(found)


def test_by_hand():
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert [len(seen(name, image)) for name in (None, *VIEWS)] == [1, 2, 5, 10]
    np.testing.assert_array_equal(seen(None, image), [image])
    np.testing.assert_array_equal(seen("flip", image), [image, image[:, ::-1]])
    padded = np.pad(image, 1, mode="reflect")
    shifted = [padded[a : a + 3, b : b + 4] for a, b in ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))]
    np.testing.assert_array_equal(seen("shift", image), shifted)
    everything = seen("flip+shift", image)
    assert len(np.unique(everything, axis=0)) == 10
    for view in shifted:
        assert any((each == view[:, ::-1]).all() for each in everything)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 1)])
def test_small_images(shape):
    image = np.arange(shape[0] * shape[1], dtype=np.uint8).reshape(shape)
    assert len(seen("flip+shift", image)) == 10
