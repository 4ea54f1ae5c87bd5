"""Mean and standard deviation against a direct computation in float64."""

import numpy as np
import pytest

from gpucnn import text
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


def _constant(capsys, monkeypatch, images):
    monkeypatch.setattr(text, "_has_warned", set())
    channel_statistics(_dataset(images))
    return capsys.readouterr().err


def test_a_constant_channel_is_reported_by_name(capsys, monkeypatch, rng):
    images = rng.integers(0, 256, (9, 4, 4, 3), np.uint8)
    assert _constant(capsys, monkeypatch, images) == ""
    images[..., 2] = 7
    line = _constant(capsys, monkeypatch, images)
    assert len(line.splitlines()) == 1
    assert "blue (7 everywhere)" in line
    assert "green" not in line
    images[..., 0] = 255
    assert "red (255 everywhere), blue (7 everywhere)" in _constant(capsys, monkeypatch, images)
    assert "grey (7 everywhere)" in _constant(capsys, monkeypatch, images[..., 2:])


def test_one_different_pixel_is_not_constant(capsys, monkeypatch):
    images = np.zeros((3, 2, 2, 1), np.uint8)
    images[2, 1, 1, 0] = 1
    assert _constant(capsys, monkeypatch, images) == ""


def test_no_images_have_no_statistics():
    with pytest.raises(DataError, match="no images"):
        channel_statistics(_dataset(np.zeros((0, 2, 2, 1), np.uint8)))
