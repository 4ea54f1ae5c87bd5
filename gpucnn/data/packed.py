"""Data sets in one file of decoded images, from which training reads at memory speed.

The file consists of blocks, each of which begins at a multiple of 4096 bytes:

- the prefix, 16 bytes: the magic bytes, the version, the length of the header; then the header, in
  JSON, and the SHA-256 of prefix and header;
- for the training split, and then for the test split: the labels, little-endian int32 (N,); if
  there are targets, little-endian float32 (N, T); and the images, uint8 (N, H, W, C).

The header says how large all of it is. Prefix, header and the file's size are checked whenever it
is opened. The header also has a checksum of each split's blocks, which ``verify`` compares. Images
are mapped into memory, so that the system reads what is used and keeps it as long as there is room.
"""

from __future__ import annotations

import hashlib
import math
import mmap
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO, TypeAlias

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from gpucnn.data.data_files import data_file, os_errors_explained
from gpucnn.data.dataset import Dataset, DatasetPair, datasets
from gpucnn.data.targets import check_targets
from gpucnn.errors import DataError, ShapeError
from gpucnn.files import atomic_file, open_regular
from gpucnn.json_text import json_text, parse_json
from gpucnn.progress import progress
from gpucnn.text import shown
from gpucnn.units import byte_text

MAGIC = b"\x93gpucnn\n"
_VERSION = 1
_PREFIX_BYTES = len(MAGIC) + 8
_DIGEST_BYTES = 32
_BLOCK = 4096
_MOST_HEADER = 1 << 24
_CHUNK_BYTES = 1 << 26
"""Of images that are decoded, or of a file that is read, at once."""

_Side: TypeAlias = Annotated[int, Meta(ge=1, le=1 << 24)]
_Count: TypeAlias = Annotated[int, Meta(ge=0, le=1 << 40)]
_Digest: TypeAlias = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class _Split(msgspec.Struct, forbid_unknown_fields=True):
    """A split, in the header.

    Attributes:
        images: how many there are.
        fingerprint: of the data set that they come from.
        checksum: of the split's blocks, without the zeros between these.
    """

    images: _Count
    fingerprint: _Digest
    checksum: _Digest


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    """The header of a file.

    Attributes:
        image_shape: (H, W, C).
        classes: their names; none in a regression.
        target_names: of the numbers of a regression.
        targets: the columns of the targets; 0 if there are none.
        train, test: the splits.
    """

    image_shape: tuple[_Side, _Side, _Side]
    classes: list[str]
    target_names: list[str]
    targets: _Count
    train: _Split
    test: _Split

    def blocks(self, header_bytes: int) -> tuple[tuple[int, ...], int]:
        """Where the blocks of labels, targets and images of both splits begin, and the file's end.

        Args:
            header_bytes: the length of the header as it is stored.
        """
        begin = _aligned(_PREFIX_BYTES + header_bytes + _DIGEST_BYTES)
        begins = []
        for size in (size for split in (self.train, self.test) for size in self.sizes(split)):
            begins.append(begin)
            begin = _aligned(begin + size)
        return tuple(begins), begin

    def sizes(self, split: _Split) -> tuple[int, int, int]:
        """The bytes of a split's labels, targets and images."""
        N = split.images
        return 4 * N, 4 * N * self.targets, N * math.prod(self.image_shape)


def _aligned(place: int) -> int:
    return -(-place // _BLOCK) * _BLOCK


class PackedDataset(Dataset):
    """A split of a packed file.

    Args:
        images: uint8 (N, H, W, C), mapped into memory.
        labels: int32 (N,).
        targets: float32 (N, T), or None.
        header: of the file.
        fingerprint: of the data set that the split was packed from.
    """

    on_demand = True

    def __init__(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.int32],
        targets: NDArray[np.float32] | None,
        header: _Header,
        fingerprint: str,
    ) -> None:
        self.image_shape = header.image_shape
        self.classes, self.target_names = tuple(header.classes), tuple(header.target_names)
        self.labels, self.targets = labels, targets
        self._images, self._fingerprint = images, fingerprint

    def images(self, indices: NDArray[np.integer]) -> NDArray[np.uint8]:
        """A copy of the images at these indices."""
        return np.take(self._images, indices, axis=0)


# Reading ------------------------------------------------------------------------------------------


@datasets.register("packed")
def packed(path: str) -> DatasetPair:
    """Decoded images in one file that gpucnn data pack has written, read at memory speed.

    The images are those of the data set that was packed, in its order and with its splits, so a
    training on them gives the same numbers.

    Args:
        path: of the file.

    Raises:
        DataError: the file is missing or damaged, or of a version that is not known.
    """
    source = data_file(path, "a packed file")
    with os_errors_explained(source), open_regular(source) as file:
        header, begins = _read_header(source, file)
        mapped = np.frombuffer(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ), np.uint8)
    train = _read_split(source, header, header.train, mapped, begins[:3])
    test = _read_split(source, header, header.test, mapped, begins[3:])
    return DatasetPair(train, test)


def _read_split(
    path: Path, header: _Header, split: _Split, mapped: NDArray[np.uint8], begins: tuple[int, ...]
) -> PackedDataset:
    labels, targets, images = (
        mapped[begin : begin + size]
        for begin, size in zip(begins, header.sizes(split), strict=True)
    )
    numbers = labels.view("<i4").astype(np.int32)
    values = targets.view("<f4").astype(np.float32).reshape(split.images, -1)
    shares = values if header.targets else None
    classes = len(header.classes) or 1
    if split.images and not 0 <= numbers.min() <= numbers.max() < classes:
        raise _damaged(path, f"a label is not from 0 to {classes - 1}")
    try:
        check_targets(shares, split.images, header.classes, header.target_names)
    except (DataError, ShapeError) as error:
        raise _damaged(path, str(error)) from None
    pixels = images.reshape(split.images, *header.image_shape)
    return PackedDataset(pixels, numbers, shares, header, split.fingerprint)


