"""SVHN, cropped house numbers, from the MATLAB files that it is published as.

A file has X, the images (32, 32, 3, N), and y, the labels (N, 1); the label 10 is the digit 0. The
headers of both are checked, with the file's size, before scipy reads the rest.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.data_files import (
    check_fits_memory,
    os_errors_explained,
    parser_errors_explained,
)
from gpucnn.data.dataset import ArrayDataset, DatasetPair, datasets
from gpucnn.data.downloads import Download, RemoteFile, data_set_folder
from gpucnn.errors import DataError, install_advice, shortened
from gpucnn.files import kind_of, open_regular
from gpucnn.text import shown

_SIDE, _CHANNELS = 32, 3
_PIXELS = _SIDE * _SIDE * _CHANNELS
_TRAIN, _TEST = "train_32x32.mat", "test_32x32.mat"
_DIGITS = tuple("0123456789")
_BEST_RATIO = 1032
"""Deflate compresses no better than this."""
_BYTES_BESIDES = 64
"""Bytes an image, for its label, and for blocks that were not compressed."""
_OTHER_BYTES = 1 << 20
_KIND = "a MATLAB file"

_Header: TypeAlias = tuple[str, tuple[int, ...], str]

# The checksums are those that torchvision.datasets gives; the server is that of the authors.
_SVHN = Download(
    "svhn",
    "SVHN",
    "http://ufldl.stanford.edu/housenumbers/",
    (
        RemoteFile(_TRAIN, "e26dedcc434d2e4c54c9b2d4a06d8373", 182_040_794),
        RemoteFile(_TEST, "eb5a983be6a315427106f1b164d9cef3", 64_275_384),
    ),
)


@datasets.register("svhn")
def svhn(root: str | None = None) -> DatasetPair:
    """SVHN, house numbers cut into digits: 73,257 to train on, 26,032 to test on, 32×32 colour.

    Args:
        root: the folder that holds train_32x32.mat and test_32x32.mat; if left out, they are
            downloaded once.

    Raises:
        DataError: a file is missing, damaged, or not what its name says; or scipy is missing.
    """
    _require_scipy()
    folder = data_set_folder(root, _SVHN, "the files of SVHN")
    with os_errors_explained(folder):
        for name in (_TRAIN, _TEST):
            _check_file(folder / name)
        return DatasetPair(train=_read(folder / _TRAIN), test=_read(folder / _TEST))


def _require_scipy() -> None:
    try:
        import scipy.io  # noqa: F401
    except ImportError:
        raise DataError(
            f"the files of SVHN need scipy, which is not installed; {install_advice('svhn')}"
        ) from None


def _check_file(path: Path) -> None:
    if path.is_file():
        return
    if kind := kind_of(path):
        raise DataError(f"{shown(path)}: is {kind}; expected the file itself there")
    raise DataError(
        f"{shown(path)}: is missing; put {_TRAIN} and {_TEST} there, from {_SVHN.base}, or correct "
        f"data.root"
    )


def _read(path: Path) -> ArrayDataset:
    with open_regular(path) as file:
        with parser_errors_explained(path, _KIND):
            headers = _headers(file)
        count = _image_count(path, os.fstat(file.fileno()).st_size, headers)
        file.seek(0)
        with parser_errors_explained(path, _KIND):
            content = _arrays(file)
    images, labels = content.get("X"), content.get("y")
    if not (
        isinstance(images, np.ndarray)
        and images.dtype == np.uint8
        and images.shape == (_SIDE, _SIDE, _CHANNELS, count)
        and isinstance(labels, np.ndarray)
        and labels.dtype.kind in "iuf"
        and labels.size == count
    ):
        raise DataError(f"{shown(path)}: has other arrays than its header says; get the file again")
    return ArrayDataset(
        np.ascontiguousarray(images.transpose(3, 0, 1, 2)), _digits(path, labels), _DIGITS
    )


def _digits(path: Path, labels: NDArray[Any]) -> NDArray[np.int32]:
    """Labels from 1 to 10 as digits."""
    numbers = labels.reshape(-1)
    wrong = np.flatnonzero(~((numbers >= 0) & (numbers <= 10) & (numbers == np.rint(numbers))))
    if wrong.size:
        raise DataError(
            f"{shown(path)}: has the label {numbers[wrong[0]]}, but labels are whole numbers from "
            f"1 to 10; is it the file of another data set?"
        )
    return numbers.astype(np.int32) % 10


def _image_count(path: Path, size: int, headers: Sequence[_Header]) -> int:
    """How many images a file of ``size`` bytes has by its headers, if it can have so many."""
    headers = [header for header in headers if header[0] in ("X", "y")]
    shapes = {name: shape for name, shape, _ in headers}
    kinds = {name: kind for name, _, kind in headers}
    X, y = shapes.get("X", ()), shapes.get("y", ())
    is_svhn = (
        sorted(name for name, _, _ in headers) == ["X", "y"]
        and (len(X) == 4 and X[:3] == (_SIDE, _SIDE, _CHANNELS) and X[3] > 0)
        and (len(y) == 2 and sorted(y) == sorted((1, X[3])))
        and (kinds["X"] == "uint8" and kinds["y"] in ("uint8", "double", "single", "int32"))
    )
    if not is_svhn:
        found = ", ".join(f"{shortened(name)} {kind} {shape}" for name, shape, kind in headers)
        raise DataError(
            f"{shown(path)}: has {found or 'no X and no y'}; expected X uint8 (32, 32, 3, N) and y "
            f"(N, 1), of the cropped digits; get the file again"
        )
    count = int(X[3])
    least, most = count * _PIXELS // _BEST_RATIO, count * (_PIXELS + _BYTES_BESIDES) + _OTHER_BYTES
    if not least <= size <= most:
        raise DataError(
            f"{shown(path)}: has {size:,} bytes, which cannot be {count:,} images; get the file "
            f"again"
        )
    check_fits_memory(path, 2 * count * _PIXELS)
    return count


def _headers(file: BinaryIO) -> list[_Header]:
    """Name, shape and type of each array."""
    import scipy.io

    return cast(list[_Header], scipy.io.whosmat(file))


def _arrays(file: BinaryIO) -> Mapping[str, Any]:
    """X and y; nothing else is read."""
    import scipy.io

    return cast(Mapping[str, Any], scipy.io.loadmat(file, variable_names=("X", "y")))
