"""Which images a folder of class folders has, with all that is wrong about it.

``folder_scan`` reads the same layouts, and stops at the first thing that training cannot use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gpucnn.data.class_names import how_they_differ, look_alikes
from gpucnn.data.data_files import data_folder, os_errors_explained
from gpucnn.data.folder_contents import (
    FOLDER,
    IMAGE,
    left_out_files,
    name_order,
    portable_name,
    read_folder,
    unusable,
)
from gpucnn.data.folder_layout import TEST, TRAIN, folder_to_divide
from gpucnn.data.folder_scan import class_names
from gpucnn.data.listing import Listing
from gpucnn.errors import DataError
from gpucnn.text import shown

UNDIVIDED = "images"
"""The name of the only split of a folder that has none."""


@dataclass
class LenientScan:
    """What was found in a folder.

    Attributes:
        listings: of each split, with the classes of all splits.
        wrong: what training refuses: each what it is, and a sentence about it.
        odd: what training takes, in the same form.
    """

    listings: dict[str, Listing] = field(default_factory=dict)
    wrong: list[tuple[str, str]] = field(default_factory=list)
    odd: list[tuple[str, str]] = field(default_factory=list)


def scan_leniently(root: str) -> LenientScan:
    """The images in a folder, in any of the layouts of ``image_folder``.

    Raises:
        DataError: it has another layout, or cannot be read; the message says what to do.
    """
    folder = data_folder(root, "the images")
    found = LenientScan()
    splits = _split_folders(folder, found)
    by_class = {name: _scan_split(split, found) for name, split in splits.items()}
    classes = sorted({name for images in by_class.values() for name in images}, key=name_order)
    for name, images in by_class.items():
        found.listings[name] = _listing(splits[name], images, classes)
        for lacking in (one for one in classes if one not in images):
            found.wrong.append(
                ("class in one split", f"{shown(splits[name])}: lacks the class {shown(lacking)}")
            )
    if UNDIVIDED in splits and max(map(len, by_class[UNDIVIDED].values()), default=0) < 2:
        text = f"{shown(folder)}: no class has two images, so none can be split off to test on"
        found.wrong.append(("too few images", text))
    if len(classes) < 2:
        found.wrong.append(("one class", f"{shown(folder)}: has fewer than two classes"))
    for one, other in look_alikes(classes, classes):
        if one < other:
            names = f'"{shown(one)}" and "{shown(other)}"'
            text = f"the classes {names} differ {how_they_differ(one, other)}"
            found.odd.append(("similar classes", text))
    return found


def _split_folders(folder: Path, found: LenientScan) -> dict[str, Path]:
    """The folders of class folders, by the names of the splits."""
    with os_errors_explained(folder):
        train = [folder / name for name in TRAIN if (folder / name).is_dir()]
        test = [folder / name for name in TEST if (folder / name).is_dir()]
    for other in test[1:]:
        text = f"{shown(other)}: is left out, for there is {shown(test[0])}"
        found.odd.append(("left out", text))
    if train and test:
        return {"train": train[0], "test": test[0]}
    return {UNDIVIDED: folder_to_divide(folder)}


def _scan_split(folder: Path, found: LenientScan) -> dict[str, list[str]]:
    """The paths of the images of each class of a split."""
    contents = read_folder(folder)
    images: dict[str, list[str]] = {}
    left_out = Counter(contents.left_out)
    stray = 0
    try:
        class_names(folder, [path for path, kind in contents.kinds.items() if kind == FOLDER])
    except DataError as error:
        found.wrong.append(("similar classes", str(error)))
    for path in contents.paths:
        kind = contents.kind(path)
        if kind == FOLDER:
            images.setdefault(portable_name(Path(path).name), []).extend(
                _scan_class(path, left_out, found)
            )
        elif kind == IMAGE:
            stray += 1
        else:
            found.wrong.append(("unusable", str(unusable(path, kind))))
    if stray:
        text = f"{shown(folder)}: images that are in no class folder are left out ({stray:,})"
        found.odd.append(("left out", text))
    if left_out:
        text = f"{shown(folder)}: left out {left_out_files(left_out)}"
        found.odd.append(("left out", text))
    return images


def _scan_class(folder: str, left_out: Counter[str], found: LenientScan) -> list[str]:
    try:
        contents = read_folder(folder)
    except DataError as error:
        found.wrong.append(("unusable", str(error)))
        return []
    images = []
    for path in contents.paths:
        kind = contents.kind(path)
        if kind == IMAGE:
            images.append(path)
        elif kind == FOLDER:
            text = f"{shown(path)}: is a folder in a class folder; move its images"
            found.wrong.append(("unusable", text))
        else:
            found.wrong.append(("unusable", str(unusable(path, kind))))
    left_out += contents.left_out
    if not images:
        found.wrong.append(("empty class", f"{shown(folder)}: has no image files"))
    return images


def _listing(folder: Path, images: Mapping[str, list[str]], classes: list[str]) -> Listing:
    files = [path for name in classes for path in images.get(name, ())]
    counts = [len(images.get(name, ())) for name in classes]
    labels = np.repeat(np.arange(len(classes), dtype=np.int32), counts)
    return Listing(folder, tuple(files), labels, tuple(classes))
