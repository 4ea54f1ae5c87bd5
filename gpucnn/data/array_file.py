"""Arrays in an npz file, which is a zip archive of npy files.

An npy file begins with a header: dtype, order and shape. It says how large the array is, and the
archive says it again; both must agree with each other, with the file's size and with the memory of
the machine before any memory is taken. Objects, which would have to be unpickled, are refused.
"""

from __future__ import annotations

import math
import os
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from gpucnn.data.data_files import check_fits_memory, os_errors_explained
from gpucnn.errors import DataError, shortened
from gpucnn.files import open_regular
from gpucnn.text import shown

_PIECE = 1 << 18
"""Bytes that are read or unpacked at a time."""
_LONGEST_HEADER = 1 << 12
_LARGEST_DIRECTORY = 1 << 20
"""The most bytes that are read at once: the archive's list of its contents."""
_BEST_RATIO = 1032
"""Deflate compresses no better than this."""
_IS_ENCRYPTED = 1
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, EOFError, ValueError, OverflowError, NotImplementedError,
)  # fmt: skip
"""What zipfile and numpy raise about files that are damaged."""
_WRONG_HEADER = (
    *(ValueError, KeyError, TypeError, SyntaxError, tokenize.TokenError),
    *(RecursionError, MemoryError),
)
"""What numpy, which has Python parse the header, raises about one that is damaged."""


@dataclass(frozen=True)
class Header:
    """What an npy file says of its array."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    is_fortran: bool


class ArrayFile:
    """An open npz file.

    Args:
        path: for messages.
        archive: the file.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path = path
        self._archive = archive
        self._entries = {
            entry.filename.removesuffix(".npy"): entry
            for entry in archive.infolist()
            if entry.filename.endswith(".npy")
        }

    @property
    def names(self) -> list[str]:
        """The names of the arrays."""
        return list(self._entries)

    def header(self, name: str) -> Header:
        """The dtype and the shape of an array.

        Raises:
            DataError: the file is damaged, or the array is empty or has Python objects in it.
        """
        with self._open(name) as (header, _):
            return header

    def read(self, name: str) -> NDArray[Any]:
        """An array, which nothing else refers to.

        Raises:
            DataError: as ``header``; or it does not fit into memory.
        """
        with self._open(name) as (header, content):
            size = math.prod(header.shape) * header.dtype.itemsize
            check_fits_memory(self.path, size)
            try:
                values = np.empty(size, np.uint8)
            except MemoryError:
                raise DataError(
                    f"{shown(self.path)}: the {size:,} bytes of {shortened(name)} do not fit into "
                    f"memory; use a part of the data"
                ) from None
            done = 0
            while piece := content.read(min(_PIECE, size - done + 1)):
                if done + len(piece) > size:
                    break
                values[done : done + len(piece)] = np.frombuffer(piece, np.uint8)
                done += len(piece)
            if piece or done < size:
                raise self._wrong_size(name)
            array: NDArray[Any] = values.view(header.dtype)
            return array.reshape(header.shape, order="F" if header.is_fortran else "C")

    @contextmanager
    def _open(self, name: str) -> Iterator[tuple[Header, IO[bytes]]]:
        """The header of an array, whose size was checked, and its content."""
        entry = self._entries[name]
        if entry.flag_bits & _IS_ENCRYPTED or entry.compress_type not in (
            zipfile.ZIP_STORED,
            zipfile.ZIP_DEFLATED,
        ):
            raise DataError(
                f"{shown(self.path)}: {shortened(name)} is encrypted or packed in a way that numpy "
                f"does not use; save it with np.savez_compressed"
            )
        ratio = 1 if entry.compress_type == zipfile.ZIP_STORED else _BEST_RATIO
        with self._archive.open(entry) as content:
            header = self._read_header(name, content)
            size = content.tell() + math.prod(header.shape) * header.dtype.itemsize
            if size != entry.file_size or size > ratio * entry.compress_size:
                raise self._wrong_size(name)
            yield header, content

    def _read_header(self, name: str, content: IO[bytes]) -> Header:
        try:
            version = npy.read_magic(content)
            read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about headers of Python 2, and odd dtypes
                shape, is_fortran, dtype = read(content, max_header_size=_LONGEST_HEADER)
        except _WRONG_HEADER:
            raise DataError(
                f"{shown(self.path)}: {shortened(name)} has no header of an array, or a damaged "
                f"one; get or write the file again"
            ) from None
        if dtype.hasobject:
            raise DataError(
                f"{shown(self.path)}: {shortened(name)} has Python objects in it, which are not "
                f"read; save it as an array of numbers"
            )
        if not all(side > 0 for side in shape) or dtype.itemsize == 0:
            raise DataError(
                f"{shown(self.path)}: {shortened(name)} is empty (shape {shortened(str(shape))})"
            )
        return Header(dtype, shape, is_fortran)

    def _wrong_size(self, name: str) -> DataError:
        return DataError(
            f"{shown(self.path)}: {shortened(name)} has another size than its header says; get or "
            f"write the file again"
        )


@contextmanager
def open_arrays(path: Path) -> Iterator[ArrayFile]:
    """Opens an npz file.

    Raises:
        DataError: it cannot be read or is damaged, then or within the block.
    """
    with os_errors_explained(path), open_regular(path) as file:
        try:
            with zipfile.ZipFile(_Careful(file)) as archive:
                yield ArrayFile(path, archive)
        except _DAMAGE as error:
            reason = shortened(str(error)) or type(error).__name__
            raise DataError(
                f"{shown(path)}: is not an npz file, or a damaged one ({reason}); get or write it "
                f"again"
            ) from None


class _Careful:
    """A file that refuses to read more at once than a valid npz file needs.

    Args:
        file: opened for reading.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = os.fstat(file.fileno()).st_size

    def read(self, most: int = -1) -> bytes:
        """The next ``most`` bytes.

        Raises:
            ValueError: these are more than an archive's list of its contents may have.
        """
        left = max(0, self._size - self._file.tell())
        count = left if most < 0 else min(most, left)
        if count > _LARGEST_DIRECTORY:
            raise ValueError(f"a list of contents of {count:,} bytes")
        return self._file.read(count)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves to a place in the file, as files do."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The place in the file."""
        return self._file.tell()

    def seekable(self) -> bool:
        """Whether there are places in the file."""
        return True
