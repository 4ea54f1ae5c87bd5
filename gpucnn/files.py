"""Writing files so that a crash leaves either the old one or the new one, whole."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

_SUFFIX = ".unfinished"


def write_atomically(path: Path, content: bytes) -> None:
    """Writes to a temporary file beside ``path``, fsyncs, renames, and fsyncs the folder.

    Threads and processes may write the same file: it is that of the last, and whole.

    Raises:
        OSError: the system refuses; an older file of that name is untouched.
    """
    temporary = path.with_name(f"{path.name[:32]}.{secrets.token_hex(4)}{_SUFFIX}")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    sync(path.parent)


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
