"""Compiled kernels on disk: bytes under a key, for every device.

What is loaded from here is executed, so nothing is read that another user could have written:

- The folder is opened once, and must belong to this user and be writable by no one else. All
  files are then reached through the open folder (``/proc/PID/fd/N`` on Linux), so it does not
  matter who can rename the folders above it, or whether the path is a link.
- An entry must be a regular file that belongs to this user and is writable by no one else. It is
  opened once, without following links; what was checked is what is returned.
- A checksum of the key and the content follows the content in the same file. An ELF file, which a
  cubin and a shared library are, may be followed by anything, so a library is loaded from the
  cache as it is.

An entry that fails any of these checks is as good as missing, and is replaced. It is written to a
temporary file and renamed, so processes that share a folder see either the old entry or the new
one. There is no fsync: a power cut can damage entries, which are then compiled again.
"""

from __future__ import annotations

import errno
import fcntl
import functools
import hashlib
import os
import re
import secrets
import stat
import sys
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from gpucnn.emulator.scratch import is_removed, lock, remove_abandoned, scratch_folder_of

FORMAT = "gpucnn-2"
"""Part of every key; another number leaves all older entries behind."""
ENVIRONMENT_VARIABLE = "GPUCNN_CACHE_DIR"

_KEY = re.compile(r"[\w.-]*\w")
_MARK = b"gpucnn\x00\x02"
_TRAILER = len(_MARK) + hashlib.sha256().digest_size
_LARGEST = 1 << 28
"""Bytes of an entry; the largest are precompiled headers of 23 MB."""
_UNFINISHED = ".unfinished"
_CLAIM = ".claim"


class UntrustedError(PermissionError):
    """A folder or file that another user could have written; ``strerror`` says why."""


def cache_key(*parts: str) -> str:
    """A key for everything that the bytes depend on, and for the format of this cache."""
    digest = hashlib.sha256()
    for part in (FORMAT, *parts):
        digest.update(f"{len(part)}\n{part}".encode())
    return digest.hexdigest()


def user_cache_folder() -> Path | None:
    """gpucnn's folder among the user's caches; None without a home folder."""
    try:
        home = Path.home()
    except RuntimeError:
        return None
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "gpucnn"
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification has relative paths ignored.
    return (Path(base) if Path(base).is_absolute() else home / ".cache") / "gpucnn"


def default_folder() -> Path | None:
    """GPUCNN_CACHE_DIR, or else gpucnn's folder among the user's caches; None without a home."""
    chosen = os.environ.get(ENVIRONMENT_VARIABLE)
    if chosen:
        return Path(os.path.expanduser(chosen)).absolute()  # noqa: PTH111 - this one never raises
    return user_cache_folder()


def why_unusable(folder: Path) -> str:
    """Why entries in a folder are not used, and what to do; empty if they are, or if it is new."""
    try:
        os.close(_open_folder(folder))
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"{error.strerror}; {_advice(error, folder)}"
    return ""


