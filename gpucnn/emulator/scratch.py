"""Temporary files that are removed even if the process that made them is killed.

Whoever makes one holds a lock on it (``flock``), which the system releases when the process ends,
however it ends. A file or folder that nobody has locked is abandoned, and is removed by the next
process that looks. No ages are compared, so one that is in use is never taken for abandoned. Where
a file system has no locks, nothing is removed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "gpucnn-scratch-"
"""How the names of scratch folders begin."""


def lock(descriptor: int) -> bool:
    """Locks an open file or folder until it is closed, unless another process has locked it.

    Returns:
        Whether it is locked now; False also if the file system has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def is_removed(descriptor: int, path: Path) -> bool:
    """Whether a path no longer leads to the open file or folder."""
    try:
        return not os.path.samestat(os.fstat(descriptor), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return True


@contextmanager
def scratch_folder(within: Path | None = None) -> Iterator[Path]:
    """A folder that only this user can enter, for as long as the block lasts.

    Args:
        within: where it is made; None for the system's folder for temporary files.

    Raises:
        OSError: it cannot be made.
    """
    path, descriptor = _make_folder(within)
    try:
        yield path
    finally:
        _remove_folder(path, descriptor)


def scratch_folder_of(owner: object) -> Path:
    """The same, for as long as an object lasts.

    Raises:
        OSError: it cannot be made.
    """
    path, descriptor = _make_folder()
    weakref.finalize(owner, _remove_folder, path, descriptor)
    return path


def remove_abandoned_folders(within: Path | None = None) -> None:
    """Removes the scratch folders of this user's processes that were killed.

    Args:
        within: where they are; None for the system's folder for temporary files.
    """
    remove_abandoned(
        within or Path(tempfile.gettempdir()),
        lambda name: name.startswith(PREFIX),
        lambda path: shutil.rmtree(path, ignore_errors=True),
    )


def remove_abandoned(
    folder: Path, is_ours: Callable[[str], bool], remove: Callable[[Path], object]
) -> None:
    """Removes the files or folders in a folder that this user's processes made and nobody locks.

    What cannot be looked at or removed is left.

    Args:
        folder: where they are.
        is_ours: which names they have.
        remove: removes one.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        names = [entry.name for entry in entries if is_ours(entry.name)]
    for name in names:
        with suppress(OSError):
            _remove_if_abandoned(folder / name, remove)


def _remove_if_abandoned(path: Path, remove: Callable[[Path], object]) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        is_own = os.fstat(descriptor).st_uid == os.geteuid()
        if is_own and lock(descriptor) and not is_removed(descriptor, path):
            remove(path)
    finally:
        os.close(descriptor)


def _make_folder(within: Path | None = None) -> tuple[Path, int]:
    """A new folder and its lock.

    Until it is locked, another process may take it for abandoned, lock it and remove it: at any
    place here. Then another one is made.
    """
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=within))
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        with suppress(OSError):  # without locks, nothing is taken for abandoned
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # waits for a process that is removing it
        if not is_removed(descriptor, path):
            return path, descriptor
        os.close(descriptor)


def _remove_folder(path: Path, descriptor: int) -> None:
    shutil.rmtree(path, ignore_errors=True)
    os.close(descriptor)
