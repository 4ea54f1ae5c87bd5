"""Single image files: which are read, which values they give, and which are refused."""

import io
import logging
import os
import socket
import subprocess
import sys
import warnings
import zlib
from unittest.mock import Mock

import numpy as np
import PIL
import pytest
from image_files import (
    BLACK_IS_ZERO,
    CMYK,
    FLOAT,
    LAB,
    LONG,
    PALETTE,
    RATIONAL,
    SHORT,
    SIGNED,
    TEXT,
    WHITE_IS_ZERO,
    YCBCR,
    exif,
    png,
    png_chunk,
    pnm,
    tiff,
    with_segment,
)
from PIL import Image, features

from gpucnn.data import image_formats, load_image, metadata
from gpucnn.data.decoding import DamagedImageError, Decoding, decode_chunk
from gpucnn.errors import DataError

SHAPE = (6, 8, 3)
PIXELS = np.random.default_rng(3).integers(0, 256, SHAPE, np.uint8)
HAS_AVIF = (
    hasattr(features, "check_module") and "avif" in features.modules and features.check("avif")
)


def _saved(name, pixels=PIXELS, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, name, **options)
    return file.getvalue()


JPEG = _saved("JPEG", quality=95)
GIF = _saved("GIF")
GIF_BLOCKS = 13 + (3 << ((GIF[10] & 7) + 1))


@pytest.fixture
def load(tmp_path):
    """Reads an image from bytes, with every warning being an error."""

    def load(content, shape=SHAPE, name="picture.png", **options):
        path = tmp_path / name
        path.write_bytes(content)
        return load_image(path, shape, **options)

    return load


def _grey(load, content, count, **options):
    return load(content, (1, count, 1), **options).reshape(-1).tolist()


# Metadata -----------------------------------------------------------------------------------------

MISTYPED = [(282, TEXT, b"seventy-two\0"), (283, TEXT, b"x\0"), (0x112, TEXT, b"six\0")]
LARGE_TEXT = png_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(3_000_000)))
JP2 = _saved("JPEG2000")


def _with_resolution(jp2, content):
    """A JPEG 2000 file with a box for the resolution in its header."""
    at = jp2.index(b"jp2h")
    length = int.from_bytes(jp2[at - 4 : at], "big")
    box = (8 + len(content)).to_bytes(4, "big") + b"res " + content
    return (
        jp2[: at - 4]
        + (length + len(box)).to_bytes(4, "big")
        + jp2[at : at - 4 + length]
        + box
        + jp2[at - 4 + length :]
    )


def _gif_with(blocks):
    return GIF[:GIF_BLOCKS] + blocks + GIF[GIF_BLOCKS:]


def _tiff_with(*further, compressed=False):
    return tiff(PIXELS, further=further, compressed=compressed)


