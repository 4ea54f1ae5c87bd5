"""The files of a run folder: links are never followed, and errors say what to do.

A run folder may have been copied, unpacked or shared by others. So only regular files are opened
in it, and each only if it is no larger than such a file can be.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from gpucnn import files
from gpucnn.errors import CheckpointError
from gpucnn.files import FileTooLargeError, NotRegularFileError
from gpucnn.text import shown


def write(path: Path, content: bytes) -> None:
    """As ``gpucnn.files.write_atomically``.

    Raises:
        CheckpointError: the system refuses (a full disk, no permission); an older file of that
            name is untouched.
    """
    try:
        files.write_atomically(path, content)
    except OSError as error:
        raise cannot_write(path, error) from None


def read(path: Path, most: int) -> bytes:
    """The content of a file of at most ``most`` bytes.

    Raises:
        CheckpointError: it is missing, larger, not a regular file, or cannot be read.
    """
    try:
        return files.read_regular(path, most, follow_links=False)
    except OSError as error:
        raise cannot_read(path, error) from None


def append(path: Path, content: bytes) -> int:
    """Adds to the end of a file, which is made if it is missing; returns its length then.

    Raises:
        CheckpointError: it is not a regular file, or cannot be written.
    """
    try:
        with files.open_for_writing(path) as file:
            file.write(content)
            return file.tell()
    except OSError as error:
        raise cannot_write(path, error) from None


def truncate_lines(path: Path, length: int, longest: int) -> None:
    """Cuts a file of lines after the last complete one that ends within ``length`` bytes.

    So what is appended begins a line of its own, also if the file was cut or changed. Nothing to
    do if it is missing.

    Args:
        path: of the file.
        length: the bytes to keep at most.
        longest: bytes of the longest line; there is no looking further back for a line's end.

    Raises:
        CheckpointError: it is not a regular file, or cannot be read or written.
    """
    try:
        if not os.path.lexists(path):
            return
        with files.open_regular(path, follow_links=False) as file:
            size = os.fstat(file.fileno()).st_size
            start = max(0, min(size, length) - longest)
            file.seek(start)
            end = start + file.read(min(size, length) - start).rfind(b"\n") + 1
        if end < size:
            with files.open_for_writing(path) as file:
                file.truncate(end)
    except OSError as error:
        raise cannot_write(path, error) from None


def cannot_write(path: Path, error: OSError) -> CheckpointError:
    """The error for a file that cannot be written."""
    if isinstance(error, NotRegularFileError):
        return _not_a_file(path, error)
    if isinstance(error, IsADirectoryError):  # a file cannot be renamed to the name of a folder
        return _not_a_file(path, NotRegularFileError(error.errno, "is a folder, not a file"))
    advice = (
        "free some space"
        if error.errno in (errno.ENOSPC, errno.EDQUOT)
        else "check its permissions, or choose another place with --run-dir"
    )
    return CheckpointError(f"{shown(path)}: cannot be written ({error.strerror}); {advice}")


def cannot_read(path: Path, error: OSError) -> CheckpointError:
    """The error for a file that cannot be read."""
    if isinstance(error, FileNotFoundError):
        return CheckpointError(f"{shown(path)} is missing; the run folder is incomplete")
    if isinstance(error, NotRegularFileError):
        return _not_a_file(path, error)
    if isinstance(error, FileTooLargeError):
        return CheckpointError(f"{shown(path)} is damaged: it {error.strerror}")
    return CheckpointError(
        f"{shown(path)}: cannot be read ({error.strerror}); check its permissions"
    )


def _not_a_file(path: Path, error: NotRegularFileError) -> CheckpointError:
    return CheckpointError(
        f"{shown(path)} {error.strerror}; in a run folder only files are opened: replace it by the "
        f"file itself, or remove it"
    )
