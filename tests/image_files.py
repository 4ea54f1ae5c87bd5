"""Image files made byte by byte, without Pillow, from arrays whose values are thereby known."""

import struct
import zlib

import numpy as np

UNSIGNED, SIGNED, FLOAT = 1, 2, 3
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, LAB = 0, 1, 2, 3, 5, 6, 8
SHORT, LONG, RATIONAL, TEXT = 3, 4, 5, 2


def png_chunk(name, content):
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )


def png(pixels, before=(), after=()):
    """8 or 16 bits; 1 to 4 channels. Further chunks stand before and after the pixels."""
    height, width = pixels.shape[:2]
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    bits = 8 * pixels.dtype.itemsize
    rows = pixels.astype(pixels.dtype.newbyteorder(">"))
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            png_chunk(b"IHDR", header),
            *before,
            png_chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))),
            *after,
            png_chunk(b"IEND", b""),
        )
    )


def directory(entries, start, order):
    """A TIFF directory that begins at ``start``, from (tag, type, values or bytes)."""
    count = len(entries)
    place = start + 2 + 12 * count + 4
    fixed, further = struct.pack(order + "H", count), b""
    for tag, kind, values in sorted(entries, key=lambda entry: entry[0]):
        if isinstance(values, bytes):
            data, number = values, len(values) // {RATIONAL: 8}.get(kind, 1)
        else:
            data = struct.pack(f"{order}{len(values)}{'H' if kind == SHORT else 'I'}", *values)
            number = len(values)
        if len(data) > 4:
            here, further = place + len(further), further + data + b"\0" * (len(data) % 2)
            data = struct.pack(order + "I", here)
        fixed += struct.pack(order + "HHI", tag, kind, number) + data.ljust(4, b"\0")
    return fixed + b"\0\0\0\0" + further


def tiff(
    pixels,
    order="<",
    photometric=None,
    kind=UNSIGNED,
    compressed=False,
    extra=(),
    bits=None,
    further=(),
    planar=1,
):
    """One strip, after an 8-byte header; the directory comes last."""
    height, width = pixels.shape[:2]
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    if photometric is None:
        photometric = RGB if channels >= 3 else BLACK_IS_ZERO
    raw = pixels.astype(pixels.dtype.newbyteorder(order))
    data = (np.moveaxis(raw, 2, 0) if planar == 2 else raw).tobytes()
    if bits == 12:  # two values in three bytes
        pairs = pixels.reshape(-1, 2).astype(np.uint32)
        packed = pairs[:, 0] << 12 | pairs[:, 1]
        data = b"".join(int(value).to_bytes(3, "big") for value in packed)
    data = zlib.compress(data) if compressed else data
    data += b"\0" * (len(data) % 2)
    bits = bits or 8 * pixels.dtype.itemsize
    plane = len(data) // channels
    strips = [8 + plane * k for k in range(channels)] if planar == 2 else [8]
    entries = [
        (256, SHORT, [width]),
        (257, SHORT, [height]),
        (258, SHORT, [bits] * channels),
        (259, SHORT, [8 if compressed else 1]),
        (262, SHORT, [photometric]),
        (273, LONG, strips),
        (277, SHORT, [channels]),
        (278, SHORT, [height]),
        (279, LONG, [len(data) // len(strips)] * len(strips)),
        (284, SHORT, [planar]),
        (339, SHORT, [kind] * channels),
        *([(338, SHORT, list(extra))] if extra else []),
        *further,
    ]
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8 + len(data))
    return head + data + directory(entries, 8 + len(data), order)


def exif(entries, order=">"):
    """An EXIF block with a directory of these entries."""
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    return b"Exif\0\0" + head + directory(entries, 8, order)


def with_segment(jpeg, marker, content):
    """A JPEG file with one more segment, right after its start."""
    return jpeg[:2] + struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content + jpeg[2:]


def pnm(kind, pixels, largest):
    """``kind`` is the digit in P1 … P6."""
    height, width = pixels.shape[:2]
    head = f"P{kind}\n# a comment\n{width} {height}\n{largest}\n".encode()
    if kind in (2, 3):
        return head + " ".join(str(value) for value in pixels.reshape(-1)).encode() + b"\n"
    return head + pixels.astype(">u2" if largest > 255 else "u1").tobytes()
