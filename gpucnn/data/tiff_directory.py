"""The directory of a TIFF file, or of an EXIF block, which is laid out as one."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import BinaryIO, Literal

_MOST_ENTRIES = 4096
_ORIENTATION = 274


@dataclass(frozen=True)
class Directory:
    """The first directory of a TIFF file, or of an EXIF block, which is laid out as one.

    Attributes:
        order: of the bytes.
        start: where the directory lies.
        field: bytes of a count and of a place in the file: 4, or 8 in BigTIFF.
        entries: each is a tag, a type, a count, and a value or the place of values.
    """

    order: Literal["little", "big"]
    start: int
    field: int
    entries: tuple[bytes, ...]

    @property
    def count_size(self) -> int:
        """Bytes of the number of entries."""
        return 2 if self.field == 4 else 8

    def integer(self, data: bytes) -> int:
        """Bytes as a whole number."""
        return int.from_bytes(data, self.order)

    def tag(self, entry: bytes) -> int:
        """Which field an entry is."""
        return self.integer(entry[:2])

    def value(self, tag: int) -> int | None:
        """The value of a tag that has one whole number; None if it is missing or another thing."""
        place = 4 + self.field
        for entry in self.entries:
            size = {1: 1, 3: 2, 4: 4}.get(self.integer(entry[2:4]))
            if self.tag(entry) == tag and size and self.integer(entry[4:place]) == 1:
                return self.integer(entry[place : place + size])
        return None


def first_directory(file: BinaryIO) -> Directory | None:
    """The first directory; None if it is not all there."""
    file.seek(0)
    head = file.read(16)
    if head[:2] not in (b"II", b"MM"):
        return None
    order: Literal["little", "big"] = "little" if head[:2] == b"II" else "big"
    version = int.from_bytes(head[2:4], order)
    if version not in (42, 43):
        return None
    field = 4 if version == 42 else 8
    entry_size = 4 + 2 * field
    start = int.from_bytes(head[field : 2 * field], order)
    if start >= 1 << 62:
        return None
    file.seek(start)
    count = int.from_bytes(file.read(2 if field == 4 else 8), order)
    if not 0 < count <= _MOST_ENTRIES:
        return None
    data = file.read(count * entry_size)
    if len(data) != count * entry_size:
        return None
    entries = tuple(data[i : i + entry_size] for i in range(0, len(data), entry_size))
    return Directory(order, start, field, entries)


def orientation_in(directory: Directory | None) -> int:
    """The orientation that a directory gives, from 1 to 8; 1 if it is missing or makes no sense."""
    value = directory.value(_ORIENTATION) if directory else None
    return value if value is not None and 1 <= value <= 8 else 1


def exif_orientation(block: bytes) -> int:
    """The orientation in an EXIF block, from 1 to 8; 1 if it is missing or makes no sense."""
    directory = first_directory(io.BytesIO(block.removeprefix(b"Exif\0\0")))
    return orientation_in(directory)
