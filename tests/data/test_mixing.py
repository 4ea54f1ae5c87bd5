"""Labels and numbers are mixed as the images are."""

import numpy as np
import pytest

from gpucnn.data import ArrayDataset, Augmentation, BatchLoader
from gpucnn.errors import ConfigError

AS_MANY = 7


def images(rng):
    return rng.integers(0, 256, (AS_MANY, 6, 5, 1), np.uint8)


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_labels(rng, kind):
    """With a class of its own for each sample, a row of targets says what it is mixed of."""
    labels = np.arange(AS_MANY, dtype=np.int32)[::-1].copy()
    dataset = ArrayDataset(images(rng), labels, [str(label) for label in labels])
    loader = BatchLoader(dataset, 4, 5, Augmentation(**{kind: 1.0}))
    for batch in loader.batches(3):
        own, shares = labels[batch.indices], batch.draw.own_share
        partners = np.roll(own, -1)
        expected = np.zeros((own.size, AS_MANY))
        for row, (one, other, share) in enumerate(zip(own, partners, shares, strict=True)):
            expected[row, one] += share
            expected[row, other] += 1 - share
        np.testing.assert_allclose(batch.targets, expected, rtol=0, atol=1e-7)
        assert (batch.targets.dtype, batch.labels.dtype) == (np.float32, np.int32)
        assert batch.labels.tolist() == np.where(shares >= 0.5, own, partners).tolist()


def test_soft_labels(rng):
    soft = np.tile(np.array([0.25, 0.75], np.float32), (AS_MANY, 1))
    soft[::2] = [1.0, 0.0]
    labels = soft.argmax(axis=1).astype(np.int32)
    dataset = ArrayDataset(images(rng), labels, ["a", "b"], targets=soft)
    batch = BatchLoader(dataset, AS_MANY, 5, Augmentation(mixup=0.5)).batch(0, 0)
    own, share = soft[batch.indices], batch.draw.own_share[:, None]
    expected = share * own + (1 - share) * np.roll(own, -1, axis=0)
    np.testing.assert_allclose(batch.targets, expected, rtol=1e-6)


def test_numbers(rng):
    numbers = rng.standard_normal((AS_MANY, 2)).astype(np.float32)
    none = np.zeros(AS_MANY, np.int32)
    dataset = ArrayDataset(images(rng), none, (), targets=numbers, target_names=("a", "b"))
    batch = BatchLoader(dataset, AS_MANY, 5, Augmentation(mixup=1.0)).batch(0, 0)
    own, share = numbers[batch.indices], batch.draw.own_share[:, None]
    expected = share * own + (1 - share) * np.roll(own, -1, axis=0)
    np.testing.assert_allclose(batch.targets, expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ConfigError, match=r"cutmix is 1; .*use mixup"):
        BatchLoader(dataset, AS_MANY, 5, Augmentation(cutmix=1.0))


def test_without_mixing_there_are_labels_alone(rng):
    labels = np.zeros(AS_MANY, np.int32)
    dataset = ArrayDataset(images(rng), labels, ["a", "b"])
    assert BatchLoader(dataset, 4, 5, Augmentation(flip=True)).batch(0, 0).targets is None
