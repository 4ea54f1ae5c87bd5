"""Damaged image files of each format: an image or an error that names the file, and soon."""

import io
import random
import time

import numpy as np
import pytest
from image_files import FLOAT, SHORT, exif, png, png_chunk, pnm, tiff, with_segment
from PIL import Image, features

from gpucnn.data.decoding import Decoding, decode_chunk
from gpucnn.errors import DataError

COUNT = 10_000
SECONDS = 150
PIXELS = np.random.default_rng(1).integers(0, 256, (12, 10, 3), np.uint8)
GREY = PIXELS[..., 0]
WIDE = PIXELS.astype(np.uint16) * 257


def _saved(name, pixels=PIXELS, mode=None, **options):
    file = io.BytesIO()
    picture = Image.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(file, name, **options)
    return file.getvalue()


def _seeds():
    """Intact files, by name; the extension matters for TGA alone."""
    turned = exif([(0x112, SHORT, [6])])
    seeds = {
        "rgb.jpg": _saved("JPEG"),
        "progressive.jpg": _saved("JPEG", progressive=True),
        "cmyk.jpg": _saved("JPEG", mode="CMYK"),
        "exif.jpg": with_segment(_saved("JPEG"), 0xE1, turned),
        "rgb.png": png(PIXELS, [png_chunk(b"eXIf", turned[6:]), png_chunk(b"tEXt", b"a\0b")]),
        "wide.png": png(WIDE),
        "palette.png": _saved("PNG", mode="P", transparency=3),
        "bits.png": _saved("PNG", mode="1"),
        "lossy.webp": _saved("WEBP", exif=turned),
        "lossless.webp": _saved("WEBP", lossless=True),
        "moving.webp": _saved("WEBP", save_all=True, append_images=[Image.fromarray(PIXELS // 2)]),
        "palette.gif": _saved("GIF", comment=b"words"),
        "moving.gif": _saved("GIF", save_all=True, append_images=[Image.fromarray(PIXELS // 2)]),
        "rgb.bmp": _saved("BMP"),
        "palette.bmp": _saved("BMP", mode="P"),
        "rgb.tif": tiff(PIXELS, further=[(0x112, SHORT, [6])]),
        "swapped.tif": tiff(WIDE, ">"),
        "float.tif": tiff(GREY.astype(np.float32) / 255, kind=FLOAT),
        "deflate.tif": tiff(PIXELS, compressed=True),
        "lzw.tif": _saved("TIFF", compression="tiff_lzw"),
        "jpeg.tif": _saved("TIFF", compression="jpeg"),
        "binary.ppm": pnm(6, WIDE, 65535),
        "plain.pgm": pnm(2, GREY, 255),
        "file.jp2": _saved("JPEG2000"),
        "stream.jp2": _saved("JPEG2000", no_jp2=True),
        "rgb.tga": _saved("TGA"),
        "packed.tga": _saved("TGA", mode="P", compression="tga_rle"),
    }
    if "avif" in features.modules:
        seeds["rgb.avif"] = _saved("AVIF", exif=turned)
    return seeds


def _damaged(rng, content):
    """One of the ways in which files are damaged, or made to do harm."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        way, at = rng.randrange(6), rng.randrange(len(data) or 1)
        if rng.random() < 0.5:
            at = rng.randrange(min(len(data), 100) or 1)  # most decisions are made in headers
        if way == 0:
            data[at : at + 1] = bytes([rng.randrange(256)])
        elif way == 1:
            data[at : at + 1] = bytes([data[at] ^ 1 << rng.randrange(8)]) if data else b""
        elif way == 2:
            data[at : at + 4] = rng.choice(
                (b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\0\0\0\1")
            )
        elif way == 3:
            del data[at:]
        elif way == 4:
            del data[at : at + rng.randrange(1, 9)]
        else:
            data[at:at] = data[at : at + rng.randrange(1, 60)]
    return bytes(data)


@pytest.mark.slow
def test_damaged_files_are_read_or_refused(tmp_path, capfd):
    rng = random.Random(20240229)
    seeds = list(_seeds().items())
    decoding = Decoding((8, 8, 3), "crop", max_pixels=100_000)
    start = time.monotonic()
    refused = 0
    for number in range(COUNT):
        name, content = seeds[number % len(seeds)]
        path = tmp_path / name
        path.write_bytes(_damaged(rng, content) if number >= len(seeds) else content)
        began = time.monotonic()
        chunk = decode_chunk([str(path)], decoding)
        assert time.monotonic() - began < 10, f"{name}, number {number}"
        refused += len(chunk.errors)
        for error in chunk.errors.values():
            assert number >= len(seeds), error
            assert isinstance(error, DataError)
            assert name in str(error)
            assert "\n" not in str(error)
        assert time.monotonic() - start < SECONDS
    assert COUNT / 4 < refused < COUNT
    assert "Traceback" not in capfd.readouterr().err
