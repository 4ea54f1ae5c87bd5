"""Data sets, their splits and statistics, augmentation and batches."""

from gpucnn.data.augmentation import CHANGES, Augmentation, Draw
from gpucnn.data.cifar import cifar10, cifar100
from gpucnn.data.dataset import (
    ArrayDataset,
    Dataset,
    DatasetPair,
    DataShape,
    Subset,
    datasets,
    in_memory,
)
from gpucnn.data.decoding import load_image
from gpucnn.data.digits import digits
from gpucnn.data.folder_contents import images_below
from gpucnn.data.idx import fashion_mnist, mnist
from gpucnn.data.image_files import ImageFilesDataset, load_on_demand, load_options
from gpucnn.data.image_folder import image_folder
from gpucnn.data.image_list import image_list
from gpucnn.data.loader import Batch, BatchLoader
from gpucnn.data.npz import npz
from gpucnn.data.packed import packed
from gpucnn.data.parquet import parquet
from gpucnn.data.python_data import python
from gpucnn.data.shape import describe_images
from gpucnn.data.split import load_test_split, validation_split
from gpucnn.data.statistics import (
    Normalisation,
    channel_statistics,
    no_normalisation,
    normalised_variance,
    target_statistics,
)
from gpucnn.data.svhn import svhn

__all__ = [
    "CHANGES",
    "ArrayDataset",
    "Augmentation",
    "Batch",
    "BatchLoader",
    "DataShape",
    "Dataset",
    "DatasetPair",
    "Draw",
    "ImageFilesDataset",
    "Normalisation",
    "Subset",
    "channel_statistics",
    "cifar10",
    "cifar100",
    "datasets",
    "describe_images",
    "digits",
    "fashion_mnist",
    "image_folder",
    "image_list",
    "images_below",
    "in_memory",
    "load_image",
    "load_on_demand",
    "load_options",
    "load_test_split",
    "mnist",
    "no_normalisation",
    "normalised_variance",
    "npz",
    "packed",
    "parquet",
    "python",
    "svhn",
    "target_statistics",
    "validation_split",
]
