"""Images that lie in a larger file, and are named like files."""

from __future__ import annotations

import io
import os
import weakref
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from gpucnn.emulator.scratch import scratch_folder
from gpucnn.files import open_regular


class Container:
    """A file with images one after another, which is removed when nothing refers to it any more.

    It is in the system's folder for temporary files; ``path`` says where. ``remove()`` removes it
    at once.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self) -> None:
        with ExitStack() as stack:
            self.path = str(stack.enter_context(scratch_folder()) / "images")
            Path(self.path).touch()
            self.remove = weakref.finalize(self, stack.pop_all().close)

    def __getstate__(self) -> dict[str, str]:
        """For the processes that decode, which remove nothing."""
        return {"path": self.path}


class ImageWithin(str):
    """What messages call an image in a container. It is used in place of the path of a file.

    Attributes:
        container: where it lies.
        offset, size: of its bytes.
    """

    container: Container
    offset: int
    size: int

    @classmethod
    def of(cls, name: str, container: Container, offset: int, size: int) -> ImageWithin:
        """The image at a place in a container."""
        image = cls(name)
        image.container, image.offset, image.size = container, offset, size
        return image

    def read(self, first: int, count: int) -> bytes:
        """Bytes of it; fewer at its end.

        Raises:
            OSError: the container cannot be read.
        """
        with open_regular(self.container.path) as file:
            count = max(0, min(count, self.size - first))
            return os.pread(file.fileno(), count, self.offset + first)


def open_image_file(path: str) -> tuple[BinaryIO, int]:
    """An image file, or an image in a container, opened for reading; and its size.

    Raises:
        NotRegularFileError: it is something else.
        OSError: the system refuses.
    """
    if isinstance(path, ImageWithin):
        return io.BytesIO(path.read(0, path.size)), path.size
    file = open_regular(path)
    return file, os.fstat(file.fileno()).st_size


def middle(path: str, most: int) -> tuple[int, bytes]:
    """The size of an image file, or of an image in a container, and the bytes in its middle.

    Args:
        path: of the file.
        most: bytes to read.

    Raises:
        OSError: the system refuses.
    """
    if isinstance(path, ImageWithin):
        return path.size, path.read(max(0, path.size - most) // 2, most)
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        return size, os.pread(file.fileno(), most, max(0, size - most) // 2)
