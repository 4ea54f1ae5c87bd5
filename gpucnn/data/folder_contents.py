"""What a folder has, by one set of rules for training, evaluation and prediction.

- Hidden files and folders, and those that systems add by themselves, are ignored.
- A file is an image if its extension says so; other files are counted by their extensions.
- Links are followed. One that leads nowhere, and anything else that is called an image but is not a
  file, is named and never opened.
- Entries come in the order of their names: of the bytes of the names in UTF-8, composed (NFC), so
  that the order depends neither on the locale nor on the system that wrote the names.
"""

from __future__ import annotations

import errno
import os
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gpucnn.data.data_files import unreadable
from gpucnn.data.image_formats import EXTENSIONS
from gpucnn.errors import DataError
from gpucnn.files import kind_of
from gpucnn.text import shown

IMAGE = "image"
FOLDER = "folder"

_EXTENSIONS = frozenset(extension.removeprefix(".") for extension in EXTENSIONS)
_SYSTEM_NAMES = frozenset(
    {"$recycle.bin", "@eadir", "__macosx", "desktop.ini", "ehthumbs.db", "icon\r", "lost+found",
     "system volume information", "thumbs.db"}
)  # fmt: skip
_MOST_KINDS = 5
"""Extensions in a message."""
_LONGEST_EXTENSION = 10


@dataclass(frozen=True)
class FolderContents:
    """What a folder has.

    Attributes:
        paths: of images, folders and what cannot be used, by name.
        kinds: of those that are not images: FOLDER, or else what is wrong, as a part of a sentence.
        left_out: how many other files there are, by extension.
    """

    paths: list[str] = field(default_factory=list)
    kinds: dict[str, str] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)

    def kind(self, path: str) -> str:
        """IMAGE, FOLDER, or what is wrong."""
        return self.kinds.get(path, IMAGE)

    def of_kind(self, kind: str) -> list[str]:
        """The paths of the images or the folders.

        Raises:
            DataError: there is something that cannot be used; the first of that is named.
        """
        for path, other in sorted(self.kinds.items()):
            if other != FOLDER:
                raise unusable(path, other)
        return [path for path in self.paths if self.kind(path) == kind]


def read_folder(folder: str | os.PathLike[str]) -> FolderContents:
    """Reads one folder. No file is opened, and only links need a system call each.

    Raises:
        DataError: the folder cannot be read.
    """
    contents = FolderContents()
    names: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if _is_image(entry) or (not _is_hidden(entry.name) and _note(entry, contents)):
                    names.append(entry.name)  # noqa: PERF401 # the error needs the loop here
    except OSError as error:
        raise unreadable(folder, error) from None
    names.sort(key=None if all(map(str.isascii, names)) else name_order)
    beginning = os.path.join(folder, "")  # noqa: PTH118 # as scandir does it
    contents.paths.extend([beginning + name for name in names])
    return contents


def _is_image(entry: os.DirEntry[str]) -> bool:
    """Whether it surely is one: most entries are, so this is quick."""
    name = entry.name
    if name.rpartition(".")[2].lower() not in _EXTENSIONS or name.startswith("."):
        return False
    try:
        return entry.is_file()
    except OSError:
        return False


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEM_NAMES


def _note(entry: os.DirEntry[str], contents: FolderContents) -> bool:
    """Notes the kind of an entry that is not an image; whether it is to be listed."""
    kind, extension = _kind(entry), _extension(entry.name)
    may_be_folder = kind != IMAGE and not extension and entry.is_symlink()
    if kind == FOLDER or extension in _EXTENSIONS or may_be_folder:
        contents.kinds[entry.path] = kind
        return True
    contents.left_out[extension] += 1
    return False


def unusable(path: str, kind: str) -> DataError:
    """What to raise about a path that leads neither to an image nor to a folder."""
    return DataError(f"{shown(path)}: {kind}; remove or replace it")


