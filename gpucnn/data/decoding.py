"""One image file to one array of bytes, through Pillow.

Pillow is imported where it is used: only image folders and single images need it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gpucnn.errors import DataError, install_advice

if TYPE_CHECKING:
    from PIL.Image import Image

Fit: TypeAlias = Literal["crop", "stretch"]

_MODES = {1: "L", 3: "RGB"}


class DamagedImageError(DataError):
    """A file that is there and readable, but does not hold an image."""


def require_pillow() -> None:
    """Raises DataError where Pillow is not installed, with the command that installs it."""
    try:
        import PIL.Image  # noqa: F401
    except ImportError:
        raise DataError(
            f"image files need Pillow, which is not installed; {install_advice('images')}"
        ) from None


def load_image(
    path: str | Path, image_shape: tuple[int, int, int], fit: Fit = "crop"
) -> NDArray[np.uint8]:
    """Reads one image as the data sets do.

    The orientation that a camera noted is applied, what is transparent becomes black, and
    16-bit grey keeps its upper 8 bits.

    Args:
        path: a file in a format that Pillow reads; of several frames, the first counts.
        image_shape: (H, W, C) of the result; C = 1 for grey, 3 for RGB.
        fit: "crop" scales to cover (H, W) and cuts off equally at both ends of the side that is
            too long; "stretch" scales each side by itself.

    Returns:
        uint8 (H, W, C).

    Raises:
        DataError: the file is missing, cannot be read, or is not an image; or Pillow is missing.
    """
    require_pillow()
    return decode_image(str(path), image_shape, fit)


def decode_image(
    path: str, image_shape: tuple[int, int, int], fit: Fit | None
) -> NDArray[np.uint8]:
    """As ``load_image``; with ``fit`` None, the image must have the size (H, W) already."""
    H, W, C = image_shape
    image = _open(path, C)
    if (image.height, image.width) != (H, W):
        if fit is None:
            raise DataError(
                f"{path}: is {image.height}×{image.width}, but the first image is {H}×{W} "
                "(height×width); set data.size to bring all images to one size"
            )
        image = _resized(image, H, W, fit)
    return np.asarray(image, np.uint8).reshape(H, W, C)


def image_size(path: str) -> tuple[int, int]:
    """The size (H, W) of an image file, which is decoded to be sure of it.

    Raises:
        DataError: as ``load_image``.
    """
    image = _open(path, C=1)
    return image.height, image.width


def _open(path: str, C: int) -> Image:
    """The whole image, upright and in the mode for C channels."""
    import PIL.Image
    import PIL.ImageOps

    try:
        with Path(path).open("rb") as file, PIL.Image.open(file) as image:
            image.load()
            return _flattened(PIL.ImageOps.exif_transpose(image), _MODES[C])
    except PIL.UnidentifiedImageError:
        size = Path(path).stat().st_size
        problem = "is not an image in a known format" if size else "is empty"
        raise DamagedImageError(f"{path}: {problem}; remove or replace it") from None
    except OSError as error:
        if error.errno is not None:  # the operating system's, while Pillow's own have no number
            raise DataError(
                f"{path}: cannot be read ({error.strerror}); check the path and its permissions"
            ) from None
        raise _damaged(path, error) from None
    except (SyntaxError, ValueError, EOFError, PIL.Image.DecompressionBombError) as error:
        raise _damaged(path, error) from None


def _damaged(path: str, error: Exception) -> DamagedImageError:
    return DamagedImageError(f"{path}: cannot be decoded ({error}); remove or replace it")


def _flattened(image: Image, mode: str) -> Image:
    """The image in ``mode``, with what is transparent laid over black."""
    import PIL.Image

    if image.mode.startswith("I"):
        # Pillow's own conversion clips at 255 in some versions.
        values = np.clip(np.asarray(image).astype(np.int64), 0, 0xFFFF)
        image = PIL.Image.fromarray((values >> 8).astype(np.uint8))
    elif image.has_transparency_data:
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
