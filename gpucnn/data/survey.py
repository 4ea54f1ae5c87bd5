"""A look at data that nothing is known about yet: enough to choose a first config for it."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.dataset import Dataset
from gpucnn.data.decoding import open_image, require_pillow
from gpucnn.data.image_files import ImageFilesDataset, load_options, load_undecoded
from gpucnn.data.pillow_state import quiet_pillow
from gpucnn.errors import DataError

_MOST_FILES = 64
_MOST_IMAGES = 512
"""How many images are looked at; decoding large files takes a moment each."""
_PART = 64
"""The side of the part of an image in which colours are counted."""
_CONTINUOUS = 0.25
"""In a photograph, over a quarter of the pixels of such a part have a colour of their own."""


@dataclass(frozen=True)
class Survey:
    """What a look at a data set has shown.

    Attributes:
        options: its name and where it is, as in [data] of a config.
        classes: the names of the classes; empty if numbers are to be predicted.
        target_names: the names of these numbers.
        counts: of the images to train on, by class, (K,); (1,) without classes.
        tests: how many images there are to test on.
        heights, widths: of the images that were looked at, (n,).
        is_grey: whether all of these are.
        is_photographic: whether most of these have as many colours as photographs do.
        are_files: whether the images are files, which can be resized.
        damaged: how many of the files that were looked at cannot be read.
        notes: what else was said about the data, as training will say it, too.
    """

    options: dict[str, Any]
    classes: tuple[str, ...]
    target_names: tuple[str, ...]
    counts: NDArray[np.int64]
    tests: int
    heights: NDArray[np.int64]
    widths: NDArray[np.int64]
    is_grey: bool
    is_photographic: bool
    are_files: bool
    damaged: int
    notes: tuple[str, ...]

    @property
    def place(self) -> str:
        """Where the data is."""
        return str(self.options.get("root", self.options.get("path")))

    @property
    def images(self) -> int:
        """How many images there are to train on."""
        return int(self.counts.sum())

    @property
    def has_one_size(self) -> bool:
        """Whether all images that were looked at have the same size."""
        return len(set(self.heights.tolist())) == len(set(self.widths.tolist())) == 1


@dataclass(frozen=True)
class _Look:
    """One image: its sides, and the different colours in its middle by the number of pixels."""

    height: int
    width: int
    is_grey: bool
    colours: float


def survey(options: Mapping[str, Any]) -> Survey:
    """Looks at a data set. Of image files, only some are decoded.

    Args:
        options: its name and where it is, as in [data] of a config.

    Raises:
        ConfigError, DataError: as the data set itself; or all files that were looked at are
            damaged.
    """
    with _collected_notes() as notes:
        pair = load_undecoded(options)
    train = pair.train
    are_files = isinstance(train, ImageFilesDataset)
    looks, damaged = _look_at_files(train, options) if are_files else (_look_at_arrays(train), 0)
    return Survey(
        options=dict(options),
        classes=train.classes,
        target_names=train.target_names,
        counts=np.bincount(train.labels, minlength=max(1, len(train.classes))),
        tests=len(pair.test),
        heights=np.array([look.height for look in looks]),
        widths=np.array([look.width for look in looks]),
        is_grey=all(look.is_grey for look in looks),
        is_photographic=float(np.median([look.colours for look in looks])) > _CONTINUOUS,
        are_files=are_files,
        damaged=damaged,
        notes=tuple(notes),
    )


@contextmanager
def _collected_notes() -> Iterator[list[str]]:
    """What is printed about the data goes into a list. Warnings, which come once, are shown."""
    printed, notes = io.StringIO(), list[str]()
    try:
        with redirect_stderr(printed):
            yield notes
    finally:
        for line in printed.getvalue().splitlines():
            if line.startswith("warning: "):
                print(line, file=sys.stderr)
            else:
                notes.append(line)


def _spread(count: int, most: int) -> NDArray[np.int64]:
    """Indices from the first to the last of ``count``, ``most`` at most."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def _look_at_arrays(dataset: Dataset) -> list[_Look]:
    return [_look(image) for image in dataset.images(_spread(len(dataset), _MOST_IMAGES))]


def _look_at_files(dataset: Dataset, options: Mapping[str, Any]) -> tuple[list[_Look], int]:
    """Some of the files, and how many others cannot be read."""
    assert isinstance(dataset, ImageFilesDataset)
    require_pillow()
    limits = load_options(options)
    files = dataset.listing.files
    looks: list[_Look] = []
    errors: list[DataError] = []
    with quiet_pillow(limits["max_pixels"]):
        for number in _spread(len(files), _MOST_FILES).tolist():
            try:
                looks.append(_look(np.asarray(open_image(files[number], "RGB", **limits).image)))
            except DataError as error:
                errors.append(error)
    if not looks:
        raise errors[0]
    return looks, len(errors)


def _look(image: NDArray[np.uint8]) -> _Look:
    """Looks at one image, (H, W, C)."""
    height, width = image.shape[:2]
    top, left = max(0, height - _PART) // 2, max(0, width - _PART) // 2
    pixels = image[top : top + _PART, left : left + _PART].reshape(-1, image.shape[2])
    return _Look(
        height,
        width,
        is_grey=bool((image == image[..., :1]).all()),
        colours=len(np.unique(pixels, axis=0)) / len(pixels),
    )
