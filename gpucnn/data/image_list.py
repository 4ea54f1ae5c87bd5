"""Images that a csv file lists, each with its class, or with numbers to predict."""

from __future__ import annotations

import math
import os
import sys
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gpucnn.data.class_names import how_they_differ, listed, look_alikes
from gpucnn.data.csv_rows import Row, read_rows, wrong_line
from gpucnn.data.data_files import data_file, os_errors_explained
from gpucnn.data.dataset import Dataset, DatasetPair, DataShape, datasets
from gpucnn.data.decoding import MAX_PIXELS
from gpucnn.data.image_files import ImageOptions, first_image_shape, read_listings
from gpucnn.data.listing import Listing
from gpucnn.data.stratified import check_test_options
from gpucnn.errors import ConfigError, DataError, shortened
from gpucnn.files import kind_of, read_regular
from gpucnn.text import shown, warn_once

_MOST_BYTES = 1 << 26
_LONGEST_PATH, _LONGEST_CLASS = 4096, 255
"""What systems allow for a path, and for the name of a folder, which a class may also be."""
_LARGEST_NUMBER = float(np.finfo(np.float32).max)
_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing"), "test"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
}


@datasets.register("csv")
def image_list(
    path: str,
    test_share: float = 0.2,
    split_seed: int = 0,
    size: int | tuple[int, int] | None = None,
    colour: Literal["rgb", "grey"] = "rgb",
    fit: Literal["crop", "stretch"] = "crop",
    workers: int | None = None,
    memory_limit_mb: int = 2048,
    on_damaged: Literal["error", "skip"] = "error",
    max_pixels: int = MAX_PIXELS,
    range: tuple[float, float] | None = None,  # noqa: A002  # the key in configs
    targets: tuple[str, ...] | None = None,
) -> DatasetPair:
    """Image files that a csv file lists, in the columns file, class and, if there is one, split.

    The columns have this order, or the first line names them; others are ignored. The file is in
    UTF-8 and separated by commas. Images are read as those of image_folder are.

    With targets, numbers are predicted instead of a class: the first line names the columns.

    Args:
        path: of the csv file. The files that it lists lie relative to its folder.
        test_share: the share of the images that is split off to test on, of each class, if no
            line has test (or val) for its split.
        split_seed: which images these are. It is not the run's seed, so runs with different seeds
            are tested on the same images.
        size: the side, or (height, width), to which all images are resized; None if they have
            one size already.
        colour: what the images are converted to: 3 channels or 1.
        fit: "crop" scales an image to cover the size and cuts off what is left over, equally
            at both ends; "stretch" changes its proportions.
        workers: processes that decode; 0 to decode in this one; None for one per core, or 0 if
            there are few images.
        memory_limit_mb: how much memory all decoded images may take, in 10⁶ bytes.
        on_damaged: whether a damaged file is an error, or skipped and counted on stderr.
        max_pixels: a file with more pixels counts as damaged.
        range: the lowest and highest value, which become 0 and 255, of images that have more than
            8 bits or floating-point values.
        targets: the names of the columns with the numbers to predict, such as ["width", "age"];
            None if the column class is to be predicted.

    Raises:
        ConfigError: a value that is out of range.
        DataError: the csv file is missing or cannot be understood; an image that it lists is
            missing, listed twice, unreadable or damaged; there are fewer than two classes, or no
            images of a class to train on; a target is not a finite number; the images differ in
            size and ``size`` is None.
    """
    options = ImageOptions(
        size, colour, fit, workers, memory_limit_mb, on_damaged, max_pixels, range
    )
    train, test = read_listings(lambda: _scan(path, test_share, split_seed, targets), options)
    return DatasetPair(train, test)


def image_list_test(
    path: str,
    test_share: float,
    split_seed: int,
    targets: tuple[str, ...] | None = None,
    **image_options: Any,
) -> Dataset:
    """The test split of ``image_list``; the other images are not decoded.

    Raises:
        ConfigError, DataError: as ``image_list``.
    """
    options = ImageOptions(**image_options)
    (test,) = read_listings(lambda: _scan(path, test_share, split_seed, targets)[1:], options)
    return test


def image_list_shape(
    path: str,
    test_share: float,
    split_seed: int,
    targets: tuple[str, ...] | None = None,
    **image_options: Any,
) -> DataShape:
    """What a model for the data set depends on, with one image decoded at most.

    Raises:
        ConfigError, DataError: as ``image_list``.
    """
    options = ImageOptions(**image_options)
    return first_image_shape(lambda: _scan(path, test_share, split_seed, targets)[0], options)


def _scan(
    path: str, test_share: float, split_seed: int, targets: tuple[str, ...] | None
) -> tuple[Listing, Listing]:
    """The files to train on and to test on."""
    check_test_options(test_share, split_seed)
    if targets is not None and (not targets or len(set(targets)) < len(targets)):
        raise ConfigError(
            f"targets is {list(targets)}; name one column or more, and none of them twice"
        )
    source = data_file(path, "a csv file")
    with os_errors_explained(source):
        content = read_regular(source, _MOST_BYTES)
    table = _Table(source, targets or ())
    for line, row in read_rows(source, content, table.targets):
        table.add(line, row)
    table.check_files()
    return _split(table.listing(), np.array(table.splits, "U5"), test_share, split_seed)