SAME_PIXELS = {
    "jpeg, text for numbers": (with_segment(JPEG, 0xE1, exif(MISTYPED)), JPEG),
    "jpeg, exif cut off": (with_segment(JPEG, 0xE1, exif(MISTYPED)[:20]), JPEG),
    "jpeg, exif far away": (with_segment(JPEG, 0xE1, b"Exif\0\0MM\0*\xff\xff\xff\xff"), JPEG),
    "jpeg, short jfif": (with_segment(JPEG, 0xE0, b"JFIF"), JPEG),
    "jpeg, short adobe": (with_segment(JPEG, 0xEE, b"Adobe"), JPEG),
    "jpeg, further frames": (
        with_segment(JPEG, 0xE2, b"MPF\0" + exif([(0xB001, LONG, [2]), (0xB002, 7, b"xx")])[6:]),
        JPEG,
    ),
    "jpeg, icc": (with_segment(JPEG, 0xE2, b"ICC_PROFILE\0"), JPEG),
    "jpeg, photoshop": (
        with_segment(JPEG, 0xED, b"Photoshop 3.0\0" + b"8BIM\x03\xed\0\0\0\0\0\1x"),
        JPEG,
    ),
    "png, large text": (png(PIXELS, before=[LARGE_TEXT]), png(PIXELS)),
    "png, large text at the end": (png(PIXELS, after=[LARGE_TEXT]), png(PIXELS)),
    "png, profile": (png(PIXELS, before=[png_chunk(b"iCCP", b"x")]), png(PIXELS)),
    "png, short chunks": (
        png(PIXELS, before=[png_chunk(name, b"") for name in (b"gAMA", b"cHRM", b"pHYs", b"sRGB")]),
        png(PIXELS),
    ),
    "png, animation": (
        png(PIXELS, before=[png_chunk(b"acTL", b""), png_chunk(b"fcTL", b"x")]),
        png(PIXELS),
    ),
    "png, wrong sum of a text": (
        png(PIXELS, before=[png_chunk(b"tEXt", b"a\0b")[:-1] + b"z"]),
        png(PIXELS),
    ),
    "png, exif": (png(PIXELS, before=[png_chunk(b"eXIf", b"nonsense")]), png(PIXELS)),
    "gif, loop": (_gif_with(b"!\xff\x0bNETSCAPE2.0\x01\x01\0"), GIF),
    "gif, comment and short control": (_gif_with(b"!\xfe\x03abc\0!\xf9\x01\x01\0"), GIF),
    "webp": (
        _saved("WEBP", lossless=True, exif=b"Exif\0\0junk"),
        _saved("WEBP", lossless=True),
    ),
    "jpeg 2000, resolution": (_with_resolution(JP2, b"\0\0\0\x0bresc\0\0\0"), JP2),
    **{
        f"tiff, {name}{', compressed' if compressed else ''}": (
            _tiff_with(*further, compressed=compressed),
            _tiff_with(compressed=compressed),
        )
        for compressed in (False, True)
        for name, further in {
            "text for numbers": [*MISTYPED, (296, SHORT, [3])],
            "zero": [(282, RATIONAL, bytes(8)), (283, RATIONAL, bytes(8)), (296, TEXT, b"inch\0")],
            "profiles": [(700, LONG, [1, 2]), (34675, SHORT, [1]), (34665, LONG, [10**9])],
            "unknown type": [(305, 99, bytes(8))],
        }.items()
    },
}


@pytest.mark.parametrize(("content", "same"), SAME_PIXELS.values(), ids=SAME_PIXELS)
def test_bad_metadata_does_not_cost_the_pixels(load, content, same):
    assert content != same
    assert np.array_equal(load(content), load(same))


@pytest.mark.skipif(not HAS_AVIF, reason="this Pillow reads no AVIF")
def test_bad_metadata_in_avif(load):
    intact = _saved("AVIF", quality=90, exif=exif([(270, TEXT, b"some text")]))
    spoilt = intact.replace(b"MM\0*", b"XXXX")
    assert spoilt != intact
    assert np.array_equal(load(spoilt), load(intact))


TURNED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda a: np.rot90(a),
}
CARRIERS = {
    "png": lambda block: png(PIXELS, before=[png_chunk(b"eXIf", block[6:])]),
    "webp": lambda block: _saved("WEBP", lossless=True, exif=block),
    "jpeg": lambda block: with_segment(JPEG, 0xE1, block),
}


@pytest.mark.parametrize("orientation", [*TURNED, 0, 9, 60000])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("carrier", CARRIERS)
def test_orientation(load, carrier, order, orientation):
    content = CARRIERS[carrier](exif([(0x112, SHORT, [orientation])], order))
    upright = load(CARRIERS[carrier](exif([(0x112, SHORT, [1])])))
    expected = TURNED.get(orientation, TURNED[1])(upright)
    assert np.array_equal(load(content, expected.shape), expected)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("orientation", TURNED)
def test_orientation_in_tiff(load, orientation, compressed):
    content = _tiff_with((0x112, SHORT, [orientation]), compressed=compressed)
    expected = TURNED[orientation](PIXELS)
    assert np.array_equal(load(content, expected.shape), expected)


