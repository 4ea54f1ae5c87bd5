"""Data from a Python program: arrays, or any object with a length and items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.dataset import ArrayDataset, Dataset, DatasetPair, datasets
from gpucnn.data.python_items import LABEL_KEYS, Items, ItemsDataset, type_name, wrong_pixels
from gpucnn.data.python_labels import Labels, label_array
from gpucnn.errors import DataError, brief, shortened

Source: TypeAlias = Dataset | tuple[Any, Any] | Items
"""A data set, (images, labels), or an object with items (image, label)."""


@datasets.register("python")
def python() -> DatasetPair:
    """Data that a Python program has: ``gpucnn.Trainer(config, data=(train, test))``.

    Raises:
        DataError: always, for a config cannot say where they are.
    """
    raise DataError(
        'data.name is "python": the data of this run come from a Python program, so go on there, '
        "with gpucnn.Trainer.resume(run, data=(train, test)) or gpucnn.load(run).evaluate(data), "
        "or set data.name to a data set that can be read"
    )


def as_pair(data: tuple[Source, Source]) -> DatasetPair:
    """Training and test data as a pair of data sets.

    Args:
        data: two data sets. Either may be of gpucnn, arrays (images, labels), or an object whose
            items are (image, label); ``dataset`` says what these may be. Classes that the test data
            do not name are those of the training data.

    Raises:
        DataError: they are not, or do not fit together.
    """
    if not isinstance(data, tuple) or len(data) != 2:
        raise DataError(f"data is {brief(data)}; expected a tuple (train, test)")
    train = _as_dataset(data[0], None)
    return DatasetPair(train, _as_dataset(data[1], train.classes or None))


def _as_dataset(source: Source, classes: Sequence[str] | None) -> Dataset:
    if isinstance(source, Dataset):
        return source
    if isinstance(source, tuple):
        if len(source) != 2:
            raise DataError(f"data has a tuple of {len(source)}; expected (images, labels)")
        return dataset(*source, classes=classes)
    own = _own_classes(source)
    return dataset(source, classes=classes if own is None else own)


def dataset(images: Any, labels: Any = None, classes: Sequence[str] | None = None) -> Dataset:
    """A data set of arrays, or of any object with a length and items.

    An image is uint8, (H, W) or (H, W, C), or an image of Pillow, which becomes grey or RGB, as the
    first one is. All have one size. A label is a whole number from 0: the index of a class. If
    labels are floating-point numbers, (N,) or (N, T), they are what a regression predicts; but if
    there are classes, the row of an image has the share of each.

    Arrays are kept as they are. Items are asked for again in each epoch, by one other thread, ahead
    of the step that needs them; a first pass finds out their labels, if these are not given.

    Args:
        images: an array (N, H, W) or (N, H, W, C); or an object with ``len()``, whose item ``i``
            is an image and its label or, if labels are given, the image alone. It may be a mapping
            with the keys image (or img) and label.
        labels: (N,) or (N, T); None if the items of ``images`` have them.
        classes: their names; None for those that the object has (``images.classes``, or
            ``images.features["label"].names``), or else for the labels themselves.

    Raises:
        DataError: other images or labels than these, with the index of the first.
    """
    if not hasattr(images, "__len__") or not hasattr(images, "__getitem__"):
        raise DataError(
            f"the images are {type_name(images)}, which has no length or no items; give an array, "
            f"or an object with both"
        )
    if len(images) == 0:
        raise DataError("there are no images")
    is_array = hasattr(images, "ndim") and hasattr(images, "shape")
    if is_array and labels is None:
        raise DataError("there are images, but no labels; give (images, labels)")
    if labels is not None:
        labels = label_array(labels, len(images))
    if is_array:
        return _of_arrays(_as_images(images), Labels.of(labels, classes))
    return ItemsDataset(images, labels, classes if classes is not None else _own_classes(images))


def _as_images(images: Any) -> NDArray[np.uint8]:
    """An array of images as (N, H, W, C)."""
    array = np.asarray(images)
    described = f"the images are {shortened(str(array.dtype))} {shortened(str(array.shape))}"
    if array.ndim not in (3, 4):
        raise DataError(f"{described}; expected uint8 (N, H, W) or (N, H, W, C)")
    if problem := wrong_pixels(array.dtype, array.shape[1:]):
        raise DataError(f"{described}; {problem}")
    return array[..., np.newaxis] if array.ndim == 3 else array


def _of_arrays(images: NDArray[np.uint8], labels: Labels) -> ArrayDataset:
    return ArrayDataset(
        images,
        labels.labels,
        labels.classes,
        targets=labels.targets,
        target_names=labels.target_names,
    )


def _own_classes(items: Any) -> Sequence[str] | None:
    """The names of the classes that a data set of torchvision or Hugging Face has."""
    names, features = getattr(items, "classes", None), getattr(items, "features", None)
    if names is None and isinstance(features, Mapping):
        label = next((features[key] for key in LABEL_KEYS if key in features), None)
        names = getattr(label, "names", None)
    is_usable = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
    return names if is_usable else None