def _read_header(path: Path, file: BinaryIO) -> tuple[_Header, tuple[int, ...]]:
    """The header of a file, which has the size that it says, and where its blocks begin."""
    prefix = file.read(_PREFIX_BYTES)
    if not prefix.startswith(MAGIC):
        raise DataError(f"{shown(path)}: is not a packed file; write one with gpucnn data pack")
    version, length = (int.from_bytes(prefix[i : i + 4], "little") for i in (8, 12))
    if version != _VERSION:
        raise DataError(
            f"{shown(path)}: is of version {version}, and version {_VERSION} can be read; pack the "
            f"data again"
        )
    if len(prefix) < _PREFIX_BYTES or length > _MOST_HEADER:
        raise _damaged(path, "its header is too long, or cut off")
    text, digest = file.read(length), file.read(_DIGEST_BYTES)
    if digest != hashlib.sha256(prefix + text).digest():
        raise _damaged(path, "the checksum of its header is wrong")
    try:
        header = msgspec.convert(parse_json(text), _Header)
    except ValueError as error:  # a checksum is no signature: somebody may have made it
        raise _damaged(path, f"its header cannot be: {shown(str(error))[:200]}") from None
    begins, end = header.blocks(length)
    size = os.fstat(file.fileno()).st_size
    if size != end:
        raise _damaged(path, f"it has {size:,} bytes, and its header says {end:,}")
    return header, begins


def verify(path: str) -> None:
    """Reads all of a packed file and compares the checksums.

    Raises:
        DataError: as ``packed``; or a checksum is wrong.
    """
    source = data_file(path, "a packed file")
    with os_errors_explained(source), open_regular(source) as file:
        header, begins = _read_header(source, file)
        for name, split, places in (
            ("training", header.train, begins[:3]),
            ("test", header.test, begins[3:]),
        ):
            digest = hashlib.sha256()
            for begin, size in zip(places, header.sizes(split), strict=True):
                for piece in _pieces(file, begin, size):
                    digest.update(piece)
            if digest.hexdigest() != split.checksum:
                raise _damaged(source, f"the checksum of its {name} split is wrong")


def _pieces(file: BinaryIO, begin: int, size: int) -> Iterator[bytes]:
    file.seek(begin)
    while size > 0 and (piece := file.read(min(size, _CHUNK_BYTES))):
        size -= len(piece)
        yield piece


def _damaged(path: Path, problem: str) -> DataError:
    return DataError(f"{shown(path)}: is damaged: {problem}; pack the data again")


# Writing ------------------------------------------------------------------------------------------


def pack(pair: DatasetPair, path: Path) -> int:
    """Writes a data set into a new file, in chunks, with a progress bar on a terminal.

    The file gets its name when it is complete and on the disk.

    Returns:
        Its size in bytes.

    Raises:
        DataError: there is a file of that name, the disk has no room for it, or an image of the
            data set cannot be read.
        OSError: the system refuses to write.
    """
    if os.path.lexists(path):
        raise DataError(f"{shown(path)}: exists already; give another file")
    header = _header(pair)
    text = _stored(header)
    begins, end = header.blocks(len(text))
    free = shutil.disk_usage(path.absolute().parent).free
    if free < end:
        raise DataError(
            f"{shown(path)}: needs {byte_text(end)}, and {byte_text(free)} are free there"
        )
    total = len(pair.train) + len(pair.test)
    with atomic_file(path) as file, progress("packing", total) as advance:
        for dataset, split, places in (
            (pair.train, header.train, begins[:3]),
            (pair.test, header.test, begins[3:]),
        ):
            digest = hashlib.sha256()
            for begin, parts in zip(places, _contents(dataset), strict=True):
                file.seek(begin)
                for part, images in parts:
                    digest.update(part)
                    file.write(part)
                    advance(images)
            split.checksum = digest.hexdigest()
        file.truncate(end)
        file.seek(0)
        prefix = MAGIC + _VERSION.to_bytes(4, "little") + len(text).to_bytes(4, "little")
        text = _stored(header)
        file.write(prefix + text + hashlib.sha256(prefix + text).digest())
    return end


def _header(pair: DatasetPair) -> _Header:
    """The header, in which the checksums are not those of the content yet."""
    train, test = (
        _Split(len(dataset), dataset.fingerprint(), "0" * 64) for dataset in (pair.train, pair.test)
    )
    targets = 0 if pair.train.targets is None else pair.train.targets.shape[1]
    return _Header(
        pair.train.image_shape,
        list(pair.train.classes),
        list(pair.train.target_names),
        targets,
        train,
        test,
    )


def _stored(header: _Header) -> bytes:
    return json_text(msgspec.to_builtins(header)).encode("ascii")


_Parts: TypeAlias = Iterator[tuple[memoryview | bytes, int]]


def _contents(dataset: Dataset) -> tuple[_Parts, _Parts, _Parts]:
    """The labels, targets and images of a split, each in parts with the number of their images."""

    def images() -> _Parts:
        step = max(1, _CHUNK_BYTES // math.prod(dataset.image_shape))
        for first in range(0, len(dataset), step):
            chunk: NDArray[Any] = dataset.images(np.arange(first, min(first + step, len(dataset))))
            yield chunk.data, len(chunk)

    targets = dataset.targets
    numbers = b"" if targets is None else targets.astype("<f4").tobytes()
    return iter([(dataset.labels.astype("<i4").tobytes(), 0)]), iter([(numbers, 0)]), images()