@dataclass
class _Table:
    """What the lines of a csv file say, in their order.

    Attributes:
        source: the csv file.
        targets: the names of the numbers to predict; none if there are classes.
        files: the paths of the images.
        names: their classes, in composed Unicode (NFC).
        numbers: the numbers of each image.
        splits: "train", "test" or "val".
        lines: where each file is listed.
    """

    source: Path
    targets: tuple[str, ...]
    files: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    numbers: list[tuple[float, ...]] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    lines: dict[str, int] = field(default_factory=dict)

    def add(self, line: int, row: Row) -> None:
        """Adds a file with its class or its numbers, and its split."""
        file, split = row.file, row.split.strip().lower()
        if not file:
            raise wrong_line(self.source, line, "has no file")
        if len(file) > _LONGEST_PATH:
            raise wrong_line(self.source, line, f"has a file of {len(file):,} characters: too long")
        if self.targets:
            pairs = zip(self.targets, row.values, strict=True)
            numbers = tuple(self._number(line, *pair) for pair in pairs)
        else:
            name = self._class(line, row.values[0])
        if split not in _SPLITS:
            raise wrong_line(
                self.source, line, f'has the split "{shortened(split)}"; known: train, test, val'
            )
        path = os.path.normpath(os.path.join(self.source.parent, file))  # noqa: PTH118 # a Path would take longer
        first = self.lines.setdefault(path, line)
        if first != line:
            raise wrong_line(self.source, line, f"lists {shown(path)}, as line {first:,} does")
        self.files.append(path)
        if self.targets:
            self.numbers.append(numbers)
        else:
            self.names.append(name)
        self.splits.append(_SPLITS[split])

    def _class(self, line: int, text: str) -> str:
        name = unicodedata.normalize("NFC", text.strip())
        if not name:
            raise wrong_line(self.source, line, "has no class")
        if len(name) > _LONGEST_CLASS:
            raise wrong_line(
                self.source, line, f"has a class of {len(name):,} characters: too long"
            )
        return name

    def _number(self, line: int, target: str, text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if "_" in text or not abs(number) <= _LARGEST_NUMBER:
            raise wrong_line(
                self.source,
                line,
                f'has "{shortened(text)}" for {shown(target)}; a target is a finite number, such '
                f"as 1.5",
            )
        return number

    def listing(self) -> Listing:
        """All files, in the order of the lines."""
        files = tuple(self.files)
        if self.targets:
            numbers, labels = np.array(self.numbers, np.float32), np.zeros(len(files), np.int32)
            return Listing(self.source, files, labels, (), numbers, self.targets)
        classes = self.classes()
        index = {name: label for label, name in enumerate(classes)}
        labels = np.array([index[name] for name in self.names], np.int32)
        return Listing(self.source, files, labels, classes)

    def check_files(self) -> None:
        """Raises DataError if there is no image, or if what is listed is no file."""
        if not self.files:
            raise DataError(f"{shown(self.source)}: lists no images")
        missing = [path for path in self.files if not os.path.isfile(path)]  # noqa: PTH113 # quicker
        if not missing:
            return
        path = missing[0]
        kind = "" if "\0" in path else kind_of(path)
        others = f" ({len(missing):,} such lines)" if len(missing) > 1 else ""
        raise wrong_line(
            self.source,
            self.lines[path],
            f"lists {shown(path)}, which {f'is {kind}, not a file' if kind else 'does not exist'}"
            f"{others}; paths start from the folder of the csv file, and a first line that names "
            f"the columns calls them file and class",
        )

    def classes(self) -> tuple[str, ...]:
        """The classes, in the order of their names."""
        names = sorted(set(self.names))
        if len(names) < 2:
            raise DataError(
                f"{shown(self.source)}: has one class, {shown(names[0])}; training needs two "
                f"classes or more"
            )
        seen: dict[str, str] = {}
        for name in names:
            other = seen.setdefault(shown(name), name)
            if other != name:
                raise DataError(
                    f'{shown(self.source)}: has two classes "{shown(name)}" that differ '
                    f"{how_they_differ(other, name)}; rename one of them"
                )
        for name, other in look_alikes(names, names)[:1]:
            warn_once(
                f'{shown(self.source)}: has the classes "{shown(name)}" and "{shown(other)}", '
                f"which differ {how_they_differ(name, other)}"
            )
        return tuple(names)


def _split(
    whole: Listing, splits: np.ndarray[Any, np.dtype[np.str_]], test_share: float, split_seed: int
) -> tuple[Listing, Listing]:
    """The lines to train on and to test on, by what they say or at random."""
    tested = next((name for name in ("test", "val") if name in splits), None)
    if tested is None:
        return whole.split_off(test_share, split_seed)
    train = whole.only(np.flatnonzero(splits == "train").tolist())
    test = whole.only(np.flatnonzero(splits == tested).tolist())
    if whole.classes:
        _check_classes(whole, train, test)
    elif not train.files:
        raise DataError(
            f"{shown(whole.source)}: has no images to train on; add lines with the split train"
        )
    left_out = len(whole.files) - len(train.files) - len(test.files)
    if left_out:
        print(
            f"{shown(whole.source)}: left out {left_out:,} images of the split val", file=sys.stderr
        )
    return train, test


def _check_classes(whole: Listing, train: Listing, test: Listing) -> None:
    """Whether there are images of all classes in both splits.

    Raises:
        DataError: there are none to train on of a class.
    """
    counts = np.bincount(train.labels, minlength=len(whole.classes))
    test_counts = np.bincount(test.labels, minlength=len(whole.classes))
    if lacking := [name for name, count in zip(whole.classes, counts, strict=True) if not count]:
        raise DataError(
            f"{shown(whole.source)}: has no images to train on of these classes: "
            f"{listed(lacking)}; add lines with the split train"
        )
    if lacking := [n for n, count in zip(whole.classes, test_counts, strict=True) if not count]:
        warn_once(
            f"{shown(whole.source)}: has no images to test on of these classes: {listed(lacking)}"
        )
