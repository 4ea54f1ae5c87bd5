"""Samples of more than 8 bits, and those that are not whole numbers, as bytes.

Each kind has a rule, and values that a rule would lose are an error:

- 16-bit whole numbers keep their upper byte. If an image has no value above 4095, it most probably
  holds 8 or 12 bits and would come out nearly black; it is refused, unless it is 0 everywhere.
- Floating-point numbers from 0 to 1 become 0 to 255; others are refused.
- Signed and 32-bit whole numbers have no range that a format would define, and are refused.

If a range is given (``data.range``), all of these are scaled linearly from it, and an image with
values outside of it is refused. Alpha is always on the full scale.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

ValueRange: TypeAlias = tuple[float, float]
Box: TypeAlias = tuple[int, int, int, int]
_Bands: TypeAlias = Callable[[], Iterator[NDArray[Any]]]
_Scale: TypeAlias = Callable[[NDArray[Any]], NDArray[np.uint8]]

_BAND_BYTES = 1 << 22
_LARGEST_OF_12_BITS = 0xFFF
_REMEDY = "set data.range = [LOWEST, HIGHEST] to the values that stand for black and white"
_BITS_PER_SAMPLE, _PLANAR_CONFIGURATION, _SAMPLE_FORMAT = 258, 284, 339  # fields of TIFF

# libtiff unpacks samples into this machine's byte order, but Pillow takes some to be in the file's.
_UNPACKED = {"I;16BS": "I;16S", "I;32BS": "I;32S", "F;32BF": "F;32F"}
_UNSIGNED_32 = ("I;32N", "I;32", "I;32B")
# The lower bytes of 16-bit samples are read as the upper ones in the other byte order; N is ours.
_OTHER_ORDER = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}


class SampleValueError(Exception):
    """Values that the rule for their kind does not cover; the message says which."""


class NotFiniteError(Exception):
    """An image with NaN or infinity in it."""


@dataclass(frozen=True)
class Rule:
    """What a user or a file says about sample values.

    Attributes:
        range: the lowest and highest value, if the user has given them.
        white_is_zero: whether the lowest value is white.
    """

    range: ValueRange | None = None
    white_is_zero: bool = False


def boxes(image: Image) -> Iterator[Box]:
    """Bands that cover an image from top to bottom, each of a few MB."""
    width, height = image.size
    rows = max(1, _BAND_BYTES // (4 * width))
    for top in range(0, height, rows):
        yield 0, top, width, min(height, top + rows)


def loaded_as_bytes(open_again: Callable[[], ImageFile], rule: Rule) -> Image:
    """Decodes an image file; its samples have 8 bits.

    Args:
        open_again: opens the file. Some images of 16 bits are decoded three times.
        rule: for samples of more bits.

    Raises:
        SampleValueError, NotFiniteError: values that cannot be scaled.
        Exception: whatever the decoder raises.
    """
    image = open_again()
    tags = getattr(image, "tag_v2", {})
    bits, kinds = tags.get(_BITS_PER_SAMPLE, (8,)), tags.get(_SAMPLE_FORMAT, (1,))
    if tags.get(_PLANAR_CONFIGURATION) == 2 and max(bits) > 8:
        raise SampleValueError(
            "has separate planes of more than 8 bits, which cannot be read; save it with its "
            "channels interleaved"
        )
    if image.mode == "F" or image.mode.startswith("I") or (image.mode == "L" and 2 in kinds):
        return _grey(image, rule)
    decoder, coding, largest = _coding(image)
    image.load()
    if ";16" in coding or largest > 255:
        return _colour(image, open_again, rule, decoder, coding, largest)
    return image


def _coding(image: ImageFile) -> tuple[str, str, int]:
    """Decoder, its name for how samples are stored, such as "I;16B", and PNM's largest value."""
    if not image.tile:
        return "", "", 0
    decoder, arguments = image.tile[0][0], image.tile[0][3]
    if isinstance(arguments, str):
        return decoder, arguments, 0
    coding = arguments[0] if arguments and isinstance(arguments[0], str) else ""
    largest = arguments[1] or 0 if decoder.startswith("ppm") and arguments else 0
    return decoder, coding, int(largest)


def _recode(image: ImageFile, decoder: str, *arguments: Any) -> None:
    """Has the samples read in another way: the arguments replace the decoder's first ones."""
    tiles: list[Any] = []
    for tile in image.tile:
        _, extents, offset, old = tile
        new = (*arguments, *old[len(arguments) :]) if isinstance(old, tuple) else arguments[0]
        changed = (decoder, extents, offset, new)
        make: Callable[[tuple[Any, ...]], Any] = getattr(tile, "_make", tuple)
        tiles.append(make(changed))  # older versions of Pillow have plain tuples
    image.tile = tiles


def _grey(image: ImageFile, rule: Rule) -> Image:
    """One channel of signed, 12-, 16- or 32-bit or floating-point samples, as mode L."""
    decoder, coding, largest = _coding(image)
    if decoder == "libtiff" and coding in _UNPACKED:
        _recode(image, decoder, _UNPACKED[coding])
    if largest and rule.range:
        _recode(image, decoder, coding, 0xFFFF)  # else Pillow scales to this by the largest value
    transparent = image.info.get("transparency")
    image.load()
    view = np.int8 if image.mode == "L" else np.uint32 if coding in _UNSIGNED_32 else None

    def bands() -> Iterator[NDArray[Any]]:
        for box in boxes(image):
            band = np.asarray(image.crop(box))
            yield band if view is None else band.view(view)

    is_16_bit = image.mode.startswith("I;16") or coding == "I;16B" or largest > 0
    kind = "F" if image.mode == "F" else "16" if is_16_bit else "I"
    if coding == "I;12":
        scale = _linear(bands, rule.range) if rule.range else _shifted(4)
    else:
        scale = _scale(bands, rule.range, kind, is_certain=0 < largest < 0xFFFF)
    return _as_image("L", image.size, bands, scale, rule.white_is_zero, transparent)


