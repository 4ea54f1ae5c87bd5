"""One image file to one array of bytes, through Pillow.

Pillow is imported where it is used: only image folders and single images need it.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.image_formats import ImageFormat, identify
from gpucnn.data.image_within import open_image_file
from gpucnn.data.metadata import without_metadata
from gpucnn.data.pillow_state import quiet_pillow
from gpucnn.data.sample_values import (
    NotFiniteError,
    Rule,
    SampleValueError,
    ValueRange,
    boxes,
    loaded_as_bytes,
)
from gpucnn.data.tiff_directory import exif_orientation
from gpucnn.errors import DataError, install_advice
from gpucnn.files import NotRegularFileError
from gpucnn.text import shown

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

Fit: TypeAlias = Literal["crop", "stretch"]

MAX_PIXELS = 178_956_970
"""The most pixels of an image, by default: what Pillow itself refuses to exceed."""
_BYTES_PER_PIXEL = 8
_BYTES_BESIDES = 1 << 26
"""A file with more than 8 bytes per pixel and 64 MB for everything else is no image."""
_MODES = {1: "L", 3: "RGB"}


class DamagedImageError(DataError):
    """A file that is there and readable, but does not hold an image that can be used."""


@dataclass(frozen=True)
class Decoding:
    """How image files become arrays.

    Attributes:
        image_shape: (H, W, C) of each image; C = 1 for grey, 3 for RGB.
        fit: how the size is changed; None if it must be (H, W) already.
        max_pixels: a file with more is refused before its pixels are decoded.
        value_range: what becomes 0 and 255 of samples that have more than 8 bits.
    """

    image_shape: tuple[int, int, int]
    fit: Fit | None
    max_pixels: int = MAX_PIXELS
    value_range: ValueRange | None = None


@dataclass(frozen=True)
class OpenedImage:
    """An image file, decoded.

    Attributes:
        image: all of it, upright, in the mode that was asked for.
        format: its name in ``image_formats``, by its content.
        mode: Pillow's name for what the file has, such as "RGB", "P" or "I;16".
    """

    image: Image
    format: str
    mode: str


@dataclass(frozen=True)
class Chunk:
    """Some decoded files in a row.

    Attributes:
        images: uint8 (n, H, W, C), zero where a file could not be decoded.
        errors: the error of each such file, by its place in the chunk.
    """

    images: NDArray[np.uint8]
    errors: dict[int, DataError]


def require_pillow() -> None:
    """Raises DataError if Pillow is not installed, with the command that installs it."""
    try:
        import PIL.Image  # noqa: F401
    except ImportError:
        raise DataError(
            f"image files need Pillow, which is not installed; {install_advice('images')}"
        ) from None


def load_image(
    path: str | Path,
    image_shape: tuple[int, int, int],
    fit: Fit = "crop",
    max_pixels: int = MAX_PIXELS,
    value_range: ValueRange | None = None,
) -> NDArray[np.uint8]:
    """Reads one image as the data sets do.

    The orientation in EXIF is applied, and what is transparent becomes black. Of samples with 16
    bits the upper 8 are kept, and floating-point numbers from 0 to 1 are scaled to 0 to 255, unless
    ``value_range`` is given.

    Args:
        path: a JPEG, PNG, WebP, GIF, BMP, TIFF, PNM, JPEG 2000, AVIF or TGA file; of several
            frames, the first is read.
        image_shape: (H, W, C) of the result; C = 1 for grey, 3 for RGB.
        fit: "crop" scales to cover (H, W) and cuts off equally at both ends of the side that is
            too long; "stretch" scales each side by itself.
        max_pixels: the most pixels that the image may have.
        value_range: the lowest and highest value, which become 0 and 255, of samples that have
            more than 8 bits or are floating-point numbers.

    Returns:
        uint8 (H, W, C).

    Raises:
        DataError: the file is missing, cannot be read, is not an image, is too large, or has
            values outside of the range; or Pillow is missing.
    """
    require_pillow()
    image = np.empty(image_shape, np.uint8)
    with quiet_pillow(max_pixels):
        _decode(str(path), Decoding(image_shape, fit, max_pixels, value_range), image)
    return image


def decode_chunk(paths: Sequence[str], decoding: Decoding) -> Chunk:
    """Decodes some files, and keeps the error of each that cannot be decoded."""
    images = np.zeros((len(paths), *decoding.image_shape), np.uint8)
    errors = {}
    with quiet_pillow(decoding.max_pixels):
        for place, path in enumerate(paths):
            try:
                _decode(path, decoding, images[place])
            except DataError as error:
                errors[place] = error
    return Chunk(images, errors)


def _decode(path: str, decoding: Decoding, out: NDArray[np.uint8]) -> None:
    """Decodes a file into ``out``, (H, W, C)."""
    H, W, C = decoding.image_shape
    image = open_image(path, _MODES[C], decoding.max_pixels, decoding.value_range).image
    if (image.height, image.width) != (H, W):
        if decoding.fit is None:
            raise DataError(
                f"{shown(path)}: is {image.height}×{image.width}, but the first image is "
                f"{H}×{W} (height×width); set data.size to bring all images to one size"
            )
        image = _resized(image, H, W, decoding.fit)
    for box in boxes(image):
        band = image if box[3] - box[1] == H else image.crop(box)
        out[box[1] : box[3]] = np.asarray(band).reshape(-1, W, C)


def image_size(
    path: str, max_pixels: int = MAX_PIXELS, value_range: ValueRange | None = None
) -> tuple[int, int]:
    """The size (H, W) of an image file, which is decoded to be sure of it.

    Raises:
        DataError: as ``load_image``.
    """
    with quiet_pillow(max_pixels):
        image = open_image(path, "L", max_pixels, value_range).image
        return image.height, image.width


def open_image(
    path: str, mode: str, max_pixels: int, value_range: ValueRange | None
) -> OpenedImage:
    """Decodes a whole image file; to be called within ``quiet_pillow``.

    Args:
        path: of the file, which may be in a container.
        mode: of the result, "L" or "RGB".
        max_pixels, value_range: as those of ``load_image``.

    Raises:
        DataError: as ``load_image``.
    """
    try:
        file, size = open_image_file(path)
    except NotRegularFileError as error:
        raise DataError(f"{shown(path)}: {error.strerror}; remove or replace it") from None
    except OSError as error:
        raise _unreadable(path, error) from None
    with file:
        _check_bytes(path, size, max_pixels)
        known = identify(file, path)
        if known is None:
            raise DamagedImageError(
                f"{shown(path)}: is not an image in a known format; remove or replace it"
            )
        try:
            return _decoded(known, file, mode, max_pixels, value_range)
        except _TooManyPixelsError as error:
            raise DamagedImageError(
                f"{shown(path)}: {error}, and data.max_pixels allows {max_pixels:,}; remove or "
                f"replace it, set data.max_pixels higher"
            ) from None
        except SampleValueError as error:
            raise DataError(f"{shown(path)}: {error}") from None
        except NotFiniteError:
            raise DamagedImageError(
                f"{shown(path)}: has values that are not finite; remove or replace it"
            ) from None
        except ImportError:
            raise DataError(
                f"{shown(path)}: is {known.name}, which the installed version of Pillow cannot "
                f"read; pip install --upgrade pillow"
            ) from None
        except Exception as error:  # Decoders raise whatever their parsers happen to run into.
            if isinstance(error, OSError) and error.errno not in _DAMAGE:
                raise _unreadable(path, error) from None
            raise DamagedImageError(
                f"{shown(path)}: cannot be decoded ({_reason(error)}); remove or replace it"
            ) from None


class _TooManyPixelsError(Exception):
    """An image that exceeds the limit; the message gives its size."""


_DAMAGE = (None, errno.EINVAL, errno.EOVERFLOW)
"""Error numbers of Pillow's own OSErrors, and of positions in a file that cannot be."""


