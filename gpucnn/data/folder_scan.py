"""Which images a folder of class folders has, before any of them is opened."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np

from gpucnn.data.class_names import how_they_differ, listed, look_alikes
from gpucnn.data.data_files import data_folder, unreadable
from gpucnn.data.folder_contents import (
    FOLDER,
    IMAGE,
    left_out_files,
    portable_name,
    read_folder,
    report_left_out,
)
from gpucnn.data.folder_layout import TEST, TRAIN, folder_to_divide
from gpucnn.data.listing import Listing
from gpucnn.data.stratified import check_test_options
from gpucnn.errors import DataError
from gpucnn.text import shown


def scan(root: str, test_share: float, split_seed: int) -> tuple[Listing, Listing]:
    """The files to train on and to test on.

    Args:
        root: the folder, in any of the layouts of ``image_folder``.
        test_share, split_seed: what is split off to test on, if there is no split for that.

    Raises:
        ConfigError: a share or a seed that is out of range.
        DataError: a folder is missing or unreadable; there are fewer than two classes; a class is
            empty or in one split only; a file that is called an image is not a file.
    """
    check_test_options(test_share, split_seed)
    folder = _root(root)
    train_folder, test_folder = _split_folder(folder, TRAIN), _split_folder(folder, TEST)
    if train_folder is None or test_folder is None:
        whole = _scan_classes(folder_to_divide(folder))
        _check_two_classes(whole)
        return whole.split_off(test_share, split_seed)
    train, test = _scan_classes(train_folder), _scan_classes(test_folder)
    _check_same_classes(train, test)
    _check_two_classes(train)
    return train, test


def scan_test(root: str, test_share: float, split_seed: int) -> Listing:
    """The files to test on; if they have a folder, there need not be any to train on.

    Raises:
        ConfigError, DataError: as ``scan``, of this split.
    """
    check_test_options(test_share, split_seed)
    test_folder = _split_folder(_root(root), TEST)
    if test_folder is None:
        return scan(root, test_share, split_seed)[1]
    return _scan_classes(test_folder)


def _check_two_classes(listing: Listing) -> None:
    if len(listing.classes) < 2:
        raise DataError(
            f"{shown(listing.source)}: has one class folder, {shown(listing.classes[0])}; training "
            f"needs two classes or more, so add folders for the others"
        )


def _root(root: str) -> Path:
    return data_folder(root, "the images")


def _check_same_classes(train: Listing, test: Listing) -> None:
    for one, other in ((train, test), (test, train)):
        lacking = sorted(set(one.classes) - set(other.classes))
        if not lacking:
            continue
        for name, alike in look_alikes(lacking, set(other.classes) - set(one.classes)):
            raise DataError(
                f'{shown(other.source)}: has the class folder "{shown(alike)}", and '
                f'{shown(one.source)} has "{shown(name)}"; they differ '
                f"{how_they_differ(alike, name)}, so rename one of them"
            )
        raise DataError(
            f"{shown(other.source)}: lacks the class folders {listed(lacking)}, which are in "
            f"{shown(one.source)}; both splits need the same classes"
        )


def _split_folder(root: Path, names: tuple[str, ...]) -> Path | None:
    """The folder of a split, by the first of its names that is there."""
    try:
        folders = [root / name for name in names if (root / name).is_dir()]
    except OSError as error:
        raise unreadable(root, error) from None
    for other in folders[1:]:
        print(f"{shown(other)}: left out, for there is {shown(folders[0])}", file=sys.stderr)
    return folders[0] if folders else None


def _scan_classes(folder: Path) -> Listing:
    """The images in the class folders of a folder."""
    contents = read_folder(folder)
    class_folders, stray = contents.of_kind(FOLDER), contents.of_kind(IMAGE)
    if not class_folders:
        what = "has images but no class folders" if stray else "has no class folders"
        raise DataError(
            f"{shown(folder)}: {what}; make a folder for each class in it, and put the images of a "
            f"class into {shown(folder)}/CLASS"
        )
    classes = class_names(folder, class_folders)
    left_out = Counter(contents.left_out)
    files: list[str] = []
    labels: list[int] = []
    for label, path in enumerate(class_folders):
        images = _images_of_class(path, left_out)
        files += images
        labels += [label] * len(images)
    report_left_out(folder, left_out)
    if stray:
        print(
            f"{shown(folder)}: left out {len(stray):,} images that are not in a class folder",
            file=sys.stderr,
        )
    return Listing(folder, tuple(files), np.array(labels, np.int32), classes)


def class_names(folder: Path, class_folders: list[str]) -> tuple[str, ...]:
    """The names of class folders, in composed Unicode.

    Raises:
        DataError: two of them do not differ as they are shown, and as a run stores them.
    """
    seen: dict[str, str] = {}
    for path in class_folders:
        name = Path(path).name
        other = seen.setdefault(shown(portable_name(name)), name)
        if other != name:
            raise DataError(
                f'{shown(folder)}: has two class folders "{shown(name)}" that differ '
                f"{how_they_differ(other, name)}; merge them, or rename one of them"
            )
    return tuple(portable_name(name) for name in seen.values())


def _images_of_class(folder: str, left_out: Counter[str]) -> list[str]:
    """The images of a class, in order. Other files are added to ``left_out``."""
    contents = read_folder(folder)
    inner = contents.of_kind(FOLDER)
    if inner:
        raise DataError(
            f"{shown(inner[0])}: is a folder in a class folder; the images must lie in "
            f"{shown(folder)} itself"
        )
    images = contents.of_kind(IMAGE)
    if not images:
        others = f" (only {left_out_files(contents.left_out)})" if contents.left_out else ""
        raise DataError(
            f"{shown(folder)}: has no image files{others}; add some, or remove the class"
        )
    left_out += contents.left_out
    return images
