"""CIFAR-10 and CIFAR-100 from the files that they are published as.

There is a binary version and a Python version. In the binary one an image is a row of bytes: its
label (CIFAR-100: the coarse and the fine label), then 32×32 red, green and blue values. The
Python version has the same values in pickles, which are read without executing anything.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.data_files import os_errors_explained
from gpucnn.data.dataset import ArrayDataset, DatasetPair, datasets
from gpucnn.data.downloads import Download, RemoteFile, data_set_folder
from gpucnn.data.plain_pickle import read_plain_pickle
from gpucnn.errors import DataError
from gpucnn.files import kind_of, open_regular, read_regular
from gpucnn.text import shown

_SERVER = "https://www.cs.toronto.edu/~kriz/"
_SOURCE = f"{_SERVER}cifar.html"
_SIDE, _CHANNELS = 32, 3
_PIXELS = _SIDE * _SIDE * _CHANNELS
_MOST_IMAGES = 50_000
"""In a file."""
_MOST_BESIDES = 128
"""Bytes an image, in a pickle, for its name and its labels."""
_MOST_NAMES = 1 << 16
"""Bytes of a file of class names."""

_Images: TypeAlias = NDArray[np.uint8]
_Labels: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True)
class _Version:
    """One of the two forms in which a data set is published.

    Attributes:
        archive: the name of the file that is downloaded.
        folder: the folder that unpacking it makes.
        train, test: the files with images.
        names: the file with the names of the classes.
        read: reads a file with images: (n, 3072) and labels (n,).
        read_names: reads the names.
    """

    archive: str
    folder: str
    train: tuple[str, ...]
    test: str
    names: str
    read: Callable[[Path], tuple[_Images, _Labels]]
    read_names: Callable[[Path], list[bytes]]

    @property
    def files(self) -> tuple[str, ...]:
        return (*self.train, self.test, self.names)


@datasets.register("cifar10")
def cifar10(root: str | None = None) -> DatasetPair:
    """CIFAR-10, photos in 10 classes: 50,000 to train on and 10,000 to test on, 32×32 colour.

    Args:
        root: the folder with the files of the binary version (data_batch_1.bin to data_batch_5.bin,
            test_batch.bin, batches.meta.txt) or of the Python version (the same without .bin and
            .txt), or the folder in which the archive was unpacked; if left out, the binary version
            is downloaded once.

    Raises:
        DataError: a file is missing, damaged, or not what its name says.
    """
    return _read_pair(root, _CIFAR_10_DOWNLOAD, _CIFAR_10, 10)


@datasets.register("cifar100")
def cifar100(root: str | None = None) -> DatasetPair:
    """CIFAR-100, photos in 100 classes: 50,000 to train on and 10,000 to test on, 32×32 colour.

    The classes are the 100 fine ones.

    Args:
        root: the folder with the files of the binary version (train.bin, test.bin,
            fine_label_names.txt) or of the Python version (train, test, meta), or the folder in
            which the archive was unpacked; if left out, the binary version is downloaded once.

    Raises:
        DataError: a file is missing, damaged, or not what its name says.
    """
    return _read_pair(root, _CIFAR_100_DOWNLOAD, _CIFAR_100, 100)


def _read_pair(
    root: str | None, download: Download, versions: tuple[_Version, ...], classes: int
) -> DatasetPair:
    given = data_set_folder(root, download, f"the files of {download.title}")
    with os_errors_explained(given):
        folder, version = _find(given, download.title, versions)
        for name in version.files:
            _check_file(folder / name, version)
        names = _class_names(folder / version.names, version, classes)
        return DatasetPair(
            train=_read_part([folder / name for name in version.train], version, names),
            test=_read_part([folder / version.test], version, names),
        )


def _find(given: Path, title: str, versions: tuple[_Version, ...]) -> tuple[Path, _Version]:
    """The folder with at least one of the files of a version, and that version."""
    for version in versions:
        for folder in (given, given / version.folder):
            if any((folder / name).is_file() for name in version.files):
                return folder, version
    for version in versions:
        if (given / version.archive).is_file():
            archive = shown(given / version.archive)
            raise DataError(f"{archive}: is packed; unpack it there, with tar -xf")
    if (given / "train").is_dir():
        raise DataError(
            f"{shown(given)}: has none of the files of {title}; if it is a folder of images, set "
            f"data.name to image_folder"
        )
    described = " or ".join(
        f"{version.train[0]} and so on, of {version.archive}," for version in versions
    )
    raise DataError(
        f"{shown(given)}: has none of the files of {title}; put {described} there, from {_SOURCE}, "
        f"or correct data.root"
    )


def _check_file(path: Path, version: _Version) -> None:
    """Raises DataError if one of the version's files is missing, with where to get it."""
    if path.is_file():
        return
    if kind := kind_of(path):
        raise DataError(f"{shown(path)}: is {kind}; expected the file itself there")
    if path.is_symlink():
        raise DataError(f"{shown(path)}: is a link to a file that does not exist; correct it")
    raise DataError(
        f"{shown(path)}: is missing; it is in {version.archive}, from {_SOURCE}, with "
        f"{', '.join(name for name in version.files if name != path.name)}"
    )