def _check_bytes(path: str, size: int, max_pixels: int) -> None:
    if size == 0:
        raise DamagedImageError(f"{shown(path)}: is empty; remove or replace it")
    most = _BYTES_BESIDES + _BYTES_PER_PIXEL * max_pixels
    if size > most:
        raise DamagedImageError(
            f"{shown(path)}: has {size:,} bytes, and an image of data.max_pixels = "
            f"{max_pixels:,} has {most:,} at most; remove or replace it, set data.max_pixels higher"
        )


def _unreadable(path: str, error: OSError) -> DataError:
    return DataError(
        f"{shown(path)}: cannot be read ({error.strerror}); check the path and its permissions"
    )


def _reason(error: Exception) -> str:
    """What a decoder says, or the kind of its error if that alone would not be understood."""
    text = shown(str(error))[:200]
    plain = isinstance(error, (OSError, SyntaxError, ValueError)) and text
    return text if plain else f"{type(error).__name__}: {text}".removesuffix(": ")


def _decoded(
    known: ImageFormat,
    file: BinaryIO,
    mode: str,
    max_pixels: int,
    value_range: ValueRange | None,
) -> OpenedImage:
    """The image in an open file.

    Raises:
        _TooManyPixelsError, SampleValueError, NotFiniteError: as these say.
        ImportError: Pillow does not know the format.
        Exception: whatever the decoder raises.
    """
    import PIL.Image

    opener = known.opener()
    view = without_metadata(known.name, file)
    _check_pixels(view.size, max_pixels)
    orientation, stored_mode = view.orientation, ""

    def open_again() -> ImageFile:
        nonlocal orientation, stored_mode
        view.stream.seek(0)
        image = opener(view.stream)
        stored_mode = image.mode
        _check_pixels(image.size, max_pixels)
        if known.name == "AVIF":  # how it is turned is Pillow's to find out
            orientation = exif_orientation(image.info.get("exif", b""))
        return image

    try:
        image = loaded_as_bytes(open_again, Rule(value_range, view.white_is_zero))
    except PIL.Image.DecompressionBombError as error:
        raise _TooManyPixelsError(f"is too large ({error})") from None
    if orientation != 1:
        image = image.transpose(PIL.Image.Transpose[_TURNS[orientation]])
    return OpenedImage(flattened(image, mode), known.name, stored_mode)