@pytest.mark.skipif(not HAS_AVIF, reason="this Pillow reads no AVIF")
@pytest.mark.parametrize("orientation", TURNED)
def test_orientation_in_avif(load, orientation):
    upright = load(_saved("AVIF", quality=90)).astype(int)
    expected = TURNED[orientation](upright)
    turned = _saved("AVIF", quality=90, exif=exif([(0x112, SHORT, [orientation])]))
    assert np.abs(load(turned, expected.shape) - expected).max() < 40


# Formats ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["picture.png", "picture.tif", "picture.dat"])
def test_only_the_formats_of_the_documentation_are_opened(load, monkeypatch, name):
    monkeypatch.setattr(subprocess, "Popen", None)  # a program that is started is an error
    for content in (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 8\nshowpage\n",
        _saved("PDF"),
        _saved("PCX"),
        _saved("ICO"),
        _saved("SGI"),
    ):
        with pytest.raises(DamagedImageError, match=rf"{name}.*known format"):
            load(content, name=name)


def test_a_format_is_found_by_content_and_not_by_name(load):
    assert np.array_equal(load(_saved("BMP"), name="picture.jpg"), PIXELS)
    assert np.array_equal(load(_saved("TGA"), name="picture.tga"), PIXELS)
    assert np.array_equal(load(_saved("PPM"), name="picture.jp2"), PIXELS)


def test_each_extension_belongs_to_one_format():
    extensions = [e for known in image_formats.FORMATS for e in known.extensions]
    assert len(extensions) == len(set(extensions))
    documented = load_image.__doc__ + ""
    for known in image_formats.FORMATS:
        assert known.name in " ".join(documented.split())


