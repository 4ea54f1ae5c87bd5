"""A data set by a formula: images of a disc, whose radius and place are to be predicted."""

import numpy as np

from gpucnn.data import ArrayDataset, DatasetPair

SIDE = 16
NAMES = ("radius", "x")


def discs(count, seed):
    """Grey images of soft-edged discs; radius from 2 to 5 and x from 500 to 1000, in two units."""
    rng = np.random.default_rng(seed)
    radius, x = rng.uniform(2, 5, count), rng.uniform(500, 1000, count)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    middle = 5 + (x[:, None, None] - 500) / 100
    distance = np.hypot(columns - middle, rows - (SIDE - 1) / 2)
    shade = np.clip(radius[:, None, None] - distance + 0.5, 0, 1)
    images = np.rint(255 * shade).astype(np.uint8)[..., None]
    targets = np.stack([radius, x], axis=1).astype(np.float32)
    labels = np.zeros(count, np.int32)
    return ArrayDataset(images, labels, (), targets=targets, target_names=NAMES)


def disc_pair(train=400, test=100):
    """Some to train on, others to test on."""
    return DatasetPair(discs(train, 1), discs(test, 2))
