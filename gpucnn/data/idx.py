"""MNIST and Fashion-MNIST: files in the idx format, gzipped or not.

An idx file is two zero bytes, a byte for the type (8: unsigned bytes), a byte for the number of
axes, each axis' length as a big-endian 32-bit integer, then the values.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.dataset import ArrayDataset, DatasetPair, datasets
from gpucnn.errors import DataError

_GZIP = b"\x1f\x8b"
_UNSIGNED_BYTES = 8
_DIGITS = tuple("0123456789")
_CLOTHES = (
    "T-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)


@datasets.register("mnist")
def mnist(root: str) -> DatasetPair:
    """Handwritten digits, 28×28 grey, from the four idx files in a folder."""
    return _pair(Path(root), _DIGITS)


@datasets.register("fashion_mnist")
def fashion_mnist(root: str) -> DatasetPair:
    """Articles of clothing, 28×28 grey, from the four idx files in a folder."""
    return _pair(Path(root), _CLOTHES)


def _pair(root: Path, classes: tuple[str, ...]) -> DatasetPair:
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "is not there"
        raise DataError(
            f"{root} {what}; set data.root to the folder with the idx files "
            f"(train-images-idx3-ubyte.gz and the other three)"
        )
    return DatasetPair(_split(root, "train", classes), _split(root, "t10k", classes))


def _split(root: Path, name: str, classes: tuple[str, ...]) -> ArrayDataset:
    images_path = _find(root, f"{name}-images", 3)
    labels_path = _find(root, f"{name}-labels", 1)
    images, labels = read_idx(images_path, axes=3), read_idx(labels_path, axes=1)
    if len(images) != len(labels):
        raise DataError(
            f"{images_path} has {len(images)} images but {labels_path} has {len(labels)} labels; "
            f"they are not of one data set"
        )
    if not images.size:
        raise DataError(f"{images_path} has no images")
    if labels.max() >= len(classes):
        raise DataError(
            f"{labels_path} has the label {labels.max()}; there are only {len(classes)} classes"
        )
    return ArrayDataset(images[..., None], labels.astype(np.int32), classes)


def _find(root: Path, name: str, axes: int) -> Path:
    names = [f"{name}{mark}idx{axes}-ubyte{end}" for mark in "-." for end in ("", ".gz")]
    for candidate in names:
        if (root / candidate).exists():
            return root / candidate
    raise DataError(f"{root}: none of {', '.join(names)} is there")


def read_idx(path: Path, axes: int) -> NDArray[np.uint8]:
    """The array of an idx file of unsigned bytes.

    Args:
        path: the file; whether it is gzipped is seen from its first bytes.
        axes: how many axes it must have.

    Raises:
        DataError: it cannot be read, is damaged, or is not such a file.
    """
    content = _content(path)
    header = 4 + 4 * axes
    if len(content) < header or content[:4] != bytes((0, 0, _UNSIGNED_BYTES, axes)):
        raise DataError(
            f"{path} is not an idx file of unsigned bytes with {axes} axes: it begins with "
            f"{content[:4].hex(' ') or 'nothing'}"
        )
    shape = struct.unpack(f">{axes}I", content[4:header])
    expected = int(np.prod(shape, dtype=np.uint64))
    if len(content) - header != expected:
        raise DataError(
            f"{path} is damaged: its header promises {expected} values "
            f"({'×'.join(map(str, shape))}), it has {len(content) - header}; fetch it again"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _content(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if raw.startswith(_GZIP) else raw
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is damaged ({error}); fetch it again") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