def _kind(entry: os.DirEntry[str]) -> str:
    """IMAGE for any file, FOLDER, or what is wrong."""
    try:
        if entry.is_file():
            return IMAGE
        if entry.is_dir():
            return FOLDER
        if not entry.is_symlink() or Path(entry.path).exists():
            return f"is {kind_of(entry.path) or 'something else'}, not a file"
        return f"is a link to {shown(Path(entry.path).readlink())}, which does not exist"
    except OSError as error:
        if error.errno == errno.ELOOP:
            return "is a link that leads back to itself"
        return f"cannot be read ({error.strerror})"


def _extension(name: str) -> str:
    """The extension in lower case, without its dot; empty without one that looks like one."""
    _, dot, extension = name.rpartition(".")
    is_one = dot and extension.isalnum() and len(extension) <= _LONGEST_EXTENSION
    return extension.lower() if is_one else ""


def portable_name(name: str) -> str:
    """A file's name, the same whatever the locale is and however the system composes characters."""
    if name.isascii():
        return name
    return unicodedata.normalize("NFC", os.fsencode(name).decode("utf-8", "surrogateescape"))


def name_order(name: str) -> bytes:
    """What names are sorted by; different for different names."""
    if name.isascii():
        return name.encode()
    composed = portable_name(name).encode("utf-8", "surrogateescape")
    return composed + b"\0" + os.fsencode(name)


def report_left_out(folder: str | os.PathLike[str], left_out: Counter[str]) -> None:
    """Prints a line on stderr about files that are not images, if there are any."""
    if left_out:
        print(f"{shown(folder)}: left out {left_out_files(left_out)}", file=sys.stderr, flush=True)


def left_out_files(left_out: Counter[str]) -> str:
    """Such as "3 files that are not images (.txt 2, .xml 1)"."""
    by_count = sorted(left_out.items(), key=lambda item: (-item[1], item[0]))
    kinds = [
        f"{f'.{extension}' if extension else 'no extension'} {count:,}"
        for extension, count in by_count[:_MOST_KINDS]
    ]
    if len(by_count) > _MOST_KINDS:
        kinds.append(f"others {sum(count for _, count in by_count[_MOST_KINDS:]):,}")
    total = left_out.total()
    files = "file that is not an image" if total == 1 else "files that are not images"
    return f"{total:,} {files} ({', '.join(kinds)})"


def images_below(folder: str | os.PathLike[str]) -> Iterator[tuple[str, DataError | None]]:
    """The images in a folder and in the folders in it, at any depth, each folder once.

    Files that are left out are counted on stderr in the end, and so are folders that links lead to
    a second time.

    Yields:
        The path of an image and None, or that of a folder or file that cannot be read and the
        error. They come in the order of their names, the contents of a folder in its place.
    """
    left_out: Counter[str] = Counter()
    scanned: dict[tuple[int, int], str] = {}
    pending: list[Iterator[tuple[str, str]]] = [iter([(os.fspath(folder), FOLDER)])]
    is_empty = True
    while pending:
        path, kind = next(pending[-1], (None, FOLDER))
        if path is None:
            pending.pop()
        elif kind == FOLDER:
            try:
                if not _is_new(path, scanned):
                    continue
                contents = read_folder(path)
            except DataError as error:
                is_empty = False
                yield path, error
                continue
            left_out += contents.left_out
            kinds = map(contents.kind, contents.paths)
            pending.append(zip(contents.paths, kinds, strict=True))
        else:
            is_empty = False
            yield path, None if kind == IMAGE else unusable(path, kind)
    if is_empty:
        others = f", but {left_out_files(left_out)}" if left_out else ""
        problem = f"{shown(folder)}: there are no images in this folder{others}"
        yield os.fspath(folder), DataError(problem)
    else:
        report_left_out(folder, left_out)


def _is_new(folder: str, scanned: dict[tuple[int, int], str]) -> bool:
    """Notes a folder. If it was scanned already, which takes a link to it, stderr says so."""
    try:
        status = Path(folder).stat()
    except OSError as error:
        raise unreadable(folder, error) from None
    first = scanned.setdefault((status.st_dev, status.st_ino), folder)
    if first == folder:
        return True
    print(
        f"{shown(folder)}: left out, for it leads to {shown(first)}, which was scanned already",
        file=sys.stderr,
        flush=True,
    )
    return False
