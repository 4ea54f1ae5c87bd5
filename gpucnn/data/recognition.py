"""Which data set a file or a folder is, by what lies in it."""

from __future__ import annotations

from pathlib import Path

from gpucnn.data.data_files import os_errors_explained
from gpucnn.data.packed import MAGIC
from gpucnn.errors import DataError
from gpucnn.files import open_regular
from gpucnn.text import shown

_FILES = {".npz": "npz", ".csv": "csv", ".parquet": "parquet"}
"""Data sets that are one file, by its extension."""
_PARQUET = ("*.parquet", "data/*.parquet")
_FOLDERS = {
    "mnist": ("train-images*idx3-ubyte*",),
    "svhn": ("train_32x32.mat",),
    "cifar10": ("data_batch_1*", "cifar-10-batches-*"),
    "cifar100": ("fine_label_names.txt", "cifar-100-binary", "cifar-100-python", "meta"),
}
"""Data sets that are known by a file in their folder."""


def recognise(path: Path) -> dict[str, str]:
    """The name of the data set at a path, and its ``root`` or ``path``, as in [data] of a config.

    A folder that is nothing else is taken for one of images.

    Raises:
        DataError: there is nothing, or a file of another kind.
    """
    with os_errors_explained(path):
        if path.is_dir():
            return _recognise_folder(path)
        if not path.exists():
            raise DataError(
                f"{shown(path)}: there is no such file or folder; give a folder of data"
            )
        name = "packed" if _is_packed(path) else _FILES.get(path.suffix.lower())
    if name is None:
        known = ", ".join(_FILES)
        raise DataError(
            f"{shown(path)}: is not a kind of file that is known ({known}, packed); give such a "
            f"file, or a folder of images or of a published data set"
        )
    return {"name": name, "path": str(path)}


def _is_packed(file: Path) -> bool:
    """Whether a file begins as a packed one does, whatever it is called."""
    with open_regular(file) as opened:
        return opened.read(len(MAGIC)) == MAGIC


def _recognise_folder(folder: Path) -> dict[str, str]:
    for name, patterns in _FOLDERS.items():
        if any(path for pattern in patterns for path in folder.glob(pattern)):
            is_fashion = name == "mnist" and "fashion" in folder.absolute().name.lower()
            return {"name": "fashion_mnist" if is_fashion else name, "root": str(folder)}
    if any(path for pattern in _PARQUET for path in folder.glob(pattern)):
        return {"name": "parquet", "path": str(folder)}
    entries = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    files = [path for path in entries if path.suffix.lower() in _FILES and path.is_file()]
    if len(files) == 1 and not any(path.is_dir() for path in entries):
        return {"name": _FILES[files[0].suffix.lower()], "path": str(files[0])}
    return {"name": "image_folder", "root": str(folder)}