def _colour(
    image: Image,
    open_again: Callable[[], ImageFile],
    rule: Rule,
    decoder: str,
    coding: str,
    largest: int,
) -> Image:
    """Several channels of 16 bits, of which Pillow has loaded the upper bytes."""
    channels = 1 if coding.startswith("LA") else 4 if image.mode == "CMYK" else 3
    transparent = image.info.get("transparency")
    extrema: Any = image.getextrema()  # a pair for each channel
    brightest = max(high for _, high in extrema[:channels])
    is_certain = 0 < largest < 0xFFFF
    if rule.range is None and transparent is None and (brightest > 0x10 or is_certain):
        return image
    if decoder == "ppm":  # binary, to be read without scaling
        decoder = "raw"
        codings: tuple[tuple[Any, ...], ...] = (("RGB;16B", 0, 1), ("RGB;16L", 0, 1))
    elif coding == "LA;16B":  # all of its bytes fit into four channels of 8 bits
        codings = (("RGBA",), ("RGBA",))
    elif decoder != "ppm_plain" and "a" not in coding:
        codings = ((coding,), (coding[:-1] + _OTHER_ORDER[coding[-1]],))
    else:
        raise SampleValueError(
            "has 16-bit colour of a kind that cannot be scaled (as plain text, or multiplied by "
            "alpha); save it as a 16-bit PNG"
        )
    upper, lower = (_loaded(open_again(), decoder, *arguments) for arguments in codings)

    def bands() -> Iterator[NDArray[Any]]:
        for box in boxes(image):
            high, low = np.asarray(upper.crop(box)), np.asarray(lower.crop(box))
            low = low[..., 1:] if channels == 1 else low
            yield high[..., :channels].astype(np.uint16) << 8 | low[..., :channels]

    scale = _scale(bands, rule.range, "16", is_certain)
    colours = _as_image(
        {1: "L", 3: "RGB", 4: "CMYK"}[channels], image.size, bands, scale, False, transparent
    )
    if image.mode == "RGBA":
        colours = colours.convert("RGBA")
        colours.putalpha(image.getchannel("A"))
    return colours


def _loaded(image: ImageFile, decoder: str, *arguments: Any) -> ImageFile:
    _recode(image, decoder, *arguments)
    image.load()
    return image


def _extrema(bands: _Bands) -> tuple[float, float]:
    """The smallest and the largest value.

    Raises:
        NotFiniteError: one is NaN or infinite.
    """
    extrema = [(band.min().item(), band.max().item()) for band in bands()]
    low, high = min(low for low, _ in extrema), max(high for _, high in extrema)
    if not all(math.isfinite(value) for pair in extrema for value in pair):
        raise NotFiniteError
    return low, high


def _scale(bands: _Bands, given: ValueRange | None, kind: str, is_certain: bool) -> _Scale:
    """How samples become bytes, by the rule for their kind: "F", "16" or other whole numbers.

    Args:
        bands: the samples.
        given: the user's range.
        kind: of the samples.
        is_certain: whether the file itself says that its 16 bits are used.
    """
    if given:
        return _linear(bands, given)
    low, high = _extrema(bands)
    if kind == "F":
        if low >= 0 and high <= 1:
            return _linear(bands, (0.0, 1.0))
        raise SampleValueError(
            f"has floating-point values from {low:g} to {high:g}, and only from 0 to 1 is it clear "
            f"what they mean; {_REMEDY}"
        )
    if kind != "16":
        raise SampleValueError(f"has signed or 32-bit values, from {low} to {high}; {_REMEDY}")
    if 0 < high <= _LARGEST_OF_12_BITS and not is_certain:
        raise SampleValueError(
            f"has 16 bits per value, but the largest is {high}; set data.range = [0, 255] or "
            f"[0, 4095] if that is the range of the images, or [0, 65535] if this one is just dark"
        )
    return _shifted(8)


def _shifted(bits: int) -> _Scale:
    return lambda values: (values.astype(np.uint16, copy=False) >> bits).astype(np.uint8)


def _linear(bands: _Bands, given: ValueRange) -> _Scale:
    """From a range to 0 … 255.

    Raises:
        SampleValueError: a value is outside of it.
        NotFiniteError: one is NaN or infinite.
    """
    low, high = _extrema(bands)
    for value in (low, high):
        if not given[0] <= value <= given[1]:
            raise SampleValueError(
                f"has the value {value:g}, outside of data.range = [{given[0]:g}, {given[1]:g}]; "
                f"set it to the range of all images"
            )
    factor = 255 / (given[1] - given[0])
    return lambda values: np.rint((values.astype(np.float64) - given[0]) * factor).astype(np.uint8)


def _as_image(
    mode: str,
    size: tuple[int, int],
    bands: _Bands,
    scale: _Scale,
    white_is_zero: bool,
    transparent: int | tuple[int, ...] | None,
) -> Image:
    """The scaled samples; those of the transparent colour become 0."""
    import PIL.Image

    width, height = size
    channels = PIL.Image.getmodebands(mode)
    out = np.empty((height, width, channels) if channels > 1 else (height, width), np.uint8)
    top = 0
    for band in bands():
        part = scale(band)
        if white_is_zero:
            part = 255 - part
        if transparent is not None:
            part[(band == transparent) if band.ndim == 2 else (band == transparent).all(-1)] = 0
        out[top : top + len(part)] = part.reshape(-1, *out.shape[1:])
        top += len(part)
    return PIL.Image.frombuffer(mode, size, out, "raw", mode, 0, 1)
