"""Images and labels that an object of a Python program gives when they are asked for."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.class_names import listed
from gpucnn.data.dataset import Dataset
from gpucnn.data.decoding import flattened
from gpucnn.data.python_labels import Labels, label_of
from gpucnn.errors import DataError, brief, shortened
from gpucnn.progress import progress

_IMAGE_KEYS, LABEL_KEYS = ("image", "img"), ("label", "labels")
"""What items that are mappings, as those of Hugging Face's data sets, call their parts."""
_PLAIN_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "La",
                "RGBa")  # fmt: skip
"""Pillow's modes of at most 8 bits a sample."""


class Items(Protocol):
    """What a data set of items has to have."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class ItemsDataset(Dataset):
    """Images that an object gives when they are asked for.

    Its fingerprint is one of everything but the images, which may be drawn anew each time.

    Args:
        items: the object.
        labels: (N,) or (N, T); None if the items have them.
        classes: the name of each label; None for the labels themselves.

    Raises:
        DataError: an item is not what it should be; with its index.
    """

    on_demand = True

    def __init__(
        self, items: Items, labels: NDArray[Any] | None, classes: Sequence[str] | None
    ) -> None:
        self._items, self._has_labels = items, labels is None
        first, _ = self._parts(0)
        self._mode = _mode(first)
        with _at_item(0):
            shape = self._pixels(first).shape
        self.image_shape = (shape[0], shape[1], shape[2])
        given = Labels.of(self._read_labels() if labels is None else labels, classes)
        self.labels, self.classes = given.labels, given.classes
        self.targets, self.target_names = given.targets, given.target_names

    def images(self, indices: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Asks for the items at these indices.

        Raises:
            DataError: an image has another shape than the first, or another label than before.
        """
        images = np.empty((len(indices), *self.image_shape), np.uint8)
        for place, index in enumerate(indices.tolist()):
            image, label = self._parts(index)
            with _at_item(index):
                images[place] = self._fitting(image)
                if self._has_labels:
                    self._checklabel_of(index, label)
        return images

    def _parts(self, index: int) -> tuple[Any, Any]:
        """The image and, if items have one, the label of an item."""
        try:
            item = self._items[index]
        except Exception as error:  # whatever the user's own code raises, with the index
            error.add_note(f"Item {index} of the data could not be had.")
            raise
        with _at_item(index):
            return _image_andlabel_of(item) if self._has_labels else (_image_of(item), None)

    def _fitting(self, image: Any) -> NDArray[np.uint8]:
        """An image as (H, W, C), of the shape that all have."""
        pixels = self._pixels(image)
        if pixels.shape != self.image_shape:
            raise DataError(
                f"has an image of {'×'.join(map(str, pixels.shape))}, and that of item 0 is "
                f"{'×'.join(map(str, self.image_shape))} (H×W×C); bring all images to one size"
            )
        return pixels

    def _pixels(self, image: Any) -> NDArray[np.uint8]:
        if self._mode:
            if not _is_of_pillow(image):
                raise DataError(f"has {type_name(image)}, and item 0 has an image of Pillow")
            image = flattened(image, self._mode)
        array = np.asarray(image)
        if problem := wrong_pixels(array.dtype, array.shape):
            kind = f"{shortened(str(array.dtype))} {shortened(str(array.shape))}"
            raise DataError(f"has an image that is {kind}; {problem}")
        return array[..., np.newaxis] if array.ndim == 2 else array

    def _read_labels(self) -> NDArray[Any]:
        """The labels of all items, whose images are looked at as well."""
        read = []
        with progress("reading the items", len(self._items)) as advance:
            for index in range(len(self._items)):
                image, label = self._parts(index)
                with _at_item(index):
                    self._fitting(image)
                    read.append(label_of(label))
                    if read[0].dtype.kind != read[-1].dtype.kind or read[0].size != read[-1].size:
                        raise DataError(
                            f"has the label {brief(label)}, of another kind than item 0; give "
                            f"whole numbers for classes, or floating-point numbers to predict"
                        )
                advance(1)
        return np.concatenate(read) if read[0].dtype.kind == "i" else np.stack(read)

    def _checklabel_of(self, index: int, label: Any) -> None:
        value = label_of(label)
        expected = self.labels[index : index + 1] if self.targets is None else self.targets[index]
        if not np.array_equal(value.astype(expected.dtype), expected):
            raise DataError(
                f"has the label {shortened(str(label))}, and had another one before; items must "
                f"keep their order and their labels"
            )

    def _compute_fingerprint(self) -> str:
        digest = hashlib.sha256(f"items {self.image_shape} {self.classes!a}\0".encode())
        digest.update(self.labels.astype("<i4").tobytes())
        if self.targets is not None:
            digest.update(f"{self.target_names!a}\0".encode())
            digest.update(self.targets.astype("<f4").tobytes())
        return digest.hexdigest()


@contextmanager
def _at_item(index: int) -> Iterator[None]:
    """Puts the index of an item before the message of a DataError."""
    try:
        yield
    except DataError as error:
        raise DataError(f"item {index} {error}") from None


def _image_andlabel_of(item: Any) -> tuple[Any, Any]:
    """The parts of an item that has both."""
    if isinstance(item, Mapping):
        return _value(item, _IMAGE_KEYS), _value(item, LABEL_KEYS)
    if isinstance(item, Sequence) and not isinstance(item, str | bytes) and len(item) == 2:
        return item[0], item[1]
    raise DataError(f"is {type_name(item)}; expected (image, label)")


def _image_of(item: Any) -> Any:
    """The image of an item that has no label, or one that does not matter."""
    if isinstance(item, Mapping):
        return _value(item, _IMAGE_KEYS)
    return item[0] if isinstance(item, tuple) and len(item) == 2 else item


def _value(item: Mapping[str, Any], keys: Sequence[str]) -> Any:
    for key in keys:
        if key in item:
            return item[key]
    raise DataError(f"has no {keys[0]}; it has {listed(map(str, item))}")


def _is_of_pillow(image: Any) -> bool:
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(image, module.Image)


def _mode(image: Any) -> str:
    """What images of Pillow are converted to if this is the first; empty if it is none."""
    if not _is_of_pillow(image):
        return ""
    if image.mode not in _PLAIN_MODES:
        raise DataError(
            f'item 0 has an image of Pillow in the mode "{image.mode}", whose values are not '
            f"bytes; convert it first"
        )
    return "L" if image.mode in ("1", "L", "LA", "La") else "RGB"


def wrong_pixels(dtype: np.dtype[Any], shape: tuple[int, ...]) -> str:
    """Why something is no image of (H, W) or (H, W, C), and what to do; empty if it is one."""
    if len(shape) not in (2, 3) or 0 in shape:
        return "expected (H, W) or (H, W, C)"
    if len(shape) == 3 and shape[0] in (1, 3, 4) and shape[2] > 4:
        return "channels are last, (H, W, C): move the first axis to the end"
    if dtype != np.uint8:
        return (
            "values are bytes, uint8, from 0 to 255: leave out what converts images to tensors or "
            "scales them, for that is done here"
        )
    return ""


def type_name(value: Any) -> str:
    """What something is, for a message."""
    return f"an object of the type {type(value).__name__}"
