"""Decoding image files, in this process or in several."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gpucnn.errors import DataError
from gpucnn.processor import available_cores

Fit: TypeAlias = Literal["crop", "stretch"]

_ENDINGS = frozenset(
    [".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".pnm", ".tif", ".tiff", ".webp", ".avif"]
)
_CHUNK = 128
_WORTH_PROCESSES = 512
"""Below so many files, starting processes takes longer than decoding."""


def is_image(path: Path) -> bool:
    """Whether a file's name says that it is an image, and it is not hidden."""
    return path.suffix.lower() in _ENDINGS and not path.name.startswith(".")


def load_image(
    path: Path, image_shape: tuple[int, int, int], fit: Fit = "crop"
) -> NDArray[np.uint8]:
    """An image as uint8 (H, W, C), resized to fit; C is 1 (grey) or 3 (colour).

    Args:
        path: the file.
        image_shape: (H, W, C).
        fit: "crop" scales the image to cover H×W and cuts out the middle; "stretch" distorts it.

    Raises:
        DataError: the file cannot be read or decoded, or Pillow is not installed.
    """
    H, W, C = image_shape
    return decode(path, (H, W), C, fit)


def decode(path: Path, size: tuple[int, int] | None, channels: int, fit: Fit) -> NDArray[np.uint8]:
    """As ``load_image``; a ``size`` of None leaves the image as large as it is."""
    pillow = _pillow()
    ops = sys.modules["PIL.ImageOps"]
    try:
        with pillow.open(path) as file:
            image = ops.exif_transpose(file)
            if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
                image = image.convert("RGBA")
                image = pillow.alpha_composite(pillow.new("RGBA", image.size, "black"), image)
            elif image.mode.startswith("I"):  # 16 bits a pixel, which convert would cut off
                image = image.point(lambda value: value / 257).convert("L")
            image = image.convert("L" if channels == 1 else "RGB")
            if size is not None and image.size != size[::-1]:
                image = _resized(image, size, fit)
            return np.asarray(image, np.uint8).reshape(image.height, image.width, channels)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such image") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder, not an image") from None
    except PermissionError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except (OSError, SyntaxError, ValueError, pillow.DecompressionBombError) as error:
        raise DataError(f"{path}: not an image, or a damaged one ({error})") from None


def _resized(image, size: tuple[int, int], fit: Fit):  # type: ignore[no-untyped-def]
    height, width = size
    if fit == "stretch":
        return image.resize((width, height))
    return sys.modules["PIL.ImageOps"].fit(image, (width, height))


def _pillow() -> ModuleType:
    try:
        import PIL.Image
        import PIL.ImageOps
    except ImportError:
        raise DataError(
            'images are decoded by Pillow, which is not installed: pip install "gpucnn[images]"'
        ) from None
    return PIL.Image


class Decoder:
    """Decodes lists of files, in worker processes where that pays.

    Args:
        size: (H, W) of the result, or None to leave each image as large as it is.
        channels: 1 or 3.
        fit: see ``load_image``.
        workers: processes; None for as many as there are cores, 0 for none.
    """

    def __init__(
        self, size: tuple[int, int] | None, channels: int, fit: Fit, workers: int | None
    ) -> None:
        self.size, self.channels, self.fit = size, channels, fit
        self.workers = available_cores() if workers is None else workers

    def __call__(self, paths: Sequence[Path]) -> Iterator[list[NDArray[np.uint8] | DataError]]:
        """Yields the files in order, a chunk at a time: each as pixels, or as the error."""
        chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
        if self.workers == 0 or len(paths) < _WORTH_PROCESSES:
            yield from map(self.decode_all, chunks)
            return
        context = multiprocessing.get_context("forkserver")
        with ProcessPoolExecutor(self.workers, context, _ignore_interrupt) as pool:
            yield from pool.map(self.decode_all, chunks)

    def decode_all(self, paths: Iterable[Path]) -> list[NDArray[np.uint8] | DataError]:
        """Decodes files one after another."""
        return [self._decode(path) for path in paths]

    def _decode(self, path: Path) -> NDArray[np.uint8] | DataError:
        try:
            return decode(path, self.size, self.channels, self.fit)
        except DataError as error:
            return error


def _ignore_interrupt() -> None:
    """Ctrl-C goes to all processes of a terminal; only the first is to answer it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
