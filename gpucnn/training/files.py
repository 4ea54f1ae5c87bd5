"""Writing files so that a crash leaves either the old one or the new one, whole."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from gpucnn.errors import CheckpointError

_SUFFIX = ".unfinished"


def write_atomically(path: Path, content: bytes) -> None:
    """Writes to a temporary file beside ``path``, fsyncs, renames, and fsyncs the folder.

    Raises:
        CheckpointError: the system refuses (a full disk, no permission); an older file of that
            name is untouched.
    """
    temporary = path.with_name(path.name + _SUFFIX)
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise cannot_write(path, error) from None


def cannot_write(path: Path, error: OSError) -> CheckpointError:
    """The error for a file that the system does not let us write."""
    advice = (
        "free some space"
        if error.errno in (errno.ENOSPC, errno.EDQUOT)
        else "check its permissions, or choose another place with --run-dir"
    )
    return CheckpointError(f"{path}: cannot be written ({error.strerror}); {advice}")


def sync(path: Path) -> None:
    """Makes durable what was written to a file, or which files there are in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_unfinished(folder: Path) -> None:
    """Deletes what a killed process left half written."""
    for path in folder.glob(f"*{_SUFFIX}"):
        path.unlink(missing_ok=True)
