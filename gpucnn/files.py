"""Files that survive a crash, and files that are what they seem to be.

Writing: a crash at any instant leaves either the old file or the new one, whole. Reading: only
regular files are opened, so that neither a FIFO nor a device can block or flood the reader, and no
more is read than the caller expects.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from gpucnn.text import shown, warn_once

_SUFFIX = ".unfinished"
_NOT_SUPPORTED = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
"""What fsync answers on a file system that cannot do it, as some network and FUSE ones do."""
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class NotRegularFileError(OSError):
    """A path that leads to something other than a regular file; ``strerror`` says to what."""


class FileTooLargeError(OSError):
    """A file that is larger than its reader expects; ``strerror`` gives both sizes."""


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a whole file, as ``atomic_file`` does.

    Raises:
        OSError: the system refuses; an older file of that name is untouched.
    """
    with atomic_file(path) as file:
        file.write(content)


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A temporary file next to ``path``; in the end it is fsynced and renamed, then the folder is.

    If threads or processes write the same file at once, one of their versions remains, whole. If
    the block raises, nothing remains of what it wrote.

    Raises:
        OSError: the system refuses; an older file of that name is untouched.
    """
    temporary = path.with_name(f"{path.name[:32]}.{secrets.token_hex(4)}{_SUFFIX}")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            fsync(file.fileno(), path)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    sync(path.parent)


def fsync(descriptor: int, path: Path) -> None:
    """Makes an open file or folder durable, or warns once if its file system cannot do that.

    Raises:
        OSError: the system failed to write, as on a full or broken disk.
    """
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise
        folder = path if path.is_dir() else path.parent
        warn_once(
            f"{shown(folder)}: this file system cannot sync ({error.strerror}), so a power cut may "
            f"lose what was saved last; training continues"
        )


def sync(path: Path) -> None:
    """Makes durable what was written to a file, or the list of files in a folder.

    Raises:
        OSError: as ``fsync``, or the path cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fsync(descriptor, path)
    finally:
        os.close(descriptor)


def remove_unfinished(folder: Path) -> None:
    """Deletes the temporary files of processes that were killed while they wrote."""
    for path in folder.glob(f"*{_SUFFIX}"):
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)


def is_unfinished(name: str) -> bool:
    """Whether a file of this name is a temporary file of ``write_atomically``."""
    return name.endswith(_SUFFIX)


def open_regular(path: str | Path, follow_links: bool = True) -> BinaryIO:
    """Opens a regular file for reading, without waiting for whatever else may be there.

    Args:
        path: of the file.
        follow_links: whether its last component may be a symbolic link.

    Raises:
        NotRegularFileError: it is something else.
        OSError: the system refuses.
    """
    return os.fdopen(_open(path, os.O_RDONLY, follow_links), "rb")


def open_for_writing(path: str | Path) -> BinaryIO:
    """Opens a regular file to append to or truncate; it is made if missing. No link is followed.

    Raises:
        NotRegularFileError: there is something else, such as a symbolic link.
        OSError: the system refuses.
    """
    return os.fdopen(_open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, False), "ab")


def _open(path: str | Path, flags: int, follow_links: bool) -> int:
    """A descriptor of a regular file; anything else is closed again."""
    flags |= os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow_links else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        # A link that may not be followed gives ELOOP, a FIFO or socket ENXIO, a folder EISDIR.
        kind = kind_of(path, follow_links)
        if kind and error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise NotRegularFileError(error.errno, f"is {kind}, not a file", str(path)) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        kind = kind_of(path, follow_links) or "something else"
        raise NotRegularFileError(errno.EINVAL, f"is {kind}, not a file", str(path))
    return descriptor


def kind_of(path: str | Path, follow_links: bool = True) -> str:
    """What a path leads to, such as "a FIFO"; empty for a regular file, or for nothing."""
    try:
        mode = Path(path).stat(follow_symlinks=follow_links).st_mode
    except OSError:
        return ""
    return next((name for is_kind, name in _KINDS if is_kind(mode)), "")


def read_regular(path: str | Path, most: int, follow_links: bool = True) -> bytes:
    """The content of a regular file of at most ``most`` bytes; its size is looked at first.

    Raises:
        NotRegularFileError: it is something else.
        FileTooLargeError: it is larger; nothing was read.
        OSError: the system refuses.
    """
    with open_regular(path, follow_links) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            reason = f"has {size:,} bytes, {most:,} at most are expected"
            raise FileTooLargeError(errno.EFBIG, reason, str(path))
        return file.read(size + 1)[:most]  # a buffer of that size, not of the size allowed
