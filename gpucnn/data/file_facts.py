"""What image files are, one by one, for ``gpucnn data check``; found out in worker processes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np

from gpucnn.data.decoding import OpenedImage, open_image
from gpucnn.data.image_formats import FORMATS
from gpucnn.data.image_within import ImageWithin
from gpucnn.data.pillow_state import quiet_pillow
from gpucnn.data.sample_values import ValueRange, boxes
from gpucnn.errors import DataError

DIGEST_BYTES = 16
"""Enough that two different images do not have the same digest by chance."""
_EXTENSIONS = {known.name: known.extensions for known in FORMATS}


@dataclass(frozen=True)
class FileFacts:
    """An intact image file.

    Attributes:
        size: (H, W).
        mode: Pillow's name for what the file has, such as "RGB", "P" or "I;16".
        format: by its content.
        is_misnamed: whether its extension is one of another format.
        is_constant: whether all pixels have one colour.
        digest: of the size and the pixels in RGB, so a copy in another format has the same one.
    """

    size: tuple[int, int]
    mode: str
    format: str
    is_misnamed: bool
    is_constant: bool
    digest: bytes


def file_facts(
    paths: Sequence[str], max_pixels: int, value_range: ValueRange | None
) -> list[FileFacts | DataError]:
    """The facts of some files; for each that cannot be used, why not.

    Args:
        paths: of the files.
        max_pixels, value_range: as those of ``load_image``.
    """
    found: list[FileFacts | DataError] = []
    with quiet_pillow(max_pixels):
        for path in paths:
            try:
                found.append(_facts(path, open_image(path, "RGB", max_pixels, value_range)))
            except DataError as error:
                found.append(error)
    return found


def _facts(path: str, opened: OpenedImage) -> FileFacts:
    image = opened.image
    size = (image.height, image.width)
    digest = hashlib.blake2b(f"{size}".encode(), digest_size=DIGEST_BYTES)
    for box in boxes(image):
        digest.update(np.asarray(image.crop(box)).data)
    return FileFacts(
        size=size,
        mode=opened.mode,
        format=opened.format,
        is_misnamed=not isinstance(path, ImageWithin)
        and PurePath(path).suffix.lower() not in _EXTENSIONS[opened.format],
        is_constant=all(low == high for low, high in image.getextrema()),  # type: ignore[misc]
        digest=digest.digest(),
    )