# Damage -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        TypeError("must be real number"),
        KeyError(282),
        RecursionError("maximum recursion depth exceeded"),
        MemoryError(),
        ZeroDivisionError("division by zero"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
        AssertionError(),
        OSError("broken data stream\nwhen reading"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_decoder_raises_is_damage_to_the_file(tmp_path, monkeypatch, error):
    (tmp_path / "bad.png").write_bytes(png(PIXELS))
    (tmp_path / "good.jpg").write_bytes(JPEG)

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", Mock(side_effect=error))
    files = [str(tmp_path / "bad.png"), str(tmp_path / "good.jpg")]
    chunk = decode_chunk(files, Decoding(SHAPE, None))
    assert list(chunk.errors) == [0]
    assert isinstance(chunk.errors[0], DamagedImageError)
    assert "bad.png" in str(chunk.errors[0])
    assert "\n" not in str(chunk.errors[0])
    assert chunk.images[1].any()


def test_truncated_pixels_are_damage(load):
    for content in (png(PIXELS)[:-40], JPEG[:-40], GIF[:-20], tiff(PIXELS, compressed=True)[:60]):
        with pytest.raises(DamagedImageError, match=r"picture\.png"):
            load(content)


def test_warnings_are_not_passed_on(load, monkeypatch, caplog):
    def load_noisily(_):
        warnings.warn("something about metadata", stacklevel=2)
        logging.getLogger("PIL.PngImagePlugin").error("something about samples")
        raise OSError("truncated")

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", load_noisily)
    filters = list(warnings.filters)
    with pytest.raises(DamagedImageError, match="truncated"):
        load(png(PIXELS))
    assert list(warnings.filters) == filters
    assert not caplog.records
    logging.getLogger("PIL").warning("from elsewhere")
    assert len(caplog.records) == 1


def test_libtiff_prints_nothing(load, capfd):
    content = tiff(PIXELS, compressed=True)
    broken = content[:20] + bytes(30) + content[50:]
    with pytest.raises(DamagedImageError, match=r"picture\.png"):
        load(broken)
    assert capfd.readouterr().err == ""
    with pytest.raises(OSError), Image.open(io.BytesIO(broken)) as image:
        image.load()
    assert capfd.readouterr().err  # as before


def test_names_are_shown_on_one_line(load):
    with pytest.raises(DataError) as caught:
        load(b"text", name="two\nlines\x1b[31m.png")
    assert r"two\nlines\x1b[31m.png" in str(caught.value)


# Files and sizes ----------------------------------------------------------------------------------


def test_what_is_no_regular_file_is_refused_by_name(tmp_path):
    os.mkfifo(tmp_path / "fifo.png")
    (tmp_path / "device.png").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket.png"))
        for name, kind in (("fifo", "a FIFO"), ("device", "a device"), ("socket", "a socket")):
            with pytest.raises(DataError, match=rf"{name}\.png: is {kind}"):
                load_image(tmp_path / f"{name}.png", SHAPE)


def test_a_link_to_an_image_is_an_image(tmp_path):
    (tmp_path / "picture.png").write_bytes(png(PIXELS))
    (tmp_path / "link.png").symlink_to("picture.png")
    assert np.array_equal(load_image(tmp_path / "link.png", SHAPE), PIXELS)


def test_a_file_with_more_bytes_than_an_image_has_is_refused(tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(png(PIXELS))
    os.truncate(path, 10**11)
    with pytest.raises(DamagedImageError, match=r"picture\.png.*100,000,000,000.*max_pixels"):
        load_image(path, SHAPE)


@pytest.mark.parametrize("start", [b"\xff\xd8\xff", b"GIF89a", b"P6\n#", b"BM", b"II*\0"])
def test_a_long_empty_file_is_given_up_at_once(tmp_path, start):
    path = tmp_path / "picture.png"
    path.write_bytes(start)
    os.truncate(path, 10**9)
    with pytest.raises(DamagedImageError):
        load_image(path, SHAPE)


LARGE = {
    "PNG": lambda pixels: png(pixels),
    "JPEG": lambda pixels: _saved("JPEG", pixels),
    "WEBP": lambda pixels: _saved("WEBP", pixels, lossless=True, method=0),
    "GIF": lambda pixels: _saved("GIF", pixels),
    "BMP": lambda pixels: _saved("BMP", pixels),
    "TIFF": lambda pixels: tiff(pixels),
    "compressed TIFF": lambda pixels: tiff(pixels, compressed=True),
    "PPM": lambda pixels: pnm(6, pixels, 255),
    "JPEG2000": lambda pixels: _saved("JPEG2000", pixels),
}


@pytest.mark.parametrize("name", LARGE)
def test_the_limit_on_pixels_is_ours_and_named(load, monkeypatch, name):
    content = LARGE[name](np.zeros((30, 40, 3), np.uint8))
    with pytest.raises(DamagedImageError, match=r"picture\.png.*40×30 = 1,200.*max_pixels.*1,199"):
        load(content, max_pixels=1199)
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 10)
    assert not load(content, max_pixels=1200).any()
    assert PIL.Image.MAX_IMAGE_PIXELS == 10


def test_a_header_that_promises_too_much_costs_no_memory(load):
    content = bytearray(png(PIXELS))
    header = (60000).to_bytes(4, "big") * 2 + content[24:29]
    content[8:33] = png_chunk(b"IHDR", bytes(header))
    with pytest.raises(DamagedImageError, match="3,600,000,000 pixels"):
        load(bytes(content))


MEMORY = {
    # Bytes per pixel: Pillow's own image (4 for RGB), the converted one, and some for the decoder.
    "rgb": (lambda grey: png(np.stack([grey] * 3, -1)), 5),
    "rgba": (lambda grey: png(np.stack([grey] * 4, -1)), 10),
    "16 bits": (lambda grey: png(grey.astype(np.uint16) + 60000), 7),
    "palette": (lambda grey: _saved("GIF", grey), 7),
    "transparent": (lambda grey: png(grey, before=[png_chunk(b"tRNS", b"\0\3")]), 7),
    "float": (lambda grey: tiff(grey.astype(np.float32) / 255, kind=FLOAT), 10),
    "jpeg": (lambda grey: _saved("JPEG", np.stack([grey] * 3, -1)), 5),
}
MEASURE = """
import resource, sys
from gpucnn.data import load_image
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
load_image(sys.argv[1], (4, 4, 3))
before = peak()
load_image(sys.argv[2], (4, 4, 3))
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", MEMORY)
def test_memory_is_close_to_that_of_the_image(tmp_path, name):
    make, bytes_per_pixel = MEMORY[name]
    for file, side in (("small", 8), ("large", 4000)):
        grey = np.add.outer(np.arange(side), np.arange(side)).astype(np.uint8)
        (tmp_path / file).write_bytes(make(grey))
    command = [sys.executable, "-c", MEASURE, tmp_path / "small", tmp_path / "large"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < bytes_per_pixel * 4000**2 + 20e6


# Values -------------------------------------------------------------------------------------------

COLOUR_MAP = (320, SHORT, [257 * (255 - i) for i in range(256)] * 3)
KINDS = {
    # The file, and its pixels as RGB by the definition of the format.
    "1 bit": (b"P1\n# two pixels\n2 1\n1 0\n", [[0] * 3, [255] * 3]),
    "cmyk": (
        tiff(np.array([[(255, 0, 0, 0), (0, 0, 0, 255)]], np.uint8), photometric=CMYK),
        [[0, 255, 255], [0, 0, 0]],
    ),
    "lab": (
        tiff(np.array([[(255, 0, 0), (0, 0, 0)]], np.uint8), photometric=LAB),
        [[255] * 3, [0] * 3],
    ),
    "ycbcr": (
        tiff(
            np.array([[(76, 85, 255), (255, 128, 128)]], np.uint8),
            photometric=YCBCR,
            compressed=True,
            further=[(530, SHORT, [1, 1])],
        ),
        [[254, 0, 0], [255, 255, 255]],
    ),
    "grey, white is 0": (
        tiff(np.array([[0, 200]], np.uint8), photometric=WHITE_IS_ZERO),
        [[255] * 3, [55] * 3],
    ),
    "grey and alpha": (
        tiff(np.array([[(200, 255), (200, 0)]], np.uint8), extra=(2,)),
        [[200] * 3, [0] * 3],
    ),
    "rgb times alpha": (
        tiff(np.array([[(200, 100, 50, 255), (0, 0, 0, 0)]], np.uint8), extra=(1,)),
        [[200, 100, 50], [0] * 3],
    ),
    "palette": (
        tiff(np.array([[1, 255]], np.uint8), photometric=PALETTE, further=[COLOUR_MAP]),
        [[254] * 3, [0] * 3],
    ),
    "palette and alpha": (
        tiff(
            np.array([[(1, 255), (1, 0)]], np.uint8),
            photometric=PALETTE,
            further=[COLOUR_MAP],
            extra=(2,),
        ),
        [[254] * 3, [0] * 3],
    ),
    "planes": (
        tiff(np.array([[(1, 2, 3), (4, 5, 6)]], np.uint8), planar=2),
        [[1, 2, 3], [4, 5, 6]],
    ),
}


@pytest.mark.parametrize(("content", "expected"), KINDS.values(), ids=KINDS)
def test_kinds_of_pixels(load, content, expected):
    assert np.abs(load(content, (1, 2, 3))[0].astype(int) - expected).max() <= 1


ORDERS = [(order, compressed) for order in "<>" for compressed in (False, True)]


@pytest.mark.parametrize(("order", "compressed"), ORDERS)
def test_floats_from_0_to_1_are_as_their_twins_of_8_bits(load, order, compressed):
    twin = np.arange(256, dtype=np.uint8).reshape(1, -1)
    content = tiff(np.float32(twin) / 255, order, kind=FLOAT, compressed=compressed)
    assert _grey(load, content, 256) == list(range(256))


@pytest.mark.parametrize(("order", "compressed"), ORDERS)
def test_16_bits_keep_their_upper_byte(load, order, compressed):
    grey = np.array([[0, 255, 256, 65535]], np.uint16)
    assert _grey(load, tiff(grey, order, compressed=compressed), 4) == [0, 0, 1, 255]
    colour = np.array([[(0, 256, 65535), (255, 4096, 511)]], np.uint16)
    loaded = load(tiff(colour, order, compressed=compressed), (1, 2, 3))
    assert loaded.tolist() == [[[0, 1, 255], [0, 16, 1]]]


def _wide(channels, largest):
    """16-bit pixels whose colours reach ``largest`` and whose alpha is full."""
    pixels = np.array([[[0, largest // 2, largest][:channels] or [largest]] * 2], np.uint16)
    pixels[0, :, 0] = [largest, largest // 3]
    return pixels


DARK = {
    "png": lambda largest: png(np.array([[largest, 1]], np.uint16)),
    "tiff": lambda largest: tiff(np.array([[largest, 1]], np.uint16)),
    "tiff, swapped": lambda largest: tiff(np.array([[largest, 1]], np.uint16), ">"),
    "pgm": lambda largest: pnm(5, np.array([[largest, 1]]), 65535),
    "plain pgm": lambda largest: pnm(2, np.array([[largest, 1]]), 65535),
    "colour png": lambda largest: png(_wide(3, largest)),
    "grey alpha png": lambda largest: png(np.array([[(largest, 65535), (0, 9)]], np.uint16)),
    "alpha png": lambda largest: png(np.array([[(largest, 0, 0, 65535), (1, 1, 1, 9)]], np.uint16)),
    "colour tiff": lambda largest: tiff(_wide(3, largest)),
    "colour tiff, swapped": lambda largest: tiff(_wide(3, largest), ">"),
    "compressed colour tiff": lambda largest: tiff(_wide(3, largest), ">", compressed=True),
    "cmyk tiff": lambda largest: tiff(
        np.array([[(largest, 0, 0, 0), (1, 1, 1, 1)]], np.uint16), photometric=CMYK
    ),
    "ppm": lambda largest: pnm(6, _wide(3, largest), 65535),
}


@pytest.mark.parametrize("largest", [1, 255, 4095])
@pytest.mark.parametrize("name", DARK)
def test_16_bits_that_would_come_out_black_are_refused(load, name, largest):
    with pytest.raises(DataError, match=rf"picture\.png.*largest is {largest};.*data\.range"):
        load(DARK[name](largest), (1, 2, 3))


@pytest.mark.parametrize("name", DARK)
def test_16_bits_can_be_scaled_from_a_range(load, name):
    loaded = load(DARK[name](4095), (1, 2, 3), value_range=(0, 4095))
    extreme = 0 if name == "cmyk tiff" else 255
    assert extreme in loaded
    with pytest.raises(DataError, match=r"picture\.png.*value 4095.*data\.range = \[0, 4000\]"):
        load(DARK[name](4095), (1, 2, 3), value_range=(0, 4000))


@pytest.mark.parametrize("make", [png, tiff], ids=["png", "tiff"])
def test_each_sample_of_16_bits_is_scaled_exactly(load, make):
    rng = np.random.default_rng(1)
    for channels in (1, 3):
        pixels = rng.integers(0, 4096, (5, 7, channels)).astype(np.uint16)
        loaded = load(make(pixels), (5, 7, channels), value_range=(0, 4095))
        assert np.array_equal(loaded, np.rint(pixels / 4095 * 255))


def test_16_bits_of_0_alone_are_black(load):
    for pixels in (np.zeros((1, 2, 3), np.uint16), np.zeros((1, 2), np.uint16)):
        assert not load(png(pixels), (1, 2, 3)).any()


def test_the_largest_value_of_a_header_says_what_is_white(load):
    assert _grey(load, pnm(5, np.array([[0, 4095]]), 4095), 2) == [0, 255]
    assert _grey(load, pnm(2, np.array([[0, 4095]]), 4095), 2) == [0, 255]
    assert load(pnm(6, np.array([[(0, 0, 1000)]]), 1000), (1, 1, 3)).tolist() == [[[0, 0, 255]]]
    twelve_bits = tiff(np.array([[0, 4095, 160, 16]], np.uint16), bits=12)
    assert _grey(load, twelve_bits, 4) == [0, 255, 10, 1]


def test_white_may_be_0(load):
    wide = tiff(np.array([[0, 65535]], np.uint16), photometric=WHITE_IS_ZERO)
    real = tiff(np.array([[0, 1]], np.float32), photometric=WHITE_IS_ZERO, kind=FLOAT)
    assert _grey(load, wide, 2) == _grey(load, real, 2) == [255, 0]


WITHOUT_A_RANGE = {
    "int32": (np.int32, SIGNED, (0, 1000)),
    "int16": (np.int16, SIGNED, (-1000, 3000)),
    "uint32": (np.uint32, 1, (0, 2**32 - 1)),
    "int8": (np.int8, SIGNED, (-128, 127)),
    "floats beyond 1": (np.float32, FLOAT, (0, 255)),
    "floats below 0": (np.float32, FLOAT, (-1, 1)),
}


@pytest.mark.parametrize(("order", "compressed"), ORDERS)
@pytest.mark.parametrize("name", WITHOUT_A_RANGE)
def test_values_without_a_known_range_need_one(load, name, order, compressed):
    dtype, kind, (low, high) = WITHOUT_A_RANGE[name]
    if (dtype == np.uint32 and order == ">") or (dtype == np.int8 and kind == 1):
        pytest.skip("Pillow does not read it")
    pixels = np.array([[low, high]]).astype(dtype)
    content = tiff(pixels, order, BLACK_IS_ZERO, kind, compressed)
    with pytest.raises(DataError, match=r"picture\.png.*data\.range") as caught:
        load(content, (1, 2, 1))
    assert not isinstance(caught.value, DamagedImageError)
    assert _grey(load, content, 2, value_range=(low, high)) == [0, 255]


@pytest.mark.parametrize("value_range", [None, (0, 1)])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_damage(load, value, value_range):
    content = tiff(np.array([[0.5, value]], np.float32), kind=FLOAT)
    with pytest.raises(DamagedImageError, match=r"picture\.png.*not finite"):
        load(content, (1, 2, 1), value_range=value_range)


def test_a_range_does_not_change_8_bits(load):
    assert np.array_equal(load(png(PIXELS), value_range=(0, 100)), PIXELS)


def test_a_transparent_colour_of_16_bits_is_black(load):
    key = png_chunk(b"tRNS", (300).to_bytes(2, "big"))
    assert _grey(load, png(np.array([[300, 301, 65535]], np.uint16), [key]), 3) == [0, 1, 255]
    key = png_chunk(b"tRNS", (60000).to_bytes(2, "big") * 3)
    content = png(np.array([[(60000,) * 3, (60001,) * 3]], np.uint16), [key])
    assert load(content, (1, 2, 3)).tolist() == [[[0] * 3, [234] * 3]]


def test_16_bits_in_planes_are_refused(load):
    with pytest.raises(DataError, match="planes"):
        load(tiff(np.full((2, 2, 3), 60000, np.uint16), planar=2), (2, 2, 3))


@pytest.mark.parametrize("C", [1, 3])
def test_bands_leave_no_trace(load, monkeypatch, C):
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 256, (23, 9, 4), np.uint8)
    wide = tiff(rng.integers(0, 65536, (23, 9)).astype(np.uint16))
    shape = (23, 9, C)
    whole = [load(png(pixels), shape), load(wide, shape)]
    monkeypatch.setattr("gpucnn.data.sample_values._BAND_BYTES", 9 * 4 * 5)
    assert np.array_equal(load(png(pixels), shape), whole[0])
    assert np.array_equal(load(wide, shape), whole[1])


def test_a_view_of_pieces_is_a_file(tmp_path):
    path = tmp_path / "file"
    content = bytes(range(256)) * 8
    path.write_bytes(content)
    with path.open("rb") as file:
        pieces = metadata._Pieces(file, [range(10, 30), b"abc", range(0, 0), range(100, 2048)])
        expected = content[10:30] + b"abc" + content[100:]
        with io.BufferedReader(pieces, 16) as stream:
            assert stream.read() == expected
            for start, length in ((0, 5), (18, 10), (22, 1), (23, 500), (1960, 100), (5000, 3)):
                stream.seek(start)
                assert stream.read(length) == expected[start : start + length]
            assert stream.seek(-3, os.SEEK_END) == len(expected) - 3
            assert stream.read() == expected[-3:]
