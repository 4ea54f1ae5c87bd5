"""What to do about a folder that does not have its images in train/CLASS/ and test/CLASS/."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gpucnn.data.folder_contents import FOLDER, IMAGE, read_folder
from gpucnn.errors import DataError
from gpucnn.files import kind_of
from gpucnn.text import shown

TRAIN = ("train",)
TEST = ("test", "val")
_SPLITS = (*TRAIN, *TEST)
_OTHER_NAMES = {
    "train": {"train", "training", "train_set", "trainset", "train_images"},
    "test": {"test", "testing", "test_set", "testset", "test_images", "val", "valid", "validation"},
}
"""What people call the splits, in lower case, by what they are called here."""
_MOST_LOOKED_INTO = 20


def folder_to_divide(root: Path) -> Path:
    """The folder of class folders from which a test split is to be split off.

    That is root/train if it is the only split, or root itself if it has no splits but classes.

    Args:
        root: which lacks one of the splits, or both.

    Raises:
        DataError: it has another layout; the message says what to do.
    """
    names = {"train": TRAIN, "test": TEST}
    found = {split: any((root / name).is_dir() for name in names[split]) for split in names}
    missing = [split for split in names if not found[split]]
    for name in (name for split in missing for name in names[split]):
        if kind := kind_of(root / name) or ((root / name).exists() and "a file"):
            raise DataError(
                f"{shown(root / name)}: is {kind}, not a folder; put a folder with the class "
                f"folders there"
            )
    contents = read_folder(root)
    folders = [Path(path) for path in contents.of_kind(FOLDER)]
    has_images = bool(contents.of_kind(IMAGE))
    if remedy := _remedy(root, missing[0], folders, has_images):
        problem = f"{shown(root)}: has no folder {' or '.join(names[missing[0]])}"
        raise DataError(f"{problem}; {remedy}")
    return root / TRAIN[0] if found["train"] else root


def _remedy(root: Path, split: str, folders: Sequence[Path], has_images: bool) -> str:
    """What to do about the missing split; empty if images for it can be split off."""
    for folder in folders:
        if folder.name.casefold() in _OTHER_NAMES[split]:
            return f"rename {shown(folder)} to {shown(root / split)}"
    if split == "test":
        return ""
    if root.name in _SPLITS and _has_split(root.parent):
        return f"it is the folder of one split, so set data.root to {shown(root.parent)}"
    if _has_split(root):
        return (
            f"move some of the images of each class to {shown(root / split)}/CLASS, the others "
            f"stay in {shown(root)}/test/CLASS"
        )
    for folder in folders[:_MOST_LOOKED_INTO]:
        if _has_split(folder):
            return _about_splits_below(root, folder)
    if any(_has_images(folder) for folder in folders[:_MOST_LOOKED_INTO]):
        return ""
    directly = "it has images directly in it; " if has_images else ""
    return (
        f"{directly}put the images into {shown(root)}/CLASS, with a folder for each class, or into "
        f"{shown(root)}/train/CLASS and {shown(root)}/test/CLASS"
    )


def _about_splits_below(root: Path, folder: Path) -> str:
    """``folder``, in ``root``, has splits: it is the root itself, or it is a class."""
    if any(_has_images(folder / name) for name in _SPLITS):
        return (
            f"the splits must come before the classes: {shown(root)}/train/{shown(folder.name)} "
            f"instead of {shown(folder)}/train, and so on"
        )
    return f"they are in {shown(folder)}, so set data.root to it"


def _has_split(folder: Path) -> bool:
    """Whether a folder has one of the splits, and can be read."""
    try:
        return any((folder / name).is_dir() for name in _SPLITS)
    except OSError:
        return False


def _has_images(folder: Path) -> bool:
    """Whether a folder has images, and can be read."""
    try:
        contents = read_folder(folder)
        return len(contents.paths) > len(contents.kinds)
    except DataError:
        return False
