"""MNIST and Fashion-MNIST from the four files that they are published as.

An idx file is a header of big-endian 32-bit integers, a magic number and then the length of each
dimension, followed by the data. Here the magic number is 0x08 (unsigned bytes) times 256 plus the
number of dimensions. The header says how large the file must be, so it is read first, and no more
memory is taken than it announces.
"""

from __future__ import annotations

import math
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.data_files import check_fits_memory, os_errors_explained
from gpucnn.data.dataset import ArrayDataset, DatasetPair, datasets
from gpucnn.data.downloads import Download, RemoteFile, data_set_folder
from gpucnn.errors import DataError
from gpucnn.files import kind_of, open_regular
from gpucnn.text import shown

_GZIP_MAGIC = b"\x1f\x8b"
_GZIP = zlib.MAX_WBITS + 16
_BEST_RATIO = 1032
"""Deflate compresses no better than this."""
_GZIP_OVERHEAD = 1 << 16
"""How much larger a gzip file may be than its content, besides a quarter of it."""
_PIECE = 1 << 18
"""Bytes that are read or unpacked at a time."""
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


def _idx_file(name: str, md5: str, size: int) -> RemoteFile:
    """One of the four files, gzipped as they are published."""
    dotted = name.replace("-idx", ".idx")
    return RemoteFile(f"{name}.gz", md5, size, also_as=(name, dotted, f"{dotted}.gz"))


# The checksums are those that torchvision.datasets gives. The first server is the mirror of MNIST
# in PyTorch's bucket of data sets, the second that of the authors of Fashion-MNIST.
_MNIST = Download(
    "mnist",
    "MNIST",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    (
        _idx_file("train-images-idx3-ubyte", "f68b3c2dcbeaaa9fbdd348bbdeb94873", 9_912_422),
        _idx_file("train-labels-idx1-ubyte", "d53e105ee54ea40749a09fcbcd1e9432", 28_881),
        _idx_file("t10k-images-idx3-ubyte", "9fb629c4189551a2d022fa330f9573f3", 1_648_877),
        _idx_file("t10k-labels-idx1-ubyte", "ec29112dd5afa0611ce80d1b7f02629c", 4_542),
    ),
)
_FASHION_MNIST = Download(
    "fashion_mnist",
    "Fashion-MNIST",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    (
        _idx_file("train-images-idx3-ubyte", "8d4fb7e6c68d591d4c3dfef9ec88bf0d", 26_421_880),
        _idx_file("train-labels-idx1-ubyte", "25c81989df183df01b3e8a0aad5dffbe", 29_515),
        _idx_file("t10k-images-idx3-ubyte", "bef4ecab320f06d8554ea6380940ec79", 4_422_102),
        _idx_file("t10k-labels-idx1-ubyte", "bb300cfdad3c16e7a12a480ee83cd310", 5_148),
    ),
)


@datasets.register("mnist")
def mnist(root: str | None = None) -> DatasetPair:
    """MNIST, handwritten digits: 60,000 images to train on and 10,000 to test on, 28×28 grey.

    Args:
        root: the folder that holds train-images-idx3-ubyte, train-labels-idx1-ubyte,
            t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, gzipped or not; if left out, they are
            downloaded once.

    Raises:
        DataError: a file is missing, damaged, or not what its name says.
    """
    return _read_pair(root, _MNIST, _DIGITS)


@datasets.register("fashion_mnist")
def fashion_mnist(root: str | None = None) -> DatasetPair:
    """Fashion-MNIST, pieces of clothing: the same numbers, sizes and file names as MNIST.

    Args:
        root: the folder that holds the four files, gzipped or not; if left out, they are
            downloaded once.

    Raises:
        DataError: a file is missing, damaged, or not what its name says.
    """
    return _read_pair(root, _FASHION_MNIST, _CLOTHES)


def _read_pair(root: str | None, download: Download, classes: tuple[str, ...]) -> DatasetPair:
    folder = data_set_folder(root, download, "the idx files")
    with os_errors_explained(folder):
        return DatasetPair(
            train=_read_part(folder, "train", classes), test=_read_part(folder, "t10k", classes)
        )


def _read_part(folder: Path, part: str, classes: tuple[str, ...]) -> ArrayDataset:
    images_path = _find(folder, f"{part}-images-idx3-ubyte")
    labels_path = _find(folder, f"{part}-labels-idx1-ubyte")
    (count, *sides), (label_count,) = _read_shape(images_path, 3), _read_shape(labels_path, 1)
    if count != label_count:
        raise DataError(
            f"{shown(labels_path)}: has {label_count} labels, but {shown(images_path)} has {count} "
            f"images; take both from the same source"
        )
    if 0 in (count, *sides):
        raise DataError(
            f"{shown(images_path)}: has no pixels (shape {(count, *sides)}); get the file again"
        )
    labels = _read_idx(labels_path, 1)
    if labels.max() >= len(classes):
        raise DataError(
            f"{shown(labels_path)}: has the label {labels.max()}, but labels go from 0 to "
            f"{len(classes) - 1}; is it the file of another data set?"
        )
    images = _read_idx(images_path, 3)
    return ArrayDataset(images[..., np.newaxis], labels.astype(np.int32), classes)


