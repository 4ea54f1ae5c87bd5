"""Compiled kernels on disk: bytes under a key, for every device.

An entry is written to a temporary file, synced and renamed, so processes that share a folder see
it whole or not at all. Its checksum stands behind its bytes, in the same file: an ELF file, which
a cubin and a shared library are, may be followed by anything, so a library is loaded from the
cache as it is.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tempfile
import threading
import weakref
from pathlib import Path

from gpucnn.files import write_atomically

FORMAT = "gpucnn-1"
"""Part of every key; another number leaves all older entries behind."""
ENVIRONMENT_VARIABLE = "GPUCNN_CACHE_DIR"

_KEY = re.compile(r"[\w.-]*\w")
_MARK = b"gpucnn\x00\x01"
_TRAILER = len(_MARK) + hashlib.sha256().digest_size


def cache_key(*parts: str) -> str:
    """A key for everything that the bytes depend on, and for the format of this cache."""
    digest = hashlib.sha256()
    for part in (FORMAT, *parts):
        digest.update(f"{len(part)}\n{part}".encode())
    return digest.hexdigest()


def default_folder() -> Path | None:
    """GPUCNN_CACHE_DIR, or else gpucnn's folder among the user's caches; None without a home."""
    chosen = os.environ.get(ENVIRONMENT_VARIABLE)
    if chosen:
        return Path(chosen).absolute()
    try:
        home = Path.home()
    except RuntimeError:
        return None
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "gpucnn"
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification has relative paths ignored.
    return (Path(base) if Path(base).is_absolute() else home / ".cache") / "gpucnn"


class Cache:
    """A folder of entries; where it cannot be written to, they last as long as the process.

    Threads and processes may share one.

    Args:
        folder: where the entries are; None for ``default_folder()``.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = default_folder() if folder is None else folder
        self._memory: dict[str, bytes] = {}
        self._temporary: Path | None = None
        self._lock = threading.Lock()
        self._has_warned = False

    def get(self, key: str) -> bytes | None:
        """What was put under this key; None where nothing was, or where it is damaged."""
        held = self._memory.get(key)
        if held is not None:
            return held
        path = self._place(key)
        if path is None:
            return None
        try:
            return _opened(path.read_bytes())
        except OSError:
            return None

    def put(self, key: str, content: bytes) -> None:
        """Keeps bytes under a key, over what was there before."""
        path = self._place(key)
        try:
            if path is None:
                raise FileNotFoundError("there is no home folder")
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(path, _sealed(content))
        except OSError as error:
            self._memory[key] = content
            self._warn(error)

    def path_of(self, key: str) -> Path | None:
        """A file that begins with the bytes under this key, for a loader; None as in ``get``."""
        content = self.get(key)
        if content is None:
            return None
        if key not in self._memory:
            return self._place(key)
        with self._lock:
            if self._temporary is None:
                self._temporary = Path(tempfile.mkdtemp(prefix="gpucnn-"))
                weakref.finalize(self, shutil.rmtree, self._temporary, ignore_errors=True)
            path = self._temporary / key
            if not path.exists():
                write_atomically(path, _sealed(content))
        return path

    def _place(self, key: str) -> Path | None:
        if not _KEY.fullmatch(key):
            raise ValueError(f"{key!r} cannot be the name of a file")
        return None if self.folder is None else self.folder / key

    def _warn(self, error: OSError) -> None:
        with self._lock:
            has_warned, self._has_warned = self._has_warned, True
        if not has_warned:
            print(
                f"compiled kernels are not kept: {self.folder or 'no cache folder'}: "
                f"{error.strerror or error}; set {ENVIRONMENT_VARIABLE} to a folder that can be "
                "written to",
                file=sys.stderr,
            )


def _sealed(content: bytes) -> bytes:
    return content + _MARK + hashlib.sha256(content).digest()


def _opened(sealed: bytes) -> bytes | None:
    content, trailer = sealed[:-_TRAILER], sealed[-_TRAILER:]
    return content if trailer == _MARK + hashlib.sha256(content).digest() else None