_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""What makes an image upright, by the orientation in EXIF."""


def _check_pixels(size: tuple[int, int] | None, max_pixels: int) -> None:
    if size is not None and size[0] * size[1] > max_pixels:
        width, height = size
        raise _TooManyPixelsError(f"has {width}×{height} = {width * height:,} pixels")


def flattened(image: Image, mode: str) -> Image:
    """The image in ``mode``, with what is transparent laid over black."""
    import PIL.Image

    is_transparent = image.has_transparency_data
    if image.mode == mode and not is_transparent:
        return image
    parts = list(boxes(image))
    if len(parts) == 1:
        return _converted(image, mode, is_transparent)
    result = PIL.Image.new(mode, image.size)
    for box in parts:  # so that no second and third copy of a large image is in memory
        result.paste(_converted(image.crop(box), mode, is_transparent), box)
    return result


def _converted(image: Image, mode: str, is_transparent: bool) -> Image:
    import PIL.Image

    between = {"La": "LA", "LAB": "RGB"}.get(image.mode)  # there is no way from these to all others
    if between:
        image = image.convert(between)
    if is_transparent:
        black = PIL.Image.new("RGBA", image.size, "black")
        image = PIL.Image.alpha_composite(black, image.convert("RGBA"))
    return image if image.mode == mode else image.convert(mode)


def _resized(image: Image, H: int, W: int, fit: Fit) -> Image:
    """The image, or its centred part with the proportions of (H, W), scaled to (H, W)."""
    from PIL.Image import Resampling

    height, width = image.height, image.width
    part_height: float = height
    part_width: float = width
    if fit == "crop":
        scale = max(H / height, W / width)
        part_height, part_width = min(height, H / scale), min(width, W / scale)
    top, left = (height - part_height) / 2, (width - part_width) / 2
    box = (left, top, left + part_width, top + part_height)
    return image.resize((W, H), Resampling.BILINEAR, box)