def _find(folder: Path, name: str) -> Path:
    """The file in any of the names that it goes by."""
    dotted = name.replace("-idx", ".idx")
    candidates = [folder / other for other in (name, f"{name}.gz", dotted, f"{dotted}.gz")]
    for path in candidates:
        if path.is_file():
            return path
    for path in candidates:
        if kind := kind_of(path):
            raise DataError(f"{shown(path)}: is {kind}; expected the file itself there")
        if path.is_symlink():
            raise DataError(f"{shown(path)}: is a link to a file that does not exist; correct it")
    names = ", ".join(path.name for path in candidates)
    raise DataError(f"{shown(folder)}: has none of {names}; put one there or correct data.root")


class _Readable(Protocol):
    def read(self, most: int, /) -> bytes:
        """The next ``most`` bytes; fewer only at the end."""


def _read_shape(path: Path, ndim: int) -> tuple[int, ...]:
    """The shape of an idx file of unsigned bytes with ``ndim`` dimensions, from its header."""
    with _open_idx(path, ndim) as (shape, _):
        return shape


def _read_idx(path: Path, ndim: int) -> NDArray[np.uint8]:
    """The array in an idx file of unsigned bytes with ``ndim`` dimensions."""
    with _open_idx(path, ndim) as (shape, content):
        try:
            pixels = np.empty(math.prod(shape), np.uint8)
        except MemoryError:
            raise DataError(
                f"{shown(path)}: its {math.prod(shape):,} bytes do not fit into memory; use a part "
                f"of the data"
            ) from None
        done = 0
        while piece := content.read(min(_PIECE, pixels.size - done + 1)):
            if done + len(piece) > pixels.size:
                raise _wrong_size(path, "longer", f"more than {pixels.size} bytes of data")
            pixels[done : done + len(piece)] = np.frombuffer(piece, np.uint8)
            done += len(piece)
        if done < pixels.size:
            raise _wrong_size(path, "shorter", f"{done} bytes of data instead of {pixels.size}")
        return pixels.reshape(shape)


@contextmanager
def _open_idx(path: Path, ndim: int) -> Iterator[tuple[tuple[int, ...], _Readable]]:
    """The shape in the header of an idx file, gzipped or not, and the file after its header.

    Raises:
        DataError: the header is wrong, or the file cannot have the size that it says; in the
            ``with`` block, if the gzip data turns out to be damaged.
        OSError: the file cannot be read.
    """
    header_size = 4 * (1 + ndim)
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        is_packed = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
        file.seek(0)
        content: _Readable = _Unpacked(file) if is_packed else file
        try:
            shape = _shape(path, content.read(header_size), ndim)
            _check_size(path, size, header_size + math.prod(shape), is_packed)
            yield shape, content
        except EOFError:
            raise DataError(
                f"{shown(path)}: the gzip data ends too early; get the file again"
            ) from None
        except zlib.error as error:
            raise DataError(
                f"{shown(path)}: damaged gzip data ({error}); get the file again"
            ) from None


def _shape(path: Path, header: bytes, ndim: int) -> tuple[int, ...]:
    header_size = 4 * (1 + ndim)
    if len(header) < header_size:
        raise DataError(
            f"{shown(path)}: has {len(header)} bytes, too few for the {header_size} of an idx "
            f"header; get the file again"
        )
    magic, *shape = struct.unpack(f">{1 + ndim}I", header)
    if magic != _UNSIGNED_BYTES + ndim:
        raise DataError(
            f"{shown(path)}: begins with {magic:#010x}, but an idx file of bytes in {ndim} "
            f"dimensions begins with {_UNSIGNED_BYTES + ndim:#010x}; put the right file there"
        )
    return tuple(shape)


def _check_size(path: Path, size: int, expected: int, is_packed: bool) -> None:
    """Whether a file of ``size`` bytes can have the ``expected`` bytes, and memory can."""
    if is_packed:
        least, most = expected // _BEST_RATIO, expected + expected // 4 + _GZIP_OVERHEAD
    else:
        least = most = expected
    if not least <= size <= most:
        what = "bytes packed, for" if is_packed else "bytes instead of"
        comparison = "shorter" if size < least else "longer"
        raise _wrong_size(path, comparison, f"{size} {what} {expected}")
    check_fits_memory(path, expected)


def _wrong_size(path: Path, comparison: str, sizes: str) -> DataError:
    return DataError(
        f"{shown(path)}: is {comparison} than its header says ({sizes}); get the file again"
    )


class _Unpacked:
    """The content of a gzip file, of one member or several, unpacked piece by piece.

    Args:
        file: at its beginning.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._packed = b""
        self._member = zlib.decompressobj(_GZIP)

    def read(self, most: int, /) -> bytes:
        """The next ``most`` bytes; fewer only at the end, after all checksums were right.

        Raises:
            EOFError: the file ends within a member.
            zlib.error: it is damaged, or something else follows a member.
        """
        content = bytearray()
        while len(content) < most:
            if self._member.eof and not self._next_member():
                break
            packed = self._packed or self._file.read(_PIECE)
            if not packed:
                raise EOFError
            content += self._member.decompress(packed, most - len(content))
            self._packed = self._member.unconsumed_tail or self._member.unused_data
        return bytes(content)

    def _next_member(self) -> bool:
        """Whether there is another member; zeros may fill up the file after the last."""
        while not (packed := self._packed.lstrip(b"\0")):
            self._packed = self._file.read(_PIECE)
            if not self._packed:
                return False
        self._packed, self._member = packed, zlib.decompressobj(_GZIP)
        return True
