"""Which image files a folder of class folders has, before any of them is opened."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.image_formats import EXTENSIONS
from gpucnn.errors import DataError

_TRAIN = ("train",)
_TEST = ("test", "val")


@dataclass(frozen=True)
class Listing:
    """The files of a split.

    Attributes:
        folder: the split's folder.
        files: their paths, by class and then by name.
        labels: int32 (N,), the index of each file's class.
        classes: the names of the class folders.
    """

    folder: Path
    files: tuple[str, ...]
    labels: NDArray[np.int32]
    classes: tuple[str, ...]

    def only(self, places: Sequence[int]) -> Listing:
        """The listing of the files at these places."""
        files = tuple(self.files[place] for place in places)
        return Listing(self.folder, files, self.labels[list(places)], self.classes)


def is_image(path: str | Path) -> bool:
    """Whether a file's name says that it is an image, and not a hidden one."""
    path = Path(path)
    return path.suffix.lower() in EXTENSIONS and not path.name.startswith(".")


def scan(root: str) -> tuple[Listing, Listing]:
    """The files to train on and to test on.

    Raises:
        DataError: a folder is missing or unreadable; there are fewer than two classes; a class is
            empty or in one split only.
    """
    train, test = _scan_splits(root, _TRAIN, _TEST)
    for one, other in ((train, test), (test, train)):
        lacking = sorted(set(one.classes) - set(other.classes))
        if lacking:
            raise DataError(
                f"{other.folder}: lacks the class folders {', '.join(lacking)}, which are in "
                f"{one.folder}; both splits need the same classes"
            )
    if len(train.classes) < 2:
        raise DataError(
            f"{train.folder}: has one class folder, {train.classes[0]}; it takes two classes or "
            f"more to tell apart"
        )
    return train, test


def scan_test(root: str) -> Listing:
    """The files to test on, whether or not there are any to train on.

    Raises:
        DataError: as ``scan``, of this split.
    """
    return _scan_splits(root, _TEST)[0]


def _scan_splits(root: str, *splits: tuple[str, ...]) -> list[Listing]:
    folder = Path(root).expanduser()
    try:
        if not folder.is_dir():
            problem = "is not a folder" if folder.exists() else "there is no such folder"
            raise DataError(f"{folder}: {problem}; set data.root to where the images are")
        return [_scan_split(folder, names) for names in splits]
    except OSError as error:
        path = error.filename or folder
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); check the path and its permissions"
        ) from None


def _scan_split(root: Path, names: tuple[str, ...]) -> Listing:
    folders = [root / name for name in names if (root / name).is_dir()]
    if not folders:
        raise DataError(f"{root}: has no folder {' or '.join(names)}; put class folders into one")
    classes = sorted(
        path for path in folders[0].iterdir() if path.is_dir() and not path.name.startswith(".")
    )
    if not classes:
        raise DataError(f"{folders[0]}: has no class folders; put one in it for each class")
    files: list[str] = []
    labels: list[int] = []
    for label, path in enumerate(classes):
        images = _images(path)
        files += images
        labels += [label] * len(images)
    names_of_classes = tuple(path.name for path in classes)
    return Listing(folders[0], tuple(files), np.array(labels, np.int32), names_of_classes)


def _images(folder: Path) -> list[str]:
    """The image files of a class."""
    images = []
    with os.scandir(folder) as entries:  # tells folders from files without a look at each
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir() and not entry.name.startswith("."):
                raise DataError(
                    f"{entry.path}: is a folder in a class folder; images must lie in {folder}"
                )
            if is_image(entry.name):
                images.append(entry.path)
    if not images:
        raise DataError(f"{folder}: has no image files; add some, or remove the class")
    return images
