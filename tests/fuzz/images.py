"""Image files in every format that Pillow writes."""

import io
import random
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from fuzz.harness import MIB, Fuzzer, attempt
from fuzz.mutators import INTEGERS, mutated_bytes
from PIL import Image, PngImagePlugin

from gpucnn.data.decoding import image_size, load_image

PROMISED = {
    "AVIF": (".avif",),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "JPEG2000": (".jp2",),
    "PNG": (".png",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "TGA": (".tga",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
"""The formats that are read, each by the extensions that it goes by."""
OTHERS = (
    *("BLP", "DDS", "EPS", "ICO", "IM", "MSP", "PALM", "PCX", "PDF", "QOI", "SGI", "SPIDER"),
    "XBM",
)
"""Formats that are not read, whatever Pillow can do."""
_ALIKE = ("DIB", "MPO")
"""Formats that are nearly those of another one, BMP and JPEG, and may be read or not."""
EXTENSIONS = tuple(extension for known in PROMISED.values() for extension in known)
_MOST_PIXELS = 4_000_000
_PLAIN = ("1", "L", "P", "RGB", "RGBA", "LA", "CMYK")
_DEEP = {"I;16": np.uint16, "I": np.int32, "F": np.float32}
"""Modes whose values may be such that they are refused."""
_MODES = (*_PLAIN, *_DEEP, "YCbCr", "HSV")
_TIFF = ("raw", "tiff_lzw", "tiff_deflate", "packbits", "jpeg", "group3", "group4", "tiff_ccitt",
         "lzma", "zstd")  # fmt: skip
_OPTIONS = {
    "TIFF": [{"compression": name} for name in _TIFF],
    "PNG": [{}, {"compress_level": 0}],
    "GIF": [{}, {"save_all": True}],
    "WEBP": [{}, {"lossless": True}, {"save_all": True}],
    "JPEG": [{}, {"progressive": True}, {"quality": 30, "subsampling": 2}],
    "JPEG2000": [{}, {"irreversible": True}, {"no_jp2": True}],
    "TGA": [{}, {"compression": "tga_rle"}],
    "AVIF": [{"speed": 10}],
    "BLP": [{}, {"blp_version": "BLP1"}],
}
_XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></x:xmpmeta>'  # noqa: E501


def seeds() -> dict[str, list[bytes]]:
    """Small images, by format: of several modes and options, plain and with metadata."""
    return {name: list(_written(name)) for name in (*PROMISED, *OTHERS, *_ALIKE)} | {
        "ICNS": [_icns()]
    }


def _icns() -> bytes:
    """An image of 128×128; Pillow would write all sizes up to 1024×1024."""
    file = io.BytesIO()
    Image.new("RGBA", (128, 128), "red").save(file, "PNG")
    image = file.getvalue()
    return b"icns%bic07%b%b" % (
        *(n.to_bytes(4, "big") for n in (len(image) + 16, len(image) + 8)),
        image,
    )


def _written(name: str, modes: tuple[str, ...] = _MODES) -> Iterator[bytes]:
    for mode in modes:
        image = _in_mode(mode)
        for options in _OPTIONS.get(name, [{}]):
            for metadata in ({}, _metadata(name)):
                more = {"append_images": [image.rotate(90)]} if "save_all" in options else {}
                file = io.BytesIO()
                try:
                    image.save(file, name, **options, **metadata, **more)
                except (OSError, ValueError, KeyError, TypeError, SystemError, AttributeError):
                    continue  # a mode or an option that the format does not have
                yield file.getvalue()


def _in_mode(mode: str) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (20, 24, 4), np.uint8)
    if mode in _DEEP:
        return Image.fromarray((values[..., 0].astype(_DEEP[mode]) * 257).astype(_DEEP[mode]))
    image = Image.fromarray(values)
    return image.convert(mode) if mode != "HSV" else image.convert("RGB").convert(mode)


def _metadata(name: str) -> dict:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x8298] = 6, "camera", "rights"
    exif[0x8769] = {0x9003: "2024:01:01 00:00:00", 0x9286: b"comment"}
    found = {
        "exif": exif,
        "icc_profile": b"\0" * 132,
        "comment": "text",
        "xmp": _XMP,
        "dpi": (72, 72),
    }
    if name == "PNG":
        texts = PngImagePlugin.PngInfo()
        texts.add_text("plain", "text")
        texts.add_text("packed", "text" * 50, zip=True)
        texts.add_itxt("XML:com.adobe.xmp", _XMP.decode())
        found["pnginfo"] = texts
    return {key: value for key, value in found.items() if name != "TIFF" or key != "exif"}


class ImageFuzzer(Fuzzer):
    """Images: intact ones first, then damaged ones."""

    name = "images"
    memory = 128 * MIB

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._seeds = seeds()
        self._formats = [name for name, found in self._seeds.items() if found]
        self._plain = {name: list(_written(name, _PLAIN)) for name in self._formats}
        self._plain["ICNS"] = self._seeds["ICNS"]
        self._all = [content for found in self._seeds.values() for content in found]

    def run(self, rng: random.Random, number: int) -> None:
        """A file in any format, under any name that an image may have."""
        if number < 4 * len(self._formats):
            name = self._formats[number % len(self._formats)]
            content = rng.choice(self._plain[name])
        else:
            name = rng.choice(self._formats if rng.random() < 0.3 else list(PROMISED))
            content = self._mutated(rng, rng.choice(self._seeds[name]))
        suffix = rng.choice(PROMISED.get(name, EXTENSIONS) if rng.random() < 0.8 else EXTENSIONS)
        path = self.folder / f"image-{number}{suffix}"
        path.write_bytes(content)
        try:
            result = self._decoded(rng, path)
        finally:
            path.unlink()
        if number < 4 * len(self._formats):
            is_other = name in OTHERS or name == "ICNS"
            assert not is_other or result is None, f"{name} was read"
            assert name not in PROMISED or result is not None, f"{name} was refused"

    def _decoded(self, rng: random.Random, path: Path) -> np.ndarray | None:
        shape = (rng.choice((1, 8, 20, 33)), rng.choice((1, 8, 24, 33)), rng.choice((1, 3)))
        fit = rng.choice(("crop", "stretch"))
        values = rng.choice((None, None, None, (0.0, 255.0), (-1.0, 65535.0)))

        def load() -> np.ndarray:
            return load_image(path, shape, fit, _MOST_PIXELS, values)

        result = attempt(load, (path.name,))
        if result is not None:
            assert result.dtype == np.uint8
            assert result.shape == shape
            assert rng.random() > 0.1 or (result == load()).all(), (
                "the second time is not as the first"
            )
        if rng.random() < 0.1:
            size = attempt(lambda: image_size(str(path), _MOST_PIXELS), (path.name,))
            assert size is None or size[0] * size[1] <= _MOST_PIXELS
        return result

    def _mutated(self, rng: random.Random, content: bytes) -> bytes:
        if content.startswith(b"\x89PNG") and rng.random() < 0.8:
            return _mutated_png(rng, content)
        return mutated_bytes(rng, content, rng.choice(self._all))


def _mutated_png(rng: random.Random, content: bytes) -> bytes:
    """A PNG with a chunk damaged, repeated, moved or removed, and checksums that are right."""
    chunks = []
    place = 8
    while place + 12 <= len(content):
        size = int.from_bytes(content[place : place + 4], "big")
        chunks.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + size]))
        place += 12 + size
    number = rng.randrange(len(chunks))
    kind, data = chunks[number]
    choice = rng.randrange(8)
    if choice < 3:
        chunks[number] = (kind, mutated_bytes(rng, data, content))
    elif choice == 3 and kind == b"IDAT":
        pixels = mutated_bytes(rng, zlib.decompress(data), content)
        chunks[number] = (kind, zlib.compress(pixels))
    elif choice == 4:
        size = rng.choice(INTEGERS) % 2**32
        chunks[0] = (b"IHDR", size.to_bytes(4, "big") + chunks[0][1][4:])
    elif choice == 5:
        bomb = zlib.compress(b"x" * rng.choice((100, MIB, 20 * MIB)), 1)
        kind = rng.choice((b"zTXt", b"iCCP", b"IDAT"))
        chunks.insert(rng.randrange(1, len(chunks)), (kind, b"a\0\0" * (kind != b"IDAT") + bomb))
    elif choice == 6:
        chunks.insert(rng.randrange(len(chunks) + 1), rng.choice(chunks))
    else:
        del chunks[number]
    parts = [content[:8]]
    for kind, data in chunks:
        checksum = zlib.crc32(kind + data).to_bytes(4, "big")
        parts.append(len(data).to_bytes(4, "big") + kind + data + checksum)
    return b"".join(parts)
