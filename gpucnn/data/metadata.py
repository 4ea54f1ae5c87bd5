"""What surrounds the pixels in an image file: the orientation is read, everything else is hidden.

Text, colour profiles, previews and camera data do not change pixels, but decoders parse them and
reject an intact image because of a fault in them. So a decoder is given a view of the file in which
they do not occur. Where this module does not understand a file, it shows the decoder what follows
unchanged, and leaves the verdict to it.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, cast

from gpucnn.data.tiff_directory import exif_orientation, first_directory, orientation_in

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_MOST_JUNK = 1 << 16
"""The most meaningless bytes that may lie between two parts of a file."""
_MOST_EXIF = 1 << 20
_BUFFER = 1 << 16
_HEAD = 1 << 12
_MOST_BOX = 1 << 20

_Piece: TypeAlias = bytes | range
"""A part of a view: bytes that replace others, or where in the file it lies."""


@dataclass(frozen=True)
class View:
    """An image file as its decoder is to see it.

    Attributes:
        stream: without metadata.
        orientation: EXIF's number, from 1 (upright) to 8.
        size: (width, height), if the decoder takes memory for pixels before it tells their number.
        white_is_zero: whether the file says that its lowest value is white.
    """

    stream: BinaryIO
    orientation: int = 1
    size: tuple[int, int] | None = None
    white_is_zero: bool = False


def without_metadata(format_name: str, file: BinaryIO) -> View:
    """A view of an image file of a format, by its name in ``image_formats``.

    Raises:
        SyntaxError: the file is so damaged that a decoder would search in it without end.
    """
    hide = _HIDE.get(format_name)
    if hide is None:
        return View(file)
    view = hide(file)
    view.stream.seek(0)
    return view


class _Pieces(io.RawIOBase):
    """A file made of pieces of another. The descriptor is the other's, for what reads by itself."""

    def __init__(self, file: BinaryIO, pieces: list[_Piece]) -> None:
        self._file = file
        self._pieces = [piece for piece in pieces if len(piece)]
        self._length = sum(map(len, self._pieces))
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._file.fileno()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._length}[whence]
        if base + offset < 0:
            raise ValueError(f"position {base + offset} is before the start of the file")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        target = memoryview(buffer).cast("B")
        start = 0
        for piece in self._pieces:
            inside = self._position - start
            if inside < len(piece):
                part = piece[inside : inside + len(target)]
                if isinstance(part, range):
                    self._file.seek(part.start)
                    part = self._file.read(len(part))
                target[: len(part)] = part
                self._position += len(part)
                return len(part)
            start += len(piece)
        return 0


def _view(file: BinaryIO, pieces: list[_Piece], orientation: int = 1) -> View:
    """A view of some pieces of the file; where there is one piece, it is all of the file."""
    if len(pieces) == 1:
        return View(file, orientation)
    return View(cast(BinaryIO, io.BufferedReader(_Pieces(file, pieces), _BUFFER)), orientation)


def _jpeg(file: BinaryIO) -> View:
    """Without application segments and comments, other than those that tell the colour space."""
    head = file.read(_HEAD)  # one read for most files

    def read(start: int, length: int) -> bytes:
        if start + length <= len(head):
            return head[start : start + length]
        file.seek(start)
        return file.read(length)

    pieces: list[_Piece] = []
    orientation = None
    kept_from, position, junk = 0, 2, 0
    while len(marker := read(position, 4)) >= 2:
        start, code = position, marker[1]
        if marker[0] != 0xFF or code in (0x00, 0xFF):
            junk += 1
            if junk > _MOST_JUNK:
                raise SyntaxError("no marker found")
            position += 1
            continue
        if code in (0xDA, 0xD9):  # the pixels begin, or the image ends
            break
        if code == 0x01 or 0xD0 <= code <= 0xD8:  # these have no content
            position += 2
            continue
        length = marker[2] << 8 | marker[3] if len(marker) == 4 else 0
        position += 2 + max(2, length)
        if code == 0xFE or 0xE0 <= code <= 0xEF:
            content = read(start + 4, length - 2) if length > 2 else b""
            if len(content) < length - 2:
                break
            if code == 0xE1 and orientation is None and content.startswith(b"Exif\0\0"):
                orientation = exif_orientation(content)
            if not (
                (code == 0xE0 and content.startswith(b"JFIF\0") and length >= 16)
                or (code == 0xEE and content.startswith(b"Adobe") and length >= 14)
            ):
                pieces.append(range(kept_from, start))
                kept_from = position
    if not pieces:
        return View(file, orientation or 1)
    pieces.append(range(kept_from, file.seek(0, os.SEEK_END)))
    return _view(file, pieces, orientation or 1)


_PNG_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
"""What the pixels depend on: no text, profile or animation."""


def _png(file: BinaryIO) -> View:
    pieces: list[_Piece] = []
    orientation = 1
    size = file.seek(0, os.SEEK_END)
    kept_from, position = 0, 8
    while position + 12 <= size:
        file.seek(position)
        head = file.read(8)
        length, name = int.from_bytes(head[:4], "big"), head[4:]
        end = position + 12 + length
        if end > size or not name.isalpha():
            break
        if name == b"eXIf":
            orientation = exif_orientation(file.read(min(length, _MOST_EXIF)))
        if name not in _PNG_CHUNKS:
            pieces.append(range(kept_from, position))
            kept_from = end
        position = end
        if name == b"IEND":
            break
    pieces.append(range(kept_from, size))
    return _view(file, pieces, orientation)


