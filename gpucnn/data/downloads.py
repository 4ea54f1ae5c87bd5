"""Data sets that are downloaded if a config does not say where they are.

A file is received in a scratch folder. Only when its size and its checksum are its publisher's and
it is on the disk does it get its own name. So a file of that name is complete, however a download
ended, and processes that download the same file at once do no harm.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
import zlib
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from gpucnn.data.data_files import data_folder
from gpucnn.emulator.cache import user_cache_folder
from gpucnn.emulator.scratch import remove_abandoned_folders, scratch_folder
from gpucnn.errors import DataError, shortened
from gpucnn.files import fsync, sync
from gpucnn.paths import user_path
from gpucnn.progress import progress
from gpucnn.text import shown
from gpucnn.units import byte_text

ENVIRONMENT_VARIABLE = "GPUCNN_DATA_DIR"

_SECONDS_OF_SILENCE = 8.0
_SECONDS_TO_SPEED_UP = 20.0
_SLOWEST = 1 << 12
"""Bytes per second, on average, below which a download is given up."""
_PIECE = 1 << 16
_MOST_UNPACKED = 1 << 28
"""Bytes of a file in an archive."""


@dataclass(frozen=True)
class RemoteFile:
    """A file as its publisher has it.

    Attributes:
        name: of the file.
        md5: its checksum, hexadecimal, as published.
        size: in bytes.
        also_as: other files or folders; if one of them exists, nothing is downloaded.
        unpacked: of an archive, the folder in it that is kept; empty if it is none.
        members: the files in that folder that are kept.
    """

    name: str
    md5: str
    size: int
    also_as: tuple[str, ...] = ()
    unpacked: str = ""
    members: tuple[str, ...] = ()

    def is_in(self, folder: Path) -> bool:
        """Whether what it has is in a folder already."""
        return any((folder / name).exists() for name in (self.unpacked or self.name, *self.also_as))


@dataclass(frozen=True)
class Download:
    """Where a data set is published.

    Attributes:
        name: of the data set in configs.
        title: its own name.
        base: the beginning of all its URLs.
        files: what there is.
    """

    name: str
    title: str
    base: str
    files: tuple[RemoteFile, ...]


class _FailedError(Exception):
    """A download that failed; the message says why."""


def data_set_folder(root: str | None, download: Download, content: str) -> Path:
    """The folder of a data set: the one that a config names, or else the one in the cache.

    The cache is GPUCNN_DATA_DIR, or else a folder among the user's caches. What is not there yet is
    downloaded, after a line on stderr that says what from where.

    Args:
        root: as the user wrote it; None if it is left out.
        download: where the data set comes from.
        content: what the folder should have, for the message.

    Raises:
        DataError: there is no such folder, or the data set cannot be downloaded.
    """
    if root is not None:
        return data_folder(root, content)
    folder = _cache_folder(download)
    missing = [file for file in download.files if not file.is_in(folder)]
    if missing:
        try:
            _fetch(download, missing, folder)
        except _FailedError as error:
            raise DataError(f"{error}; {_advice(download, missing, folder)}") from None
        except OSError as error:
            reason = f"{shown(error.filename or folder)}: cannot be written ({error.strerror})"
            raise DataError(f"{reason}; {_advice(download, missing, folder)}") from None
    return folder


def _cache_folder(download: Download) -> Path:
    chosen = os.environ.get(ENVIRONMENT_VARIABLE)
    cache = user_cache_folder()
    if chosen:
        return user_path(chosen).absolute() / download.name
    if cache is None:
        raise DataError(
            f"data.root is not set, and there is no home folder to keep {download.title} in; set "
            f"data.root, or {ENVIRONMENT_VARIABLE} to a folder for data sets"
        )
    return cache / "data" / download.name


def _advice(download: Download, missing: list[RemoteFile], folder: Path) -> str:
    names = ", ".join(file.name for file in missing)
    verb = "unpack" if missing[0].unpacked else "put"
    return (
        f"set data.root to the folder that has {download.title}, or {verb} {names}, from "
        f"{download.base}, in {shown(folder)}"
    )


def _fetch(download: Download, missing: list[RemoteFile], folder: Path) -> None:
    """Downloads files into a folder.

    Raises:
        _FailedError: a file cannot be had.
        OSError: it cannot be written.
    """
    size = sum(file.size for file in missing)
    source = download.base + (missing[0].name if len(missing) == 1 else "")
    print(
        f"data.root is not set: downloading {download.title}, {byte_text(size)}, from {source} to "
        f"{shown(folder)}",
        file=sys.stderr,
        flush=True,
    )
    folder.mkdir(parents=True, exist_ok=True)
    remove_abandoned_folders(folder)
    with progress(download.title, size, "B") as advance, scratch_folder(folder) as scratch:
        for file in missing:
            received = scratch / file.name
            _receive(download.base + file.name, file, received, advance)
            if file.unpacked:
                _keep_unpacked(file, received, folder)
            else:
                received.replace(folder / file.name)
            sync(folder)


def _receive(url: str, file: RemoteFile, path: Path, advance: Callable[[int], object]) -> None:
    """Downloads a file, which is then complete and on the disk.

    Raises:
        _FailedError: it cannot be had, or is not what its publisher has.
        OSError: it cannot be written.
    """
    digest = hashlib.md5(usedforsecurity=False)
    count, begin = 0, time.monotonic()
    with path.open("xb") as out, closing(_pieces(url)) as pieces:
        try:
            for piece in pieces:
                count += len(piece)
                seconds = time.monotonic() - begin
                if count > file.size:
                    raise _FailedError("is larger than its publisher says")
                if seconds > _SECONDS_TO_SPEED_UP and count < _SLOWEST * seconds:
                    raise _FailedError("comes too slowly")
                digest.update(piece)
                out.write(piece)
                advance(len(piece))
            if count < file.size:
                raise _FailedError("ended too early")
        except _FailedError as error:
            place = f", at {count:,} of {file.size:,} bytes" if count else ""
            raise _FailedError(f"{url}: {error}{place}") from None
        if digest.hexdigest() != file.md5:
            raise _FailedError(
                f"{url}: has the MD5 checksum {digest.hexdigest()} instead of {file.md5}, so it is "
                f"damaged or another file"
            )
        out.flush()
        fsync(out.fileno(), path)


def _pieces(url: str) -> Generator[bytes, None, None]:
    """What a server has under a URL, as it comes.

    Raises:
        _FailedError: it cannot be reached, or refuses.
    """
    # Slow to import, and seldom needed.
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.request import urlopen

    try:
        with urlopen(url, timeout=_SECONDS_OF_SILENCE) as response:
            while piece := response.read1(_PIECE):
                yield piece
    except HTTPError as error:
        error.close()
        answer = f"answers {error.code} {shortened(error.reason)}"
        is_redirect = 300 <= error.code < 400  # urllib follows these, unless there is no end
        problem = "redirects in a circle" if is_redirect else answer
        raise _FailedError(f"the server {problem}") from None
    except URLError as error:
        reason = shortened(str(error.reason))
        raise _FailedError(f"the server cannot be reached ({reason})") from None
    except TimeoutError:
        raise _FailedError("the server does not answer") from None
    except (OSError, HTTPException) as error:
        raise _FailedError(f"the connection ended ({shortened(str(error))})") from None


def _keep_unpacked(file: RemoteFile, archive: Path, folder: Path) -> None:
    """Unpacks the members of an archive, and puts their folder, once it is complete, in ``folder``.

    Only regular files with exactly the expected paths are taken out of it.

    Raises:
        _FailedError: it lacks one, or is damaged.
        OSError: a file cannot be written.
    """
    import tarfile  # slow to import, and seldom needed

    unpacked = archive.parent / file.unpacked
    unpacked.mkdir()
    wanted = {f"{file.unpacked}/{name}": unpacked / name for name in file.members}
    try:
        with tarfile.open(archive, "r|gz") as tar:
            for member in tar:
                path = wanted.pop(member.name, None) if member.isreg() else None
                content = tar.extractfile(member) if path else None
                if path and content:
                    _write_member(content, path)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise _FailedError(f"{file.name} cannot be unpacked ({shortened(str(error))})") from None
    if wanted:
        raise _FailedError(f"{file.name} has no {', '.join(sorted(wanted))}")
    sync(unpacked)
    try:
        unpacked.rename(folder / file.unpacked)
    except OSError:
        if not file.is_in(folder):  # unless another process was quicker
            raise


def _write_member(content: IO[bytes], path: Path) -> None:
    written = 0
    with path.open("xb") as out:
        while piece := content.read(1 << 20):
            written += len(piece)
            if written > _MOST_UNPACKED:
                raise _FailedError(f"{path.name} is larger than {byte_text(_MOST_UNPACKED)}")
            out.write(piece)
        out.flush()
        fsync(out.fileno(), path)
