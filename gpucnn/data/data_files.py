"""The files that a data set consists of: where they lie, and what to say if one cannot be read."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gpucnn.errors import DataError, GpucnnError, shortened
from gpucnn.files import FileTooLargeError, NotRegularFileError, kind_of
from gpucnn.paths import user_path
from gpucnn.text import shown


def data_folder(root: str, content: str) -> Path:
    """The whole path of a data set's folder, so that messages do not depend on the current one.

    Args:
        root: as the user wrote it.
        content: what the folder should have, for the message, such as "the images".

    Raises:
        DataError: there is no such folder.
    """
    folder = user_path(root)
    try:
        folder = folder.absolute()
        if folder.is_dir():
            return folder
        problem = "is not a folder" if folder.exists() else "there is no such folder"
    except OSError as error:
        raise unreadable(folder, error) from None
    raise DataError(f"{shown(folder)}: {problem}; set data.root to where {content} are")


def data_file(path: str, content: str) -> Path:
    """The whole path of a data set that is one file.

    Args:
        path: as the user wrote it.
        content: what the file should be, for the message, such as "an npz file".

    Raises:
        DataError: there is no such file.
    """
    file = user_path(path)
    try:
        file = file.absolute()
        if file.is_file():
            return file
        kind = kind_of(file)
    except OSError as error:
        raise unreadable(file, error) from None
    problem = f"is {kind}, not a file" if kind else "there is no such file"
    raise DataError(f"{shown(file)}: {problem}; set data.path to {content}")


def unreadable(path: str | os.PathLike[str], error: OSError) -> DataError:
    """What to raise if the system does not let a file or folder be read."""
    return DataError(
        f"{shown(path)}: cannot be read ({error.strerror}); check the path and its permissions"
    )


@contextmanager
def os_errors_explained(path: Path) -> Iterator[None]:
    """Turns errors of the system into errors that name the file.

    Args:
        path: what to name if the system's error has no file name.

    Raises:
        DataError: for any OSError raised within the block.
    """
    try:
        yield
    except (NotRegularFileError, FileTooLargeError) as error:
        raise DataError(f"{shown(error.filename)}: {error.strerror}; get the file again") from None
    except OSError as error:
        raise unreadable(error.filename or path, error) from None


@contextmanager
def parser_errors_explained(path: Path, kind: str) -> Iterator[None]:
    """Turns whatever the parser of another package runs into within the block into one message.

    Args:
        path: of the file that it reads.
        kind: what the file should be, such as "a MATLAB file".

    Raises:
        DataError: for any exception but an error of the system.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd headers
            yield
    except GpucnnError:
        raise
    except Exception as error:  # Parsers raise errors of nearly every type.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = shortened(f"{type(error).__name__}: {error}".removesuffix(": "))
        raise DataError(
            f"{shown(path)}: is not {kind}, or a damaged one ({reason}); get the file again"
        ) from None


def check_fits_memory(path: Path, size: int) -> None:
    """Raises DataError if ``size`` bytes, read from a file, exceed the memory of this machine."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if size > memory:
        raise DataError(
            f"{shown(path)}: its {size:,} bytes do not fit into memory, which has {memory:,}; "
            f"use a part of the data"
        )