class Cache:
    """A folder of entries; if it cannot be used, they last as long as the process.

    Threads and processes may share one.

    Args:
        folder: where the entries are; None for ``default_folder()``.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = default_folder() if folder is None else folder
        self._memory: dict[str, bytes] = {}
        self._opened: int | None = None
        self._temporary: Path | None = None
        self._lock = threading.Lock()
        self._has_warned = False

    def get(self, key: str) -> bytes | None:
        """What was put under this key; None if nothing was, or if it is damaged or untrusted."""
        _check_key(key)
        held = self._memory.get(key)
        if held is not None:
            return held
        try:
            return _read(self._place() / key)
        except OSError:
            return None

    def put(self, key: str, content: bytes) -> None:
        """Keeps bytes under a key, in place of what was there before."""
        _check_key(key)
        try:
            _write(self._place(make=True) / key, _sealed(key, content))
        except OSError as error:
            self._memory[key] = content
            self._warn(error, key)

    def path_of(self, key: str) -> Path | None:
        """A file that begins with the bytes under this key; None as in ``get``.

        Other processes of this user can open it too, as long as this object lasts.
        """
        content = self.get(key)
        if content is None:
            return None
        if key not in self._memory:
            return self._place() / key
        with self._lock:
            if self._temporary is None:
                self._temporary = scratch_folder_of(self)
            path = self._temporary / key
            if not path.exists():
                path.write_bytes(_sealed(key, content))
        return path

    @contextmanager
    def claimed(self, keys: Sequence[str], wait: bool = False) -> Iterator[set[str]]:
        """Claims keys for the duration of a block, so that one process makes what belongs there.

        A claim is a locked file, so it ends with its process. In a folder that cannot be used there
        is nothing to share, and all keys are this process's.

        Args:
            keys: which.
            wait: whether to wait for other processes; one that waits should hold no claims.

        Yields:
            The keys that no other process has claimed.
        """
        claims: dict[str, tuple[Path, int]] = {}
        claimed = set()
        try:
            for key in keys:
                try:
                    claim = _claim(self._place(make=True) / f"{key[:32]}{_CLAIM}", wait)
                except OSError:
                    claimed.add(key)
                    continue
                if claim is not None:
                    claims[key] = claim
                    claimed.add(key)
            yield claimed
        finally:
            for path, descriptor in claims.values():
                with suppress(OSError):
                    path.unlink()
                os.close(descriptor)

    def _place(self, make: bool = False) -> Path:
        """The folder, by a path that leads to the one that was checked, whatever is renamed.

        Raises:
            UntrustedError: another user could have written there.
            OSError: there is none, or it cannot be opened.
        """
        if self.folder is None:
            raise FileNotFoundError(errno.ENOENT, "there is no home folder")
        if make:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._lock:
            # The folder may have been removed or changed since.
            status = self.folder.stat()
            if self._opened is None or not os.path.samestat(status, os.fstat(self._opened)):
                self._opened = _open_folder(self.folder)
                weakref.finalize(self, os.close, self._opened)
            _check(os.fstat(self._opened), self.folder)
            place = Path(f"/proc/{os.getpid()}/fd/{self._opened}")
        return place if place.exists() else self.folder

    def _warn(self, error: OSError, key: str) -> None:
        with self._lock:
            has_warned, self._has_warned = self._has_warned, True
        if has_warned:
            return
        place, reason = self.folder, error.strerror or str(error)
        if place is not None and (place / key).is_dir():
            place, reason = place / key, "is a folder, which cannot be replaced"
        print(
            f"warning: compiled kernels are not kept: {_shown(place or 'no cache folder')}: "
            f"{reason}; {_advice(error, place)}",
            file=sys.stderr,
        )


def shared_cache() -> Cache:
    """The process' one for the default folder.

    So what is compiled is shared even if the folder cannot be written.
    """
    return _shared_cache(default_folder())


@functools.cache
def _shared_cache(folder: Path | None) -> Cache:
    return Cache(folder)


def _check_key(key: str) -> None:
    if not _KEY.fullmatch(key):
        raise ValueError(f"{key!r} cannot be the name of a file")


def _open_folder(folder: Path) -> int:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _check(os.fstat(descriptor), folder)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check(status: os.stat_result, path: Path) -> None:
    """Raises UntrustedError unless this user owns it and no one else can write to it."""
    why = ""
    if status.st_uid != os.geteuid():
        why = f"belongs to another user (number {status.st_uid})"
    elif status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        why = f"can be written to by other users (mode {stat.S_IMODE(status.st_mode):o})"
    if why:
        raise UntrustedError(errno.EPERM, why, str(path))


def _shown(path: Path | str) -> str:
    """A path on one line, whatever characters it has."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(path))


def _advice(error: OSError, folder: Path | None) -> str:
    other = f"set {ENVIRONMENT_VARIABLE} to a folder that only you can write to"
    if not isinstance(error, UntrustedError) or folder is None:
        return other
    status = folder.stat()
    if status.st_uid != os.geteuid() or status.st_mode & stat.S_ISVTX:  # as /tmp
        return other
    return f"run chmod go-w {_shown(folder)}, if all that is in it is yours, or {other}"


def _claim(path: Path, wait: bool) -> tuple[Path, int] | None:
    """Makes and locks a file; None if another process has locked it.

    Raises:
        OSError: it cannot be made, or the file system has no locks.
    """
    while True:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        if not is_removed(descriptor, path):
            return path, descriptor
        os.close(descriptor)


def _read(path: Path) -> bytes | None:
    """The content of an entry; None if it is damaged.

    Raises:
        OSError: there is none, or something else, or it cannot be read or trusted.
    """
    # Neither a link nor whatever else may be there is followed or waited for.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags), "rb") as file:
        status = os.fstat(file.fileno())
        _check(status, path)
        is_entry = _TRAILER <= status.st_size <= _LARGEST + _TRAILER
        if not (stat.S_ISREG(status.st_mode) and is_entry):
            return None
        sealed = file.read(status.st_size)
    content = sealed[:-_TRAILER]
    return content if sealed == _sealed(path.name, content) else None


def _sealed(key: str, content: bytes) -> bytes:
    digest = hashlib.sha256(f"{len(key)}\n{key}".encode())
    digest.update(content)
    return content + _MARK + digest.digest()


def _write(path: Path, sealed: bytes) -> None:
    """Replaces an entry, after removing the files of processes that were killed."""
    remove_abandoned(path.parent, lambda name: name.endswith((_UNFINISHED, _CLAIM)), Path.unlink)
    while True:
        temporary = path.with_name(f"{path.name[:32]}.{secrets.token_hex(8)}{_UNFINISHED}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
            # Before it is locked, another process may take it for abandoned.
            lock(file.fileno())
            if is_removed(file.fileno(), temporary):
                continue
            try:
                file.write(sealed)
                file.flush()
                temporary.replace(path)
            except BaseException:
                with suppress(OSError):
                    temporary.unlink()
                raise
            return
