"""Data sets in parquet files, as Hugging Face stores them."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.class_names import listed
from gpucnn.data.data_files import os_errors_explained
from gpucnn.data.dataset import Dataset, DatasetPair, DataShape, datasets
from gpucnn.data.decoding import MAX_PIXELS
from gpucnn.data.image_files import ImageOptions, first_image_shape, read_listings
from gpucnn.data.image_within import Container
from gpucnn.data.listing import Listing
from gpucnn.data.parquet_file import ParquetFile, open_parquet, require_pyarrow
from gpucnn.data.stratified import check_test_options, split_off_test
from gpucnn.errors import DataError
from gpucnn.paths import user_path
from gpucnn.progress import progress
from gpucnn.text import shown

_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing"), "test"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
}
"""What the names of files begin with."""
_SUBFOLDER = "data"


@datasets.register("parquet")
def parquet(
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
) -> DatasetPair:
    """Parquet files of images, as Hugging Face's data sets have them, with columns image and label.

    Images are the bytes of image files, which are read as those of image_folder are. Labels are
    whole numbers, which the file's metadata may name, or text. While the data are in use, the
    images are unpacked to the system's folder for temporary files (TMPDIR).

    Args:
        path: of the file; or of a folder with files, there or in its folder data, whose names begin
            with train, test or validation, such as train-00000-of-00002.parquet.
        test_share: the share of the images that is split off to test on, of each class, if no
            file is for testing (or validation).
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
        on_damaged: whether a damaged image is an error, or skipped and counted on stderr.
        max_pixels: an image with more pixels counts as damaged.
        range: the lowest and highest value, which become 0 and 255, of images that have more than
            8 bits or floating-point values.

    Raises:
        ConfigError: a value that is out of range.
        DataError: a file is missing, damaged or has no such columns; an image is damaged; labels
            are out of range; the images differ in size and ``size`` is None; or pyarrow is missing.
    """
    options = ImageOptions(
        size, colour, fit, workers, memory_limit_mb, on_damaged, max_pixels, range
    )
    train, test = _read(lambda: _parts(path, test_share, split_seed), options)
    return DatasetPair(train, test)


def parquet_test(path: str, test_share: float, split_seed: int, **image_options: Any) -> Dataset:
    """The test split of ``parquet``; the other images are neither unpacked nor decoded.

    Raises:
        ConfigError, DataError: as ``parquet``.
    """
    options = ImageOptions(**image_options)
    (test,) = _read(lambda: _parts(path, test_share, split_seed)[1:], options)
    return test


def parquet_shape(path: str, test_share: float, split_seed: int, **image_options: Any) -> DataShape:
    """What a model depends on, with one image unpacked and decoded.

    Raises:
        ConfigError, DataError: as ``parquet``.
    """
    options = ImageOptions(**image_options)
    return first_image_shape(
        lambda: _parts(path, test_share, split_seed)[0].first().unpacked(Container()), options
    )


def _read(parts: Callable[[], Sequence[_Part]], options: ImageOptions) -> list[Dataset]:
    """Each part as a data set. The images are unpacked as long as they are needed."""
    with os_errors_explained(Path(tempfile.gettempdir())):
        container = Container()
    try:
        read = read_listings(lambda: [part.unpacked(container) for part in parts()], options)
        for dataset in read:
            if not dataset.on_demand:
                dataset.fingerprint()  # the last that needs them
    except BaseException:
        container.remove()
        raise
    return read


@dataclass(frozen=True)
class _Part:
    """Rows of some files.

    Attributes:
        source: what the user named.
        files: the files.
        labels: int32 (rows of all files,).
        classes: their names.
        is_wanted: bool (rows of all files,).
    """

    source: Path
    files: Sequence[ParquetFile]
    labels: NDArray[np.int32]
    classes: tuple[str, ...]
    is_wanted: NDArray[np.bool_]

    def first(self) -> _Part:
        """The first of them alone."""
        is_first = np.zeros_like(self.is_wanted)
        is_first[self.is_wanted.argmax()] = True
        return _Part(self.source, self.files, self.labels, self.classes, is_first)

    def unpacked(self, container: Container) -> Listing:
        """The rows, with their images appended to a container."""
        unpacked, first = [], 0
        with (
            os_errors_explained(self.source),
            progress(f"unpacking {shown(self.source.name)}", len(self.labels)) as advance,
        ):
            for file in self.files:
                last = first + len(file.values)
                unpacked += file.unpack(container, self.is_wanted[first:last], advance)
                first = last
        labels = self.labels[self.is_wanted]
        return Listing(self.source, tuple(unpacked), labels, self.classes)


def _parts(path: str, test_share: float, split_seed: int) -> tuple[_Part, _Part]:
    """The rows to train on and to test on."""
    check_test_options(test_share, split_seed)
    require_pyarrow()
    source = user_path(path).absolute()
    with os_errors_explained(source):
        paths = _paths(source)
        train = [open_parquet(file) for file in paths["train"]]
        test = [open_parquet(file) for file in paths["test"]]
    classes = _classes(source, [*train, *test], sum(len(file.values) for file in train))
    if len(classes) < 2:
        raise DataError(
            f"{shown(source)}: has one class, {listed(classes)}; training needs two or more"
        )
    labels = _labels(train, classes)
    if test:
        test_labels = _labels(test, classes)
        return (
            _Part(source, train, labels, classes, np.ones(len(labels), bool)),
            _Part(source, test, test_labels, classes, np.ones(len(test_labels), bool)),
        )
    is_test = split_off_test(labels, classes, test_share, split_seed, str(source))
    return (
        _Part(source, train, labels, classes, ~is_test),
        _Part(source, train, labels, classes, is_test),
    )


def _paths(source: Path) -> dict[str, list[Path]]:
    """The files to train on and to test on."""
    if source.is_file():
        return {"train": [source], "test": []}
    if not source.exists():
        raise DataError(
            f"{shown(source)}: there is no such file or folder; set data.path to a parquet file, "
            f"or to a folder of them"
        )
    files = sorted(source.glob("*.parquet")) or sorted((source / _SUBFOLDER).glob("*.parquet"))
    if not files:
        raise DataError(
            f"{shown(source)}: has no parquet files, and neither has its folder {_SUBFOLDER}; set "
            f"data.path to where they are"
        )
    words = [re.split(r"[-_.]", file.name.lower())[0] for file in files]
    if not any(word in _SPLITS for word in words):
        return {"train": files, "test": []}
    found: dict[str, list[Path]] = {"train": [], "test": [], "val": []}
    for file, word in zip(files, words, strict=True):
        if word not in _SPLITS:
            raise DataError(
                f"{shown(file)}: its name does not say what it is for, though other files' do; "
                f"begin it with train, test or validation, or remove the file"
            )
        found[_SPLITS[word]].append(file)
    if not found["train"]:
        raise DataError(f"{shown(source)}: has no files whose name begins with train")
    if not found["test"]:
        return {"train": found["train"], "test": found["val"]}
    if found["val"]:
        print(f"{shown(source)}: left out the files of the split validation", file=sys.stderr)
    return {"train": found["train"], "test": found["test"]}


def _classes(source: Path, files: Sequence[ParquetFile], most: int) -> tuple[str, ...]:
    """The names of the classes.

    Args:
        source: for messages.
        files: all of them.
        most: of classes that have no names.
    """
    names = files[0].names
    for file in files:
        if file.names != names:
            raise DataError(
                f"{shown(file.path)}: names other classes, {listed(file.names or ['none'])}, than "
                f"{shown(files[0].path.name)}, {listed(names or ['none'])}; take all from one "
                f"source"
            )
        if isinstance(file.values, list) != isinstance(files[0].values, list):
            raise DataError(
                f"{shown(file.path)}: has labels of another kind than {shown(files[0].path.name)}"
            )
    if isinstance(files[0].values, list):
        texts: set[str] = set().union(*(file.values for file in files))
        if len({shown(text) for text in texts}) < len(texts) or "" in texts:
            raise DataError(f"{shown(source)}: has a label without text, or two that look the same")
        return tuple(sorted(texts))
    for file in files:
        count = most if names is None else len(names)
        values = np.asarray(file.values)
        wrong = np.flatnonzero((values < 0) | (values >= count))
        if wrong.size:
            classes = "numbers of classes without gaps" if names is None else f"{count} classes"
            raise DataError(
                f"{shown(file.path)}: row {wrong[0]} has the label {values[wrong[0]]}, but labels "
                f"are from 0 to {count - 1:,}, for {classes}"
            )
    if names is not None:
        return names
    return tuple(str(number) for number in range(1 + max(int(max(f.values)) for f in files)))


def _labels(files: Sequence[ParquetFile], classes: tuple[str, ...]) -> NDArray[np.int32]:
    index = {name: number for number, name in enumerate(classes)}
    parts = [
        np.array([index[value] for value in file.values], np.int32)
        if isinstance(file.values, list)
        else file.values.astype(np.int32)
        for file in files
    ]
    return np.concatenate(parts)
