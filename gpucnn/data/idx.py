"""MNIST and Fashion-MNIST from the four files that they are published as.

An idx file is a header of big-endian 32-bit integers, a magic number and then the length of
each dimension, followed by the bytes themselves. Here the magic number is 0x08 (unsigned bytes)
times 256 plus the number of dimensions.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.dataset import ArrayDataset, DatasetPair, datasets
from gpucnn.errors import DataError

_GZIP_MAGIC = b"\x1f\x8b"
_UNSIGNED_BYTES = 0x0800
_DIGITS = tuple("0123456789")
_CLOTHES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


@datasets.register("mnist")
def mnist(root: str) -> DatasetPair:
    """MNIST, handwritten digits: 60,000 images to train on and 10,000 to test on, 28×28 grey.

    Args:
        root: the folder that holds train-images-idx3-ubyte, train-labels-idx1-ubyte,
            t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, gzipped or not.

    Raises:
        DataError: a file is missing, damaged, or not what its name says.
    """
    return _read_pair(root, _DIGITS)


@datasets.register("fashion_mnist")
def fashion_mnist(root: str) -> DatasetPair:
    """Fashion-MNIST, pieces of clothing: the same numbers, sizes and file names as MNIST.

    Args:
        root: the folder that holds the four files, gzipped or not.

    Raises:
        DataError: a file is missing, damaged, or not what its name says.
    """
    return _read_pair(root, _CLOTHES)


def _read_pair(root: str, classes: tuple[str, ...]) -> DatasetPair:
    folder = Path(root).expanduser()
    try:
        if not folder.is_dir():
            problem = "is not a folder" if folder.exists() else "there is no such folder"
            raise DataError(f"{folder}: {problem}; set data.root to where the idx files are")
        return DatasetPair(
            train=_read_part(folder, "train", classes), test=_read_part(folder, "t10k", classes)
        )
    except OSError as error:
        path = error.filename or folder
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); check the path and its permissions"
        ) from None


def _read_part(folder: Path, part: str, classes: tuple[str, ...]) -> ArrayDataset:
    images_path = _find(folder, f"{part}-images-idx3-ubyte")
    labels_path = _find(folder, f"{part}-labels-idx1-ubyte")
    images, labels = _read_idx(images_path, ndim=3), _read_idx(labels_path, ndim=1)
    if len(images) != len(labels):
        raise DataError(
            f"{labels_path}: has {len(labels)} labels, but {images_path.name} has "
            f"{len(images)} images; take both from the same source"
        )
    if images.size == 0:
        raise DataError(f"{images_path}: has no pixels (shape {images.shape}); get it again")
    if labels.max() >= len(classes):
        raise DataError(
            f"{labels_path}: has the label {labels.max()}, but labels go from 0 to "
            f"{len(classes) - 1}; is it the file of another data set?"
        )
    return ArrayDataset(images[..., np.newaxis], labels.astype(np.int32), classes)


def _find(folder: Path, name: str) -> Path:
    """The file in any of the names that it goes by."""
    dotted = name.replace("-idx", ".idx")
    candidates = [folder / other for other in (name, f"{name}.gz", dotted, f"{dotted}.gz")]
    for path in candidates:
        if path.is_file():
            return path
    for path in candidates:
        if path.is_dir():
            raise DataError(f"{path}: is a folder; expected the file itself there")
    names = ", ".join(path.name for path in candidates)
    raise DataError(f"{folder}: has none of {names}; put one there or correct data.root")


def _read_idx(path: Path, ndim: int) -> NDArray[np.uint8]:
    """The array in an idx file of unsigned bytes with so many dimensions."""
    content = _unpacked(path)
    header_size = 4 * (1 + ndim)
    if len(content) < header_size:
        raise DataError(
            f"{path}: has {len(content)} bytes, too few for the {header_size} of an idx header; "
            "get the file again"
        )
    magic, *shape = struct.unpack_from(f">{1 + ndim}I", content)
    if magic != _UNSIGNED_BYTES + ndim:
        raise DataError(
            f"{path}: begins with {magic:#010x}, but an idx file of bytes in {ndim} dimensions "
            f"begins with {_UNSIGNED_BYTES + ndim:#010x}; put the right file there"
        )
    expected = header_size + math.prod(shape)
    if len(content) != expected:
        raise DataError(
            f"{path}: is {'shorter' if len(content) < expected else 'longer'} than its header "
            f"says ({len(content)} bytes unpacked instead of {expected}); get the file again"
        )
    return np.frombuffer(content, np.uint8, offset=header_size).reshape(shape)


def _unpacked(path: Path) -> bytes:
    """The file's bytes; unpacked if they are gzip's, whatever the file is called."""
    content = path.read_bytes()
    if not content.startswith(_GZIP_MAGIC):
        return content
    try:
        return gzip.decompress(content)
    except EOFError:
        raise DataError(f"{path}: the gzip data end too early; get the file again") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: damaged gzip data ({error}); get the file again") from None
