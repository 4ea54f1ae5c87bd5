"""The shape of a data set's images and its number of classes, without reading all of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gpucnn.data.dataset import datasets
from gpucnn.data.image_folder import image_folder_shape
from gpucnn.data.image_list import image_list_shape

_KNOWN = {
    "mnist": ((28, 28, 1), 10),
    "fashion_mnist": ((28, 28, 1), 10),
    "cifar10": ((32, 32, 3), 10),
    "cifar100": ((32, 32, 3), 100),
    "svhn": ((32, 32, 3), 10),
}

_FROM_ONE_IMAGE: dict[str, Callable[..., tuple[tuple[int, int, int], int]]] = {
    "image_folder": image_folder_shape,
    "csv": image_list_shape,
}


def describe_images(options: Mapping[str, Any]) -> tuple[tuple[int, int, int], int]:
    """(H, W, C) and the number of classes.

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
    return data.image_shape, len(data.classes)
