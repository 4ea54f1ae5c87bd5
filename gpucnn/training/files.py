"""Writing a run's files, with errors that say what to do."""

from __future__ import annotations

import errno
from pathlib import Path

from gpucnn import files
from gpucnn.errors import CheckpointError


def write_atomically(path: Path, content: bytes) -> None:
    """As ``gpucnn.files.write_atomically``.

    Raises:
        CheckpointError: the system refuses (a full disk, no permission); an older file of that
            name is untouched.
    """
    try:
        files.write_atomically(path, content)
    except OSError as error:
        raise cannot_write(path, error) from None


def cannot_write(path: Path, error: OSError) -> CheckpointError:
    """The error for a file that the system does not let us write."""
    advice = (
        "free some space"
        if error.errno in (errno.ENOSPC, errno.EDQUOT)
        else "check its permissions, or choose another place with --run-dir"
    )
    return CheckpointError(f"{path}: cannot be written ({error.strerror}); {advice}")
