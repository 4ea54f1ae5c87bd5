"""The image formats that can be read: their extensions, and how a file of each begins."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, BinaryIO, cast

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

_HEAD = 32
"""Bytes at the start of a file that are enough to recognise its format."""


@dataclass(frozen=True)
class ImageFormat:
    """A format and the part of Pillow that reads it.

    Attributes:
        name: for messages, and the key by which other modules look it up.
        extensions: of file names, in lower case.
        start: how such a file begins; None if only its extension tells.
        plugin: the module in PIL and the class in it. No other format is tried, so that no file can
            choose its decoder from among those that nobody asked for.
    """

    name: str
    extensions: tuple[str, ...]
    start: re.Pattern[bytes] | None
    plugin: tuple[str, str]

    def opener(self) -> Callable[[BinaryIO], ImageFile]:
        """Pillow's class for an image file of this format.

        Raises:
            ImportError: this version of Pillow lacks it.
        """
        module, name = self.plugin
        found = getattr(importlib.import_module(f"PIL.{module}"), name)
        return cast("Callable[[BinaryIO], ImageFile]", found)


def _format(name: str, extensions: str, start: bytes | None, plugin: str) -> ImageFormat:
    module, _, class_name = plugin.partition(".")
    pattern = None if start is None else re.compile(start, re.DOTALL)
    return ImageFormat(name, tuple(extensions.split()), pattern, (module, class_name))


FORMATS = (
    _format("JPEG", ".jpg .jpeg .jpe .jfif", rb"\xff\xd8\xff", "JpegImagePlugin.JpegImageFile"),
    _format("PNG", ".png", rb"\x89PNG\r\n\x1a\n", "PngImagePlugin.PngImageFile"),
    _format("WebP", ".webp", rb"RIFF....WEBP", "WebPImagePlugin.WebPImageFile"),
    _format("GIF", ".gif", rb"GIF8[79]a", "GifImagePlugin.GifImageFile"),
    _format("BMP", ".bmp", rb"BM", "BmpImagePlugin.BmpImageFile"),
    _format(
        "TIFF", ".tif .tiff", rb"II[*+]\0|MM\0[*+]", "TiffImagePlugin.TiffImageFile"
    ),  # "+" is BigTIFF
    _format("PNM", ".pbm .pgm .pnm .ppm", rb"P[1-6][\s#]", "PpmImagePlugin.PpmImageFile"),
    _format(
        "JPEG 2000",
        ".jp2",
        rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n",
        "Jpeg2KImagePlugin.Jpeg2KImageFile",
    ),
    _format("AVIF", ".avif", rb"....ftyp(avi[fs]|m[is]f1)", "AvifImagePlugin.AvifImageFile"),
    _format("TGA", ".tga", None, "TgaImagePlugin.TgaImageFile"),
)

EXTENSIONS = tuple(sorted(extension for known in FORMATS for extension in known.extensions))
"""Of the names of image files, in lower case."""


def identify(file: BinaryIO, path: str) -> ImageFormat | None:
    """The format of a file by its first bytes, or else by its extension, if that must do."""
    file.seek(0)
    head = file.read(_HEAD)
    file.seek(0)
    for known in FORMATS:
        if known.start is not None and known.start.match(head):
            return known
    suffix = PurePath(path).suffix.lower()
    return next((f for f in FORMATS if f.start is None and suffix in f.extensions and head), None)
