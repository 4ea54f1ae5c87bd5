"""The shape of a data set's images and how many outputs it needs, without reading all of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gpucnn.data.dataset import DataShape, datasets
from gpucnn.data.image_folder import image_folder_shape
from gpucnn.data.image_list import image_list_shape
from gpucnn.data.parquet import parquet_shape

_KNOWN = {
    "mnist": DataShape((28, 28, 1), 10),
    "fashion_mnist": DataShape((28, 28, 1), 10),
    "cifar10": DataShape((32, 32, 3), 10),
    "cifar100": DataShape((32, 32, 3), 100),
    "svhn": DataShape((32, 32, 3), 10),
}

_FROM_ONE_IMAGE: dict[str, Callable[..., DataShape]] = {
    "image_folder": image_folder_shape,
    "csv": image_list_shape,
    "parquet": parquet_shape,
}


def describe_images(options: Mapping[str, Any]) -> DataShape:
    """What a model for a data set depends on.

    Args:
        options: the data set's table in a config: its name and its options.

    Raises:
        DataError: the data has to be read for that, and cannot be.
    """
    if options["name"] in _KNOWN:
        return _KNOWN[options["name"]]
    if options["name"] in _FROM_ONE_IMAGE:
        return _FROM_ONE_IMAGE[options["name"]](**datasets.check(options, "data"))
    data = datasets.create(options, "data").train
    outputs = len(data.classes or data.target_names)
    return DataShape(data.image_shape, outputs, not data.classes)
