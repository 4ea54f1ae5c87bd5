"""Mean and standard deviation against a direct computation in float64."""

import numpy as np
import pytest

from gpucnn.data import ArrayDataset, Subset, channel_statistics, statistics
from gpucnn.errors import DataError


def _dataset(images):
    return ArrayDataset(images, np.zeros(len(images), np.int32), ("only",))


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (7, 5, 3, 1), (40, 9, 8, 3)])
def test_statistics_are_those_of_all_pixels(rng, shape):
    images = rng.integers(0, 256, shape, np.uint8)
    normalisation = channel_statistics(_dataset(images))
    pixels = images.astype(np.float64).reshape(-1, shape[-1]) / 255
    assert np.allclose(normalisation.mean, pixels.mean(0), rtol=1e-13, atol=0)
    expected = np.where(pixels.std(0) > 0, pixels.std(0), 1.0)
    assert np.allclose(normalisation.std, expected, rtol=1e-12, atol=0)


def test_known_values():
    images = np.array([[0, 255, 51], [255, 255, 51]], np.uint8).reshape(2, 1, 1, 3)
    normalisation = channel_statistics(_dataset(images))
    assert normalisation.mean == (0.5, 1.0, 0.2)
    assert normalisation.std == (0.5, 1.0, 1.0)


def test_chunks_and_order_leave_no_trace(rng, monkeypatch):
    dataset = _dataset(rng.integers(0, 256, (30, 4, 4, 3), np.uint8))
    whole = channel_statistics(dataset)
    monkeypatch.setattr(statistics, "_CHUNK_BYTES", 7 * 48)
    assert channel_statistics(dataset) == whole
    assert channel_statistics(Subset(dataset, rng.permutation(30))) == whole


def test_no_images_have_no_statistics():
    with pytest.raises(DataError, match="no images"):
        channel_statistics(_dataset(np.zeros((0, 2, 2, 1), np.uint8)))