def _class_names(path: Path, version: _Version, classes: int) -> list[str]:
    try:
        names = [name.decode("utf-8") for name in version.read_names(path)]
    except UnicodeDecodeError:
        raise DataError(f"{shown(path)}: is not text in UTF-8; get the file again") from None
    if len(set(names)) != classes or len(names) != classes or "" in names:
        raise DataError(
            f"{shown(path)}: has {len(names)} class names, {len(set(names))} of them distinct; "
            f"expected {classes}; get the file again"
        )
    return names


def _read_part(paths: list[Path], version: _Version, classes: list[str]) -> ArrayDataset:
    """The images of all files, one after another."""
    parts, labels = [], []
    for path in paths:
        rows, row_labels = version.read(path)
        if row_labels.max() >= len(classes):
            raise DataError(
                f"{shown(path)}: has the label {row_labels.max()}, but labels go from 0 to "
                f"{len(classes) - 1}; is it the file of another data set?"
            )
        planes = rows.reshape(-1, _CHANNELS, _SIDE, _SIDE)
        parts.append(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)))
        labels.append(row_labels.astype(np.int32))
    images = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return ArrayDataset(images, np.concatenate(labels), classes)


def _read_rows(path: Path, label_bytes: int) -> tuple[_Images, _Labels]:
    """The images and the last label of each row of a binary file."""
    row_bytes = label_bytes + _PIXELS
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        count, rest = divmod(size, row_bytes)
        if rest or not 0 < count <= _MOST_IMAGES:
            raise DataError(
                f"{shown(path)}: has {size:,} bytes; expected {row_bytes:,} for each image, of "
                f"1 to {_MOST_IMAGES:,} images; get the file again"
            )
        content = file.read(size)
    if len(content) < size:
        raise DataError(f"{shown(path)}: became shorter while it was read; get the file again")
    rows = np.frombuffer(content, np.uint8).reshape(count, row_bytes)
    return rows[:, label_bytes:], rows[:, label_bytes - 1]


def _read_lines(path: Path) -> list[bytes]:
    lines = read_regular(path, _MOST_NAMES).splitlines()
    return [line.strip() for line in lines if line.strip()]


def _read_batch(path: Path, key: bytes) -> tuple[_Images, _Labels]:
    """The images of a file of the Python version, and the labels that it has under a key."""
    content = read_plain_pickle(path, _MOST_IMAGES * (_PIXELS + _MOST_BESIDES))
    images, labels = content.get(b"data"), content.get(key)
    if not isinstance(images, np.ndarray) or images.ndim != 2 or images.shape[1] != _PIXELS:
        raise DataError(
            f'{shown(path)}: has no "data", an array of bytes (n, {_PIXELS}); get the file again'
        )
    is_usable = (
        isinstance(labels, list)
        and len(labels) == len(images)
        and all(type(label) is int and 0 <= label <= 255 for label in labels)
    )
    if not is_usable:
        raise DataError(
            f'{shown(path)}: has no "{key.decode()}", a list of {len(images):,} whole numbers from '
            f"0 to 255; get the file again"
        )
    return images, np.array(labels, np.uint8)


def _read_meta(path: Path, key: bytes) -> list[bytes]:
    names = read_plain_pickle(path, _MOST_NAMES).get(key)
    if not isinstance(names, list) or not all(isinstance(name, bytes) for name in names):
        raise DataError(f'{shown(path)}: has no "{key.decode()}", a list; get the file again')
    return names


_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
_CIFAR_10 = (
    _Version(
        archive="cifar-10-binary.tar.gz",
        folder="cifar-10-batches-bin",
        train=tuple(f"{name}.bin" for name in _BATCHES),
        test="test_batch.bin",
        names="batches.meta.txt",
        read=lambda path: _read_rows(path, 1),
        read_names=_read_lines,
    ),
    _Version(
        archive="cifar-10-python.tar.gz",
        folder="cifar-10-batches-py",
        train=_BATCHES,
        test="test_batch",
        names="batches.meta",
        read=lambda path: _read_batch(path, b"labels"),
        read_names=lambda path: _read_meta(path, b"label_names"),
    ),
)
_CIFAR_100 = (
    _Version(
        archive="cifar-100-binary.tar.gz",
        folder="cifar-100-binary",
        train=("train.bin",),
        test="test.bin",
        names="fine_label_names.txt",
        read=lambda path: _read_rows(path, 2),
        read_names=_read_lines,
    ),
    _Version(
        archive="cifar-100-python.tar.gz",
        folder="cifar-100-python",
        train=("train",),
        test="test",
        names="meta",
        read=lambda path: _read_batch(path, b"fine_labels"),
        read_names=lambda path: _read_meta(path, b"fine_label_names"),
    ),
)


def _download(
    name: str, title: str, versions: tuple[_Version, ...], md5: str, size: int
) -> Download:
    """The archive of the first version, unless there are files of any version already."""
    first, *others = versions
    names = (*(version.folder for version in others), *(v.train[0] for v in versions))
    archive = RemoteFile(first.archive, md5, size, names, first.folder, first.files)
    return Download(name, title, _SERVER, (archive,))


# The checksums are those on the authors' page.
_CIFAR_10_DOWNLOAD = _download(
    "cifar10", "CIFAR-10", _CIFAR_10, "c32a1d4ab5d03f1284b67883e8d87530", 170_052_171
)
_CIFAR_100_DOWNLOAD = _download(
    "cifar100", "CIFAR-100", _CIFAR_100, "03b5dce01913d631647c71ecec9e9cb8", 168_513_733
)