def _webp(file: BinaryIO) -> View:
    """As it is. The decoder does not look into EXIF, but takes memory for the canvas at once."""
    head = file.read(30)
    little = [int.from_bytes(head[i : i + 3], "little") + 1 for i in (24, 27)]
    width, height = 0, 0
    if head[12:16] == b"VP8X":
        width, height = little
    elif head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif head[12:16] == b"VP8 ":
        width, height = (int.from_bytes(head[i : i + 2], "little") & 0x3FFF for i in (26, 28))
    orientation = 1
    end = min(file.seek(0, os.SEEK_END), 8 + int.from_bytes(head[4:8], "little"))
    position = 12
    while position + 8 <= end:
        file.seek(position)
        chunk = file.read(8)
        length = int.from_bytes(chunk[4:], "little")
        if chunk[:4] == b"EXIF":
            orientation = exif_orientation(file.read(min(length, _MOST_EXIF)))
        position += 8 + length + length % 2
    return View(file, orientation, (width, height))


def _gif(file: BinaryIO) -> View:
    """Without extensions, other than the one that says which colour is transparent."""
    head = file.read(13)
    flags = head[10] if len(head) == 13 else 0
    position = 13 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
    pieces: list[_Piece] = [range(0, position)]
    junk = 0
    while True:
        file.seek(position)
        introducer = file.read(1)
        if introducer in (b",", b";", b""):
            break
        if introducer == b"!":
            label, first = file.read(1), file.read(1)
            length = first[0] if first else 0
            while first and first[0]:
                file.seek(first[0], os.SEEK_CUR)
                first = file.read(1)
            end = file.tell()
            if label == b"\xf9" and length >= 4:
                pieces.append(range(position, end))
            position = end
        else:
            junk += 1
            if junk > _MOST_JUNK:
                raise SyntaxError("no image found")
            position += 1
    pieces.append(range(position, max(position, file.seek(0, os.SEEK_END))))
    return _view(file, pieces)


def _pnm(file: BinaryIO) -> View:
    """As it is, but with a header that ends somewhere."""
    header = rb"P[1-6](?:(?:\s|#[^\r\n]*[\r\n])+\d+){2}"
    if not re.match(header, file.read(_MOST_JUNK)):
        raise SyntaxError("no size found")
    return View(file)


_TIFF_TAGS = frozenset(
    (
        *(256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284),  # how pixels are laid out
        *(292, 293, 317, 320, 322, 323, 324, 325, 332, 338, 339, 347),  # and encoded
        *(512, 513, 514, 515, 517, 518, 519, 520, 521),  # JPEG in its old form
        *(529, 530, 532, 50674),  # YCbCr, LERC
    )
)
"""The fields of a TIFF directory that pixels depend on."""
_WHITE_IS_ZERO = 0
_PHOTOMETRIC = 262


def _tiff(file: BinaryIO) -> View:
    """With the first directory alone, and in it only the fields that pixels depend on."""
    directory = first_directory(file)
    if directory is None:
        return View(file)
    kept = [entry for entry in directory.entries if directory.tag(entry) in _TIFF_TAGS]
    count = len(kept).to_bytes(directory.count_size, directory.order)
    room = directory.count_size + sum(map(len, directory.entries)) + directory.field
    patch = (count + b"".join(kept)).ljust(room, b"\0")  # zeros: no directory follows
    end = directory.start + room
    size = max(end, file.seek(0, os.SEEK_END))
    view = _view(file, [range(0, directory.start), patch, range(end, size)])
    white_is_zero = directory.value(_PHOTOMETRIC) == _WHITE_IS_ZERO
    return View(view.stream, orientation_in(directory), white_is_zero=white_is_zero)


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int, int]]:
    """The boxes of JPEG 2000 and of AVIF: type, and where box, content and next box begin."""
    while start + 8 <= end:
        file.seek(start)
        head = file.read(16)
        length, content = int.from_bytes(head[:4], "big"), start + 8
        if length == 1:
            length, content = int.from_bytes(head[8:16], "big"), start + 16
        stop = start + length if length else end
        if stop < content or stop > end:
            return
        yield head[4:8], start, content, stop
        start = stop


def _jpeg_2000(file: BinaryIO) -> View:
    """Without the resolution: its box gets another type, one that decoders pass over."""
    size = file.seek(0, os.SEEK_END)
    for name, _, content, end in _boxes(file, 0, size):
        if name == b"jp2h":
            places = [at + 4 for kind, at, *_ in _boxes(file, content, end) if kind == b"res "]
            return _replaced(file, places, b"free")
    return View(file)


def _avif(file: BinaryIO) -> View:
    """Without EXIF: in AVIF the orientation is a property of the image."""
    size = file.seek(0, os.SEEK_END)
    for name, _, content, end in _boxes(file, 0, size):
        if name == b"meta" and end - content <= _MOST_BOX:
            file.seek(content)
            items = re.finditer(
                rb"infe[\2\3]...(?:..|....)..(Exif)", file.read(end - content), re.S
            )
            return _replaced(file, [content + item.start(1) for item in items], b"skip")
    return View(file)


def _replaced(file: BinaryIO, places: list[int], text: bytes) -> View:
    """With ``text`` at each of some places."""
    pieces: list[_Piece] = []
    position = 0
    for place in places:
        pieces += [range(position, place), text]
        position = place + len(text)
    pieces.append(range(position, file.seek(0, os.SEEK_END)))
    return _view(file, pieces)


_HIDE: dict[str, Callable[[BinaryIO], View]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "WebP": _webp,
    "GIF": _gif,
    "PNM": _pnm,
    "TIFF": _tiff,
    "JPEG 2000": _jpeg_2000,
    "AVIF": _avif,
}
