"""Data sets, splits, augmentation and batches."""

from gpucnn.data import digits
from gpucnn.data.augmentation import Augmentation, Draw
from gpucnn.data.dataset import ArrayDataset, Dataset, DatasetPair, Subset, datasets
from gpucnn.data.loader import Batch, BatchLoader
from gpucnn.data.split import validation_split
from gpucnn.data.statistics import Normalisation, channel_statistics
