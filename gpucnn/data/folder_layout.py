"""What to do about a folder that does not have its images in SPLIT/CLASS/."""

from __future__ import annotations

from pathlib import Path

from gpucnn.data.class_names import listed
from gpucnn.data.folder_contents import FOLDER, IMAGE, read_folder
from gpucnn.errors import DataError
from gpucnn.files import kind_of
from gpucnn.text import shown

_SPLITS = ("train", "test", "val")
_OTHER_NAMES = {
    "train": {"train", "training", "train_set", "trainset", "train_images"},
    "test": {"test", "testing", "test_set", "testset", "test_images", "val", "valid", "validation"},
}
"""What people call the splits, in lower case, by what they are called here."""
_MOST_LOOKED_INTO = 20


def missing_split(root: Path, names: tuple[str, ...]) -> DataError:
    """What to raise if ``root`` has none of the folders ``names``, which hold one split.

    Raises:
        DataError: the folder cannot be read.
    """
    for name in names:
        if kind := kind_of(root / name) or ((root / name).exists() and "a file"):
            return DataError(
                f"{shown(root / name)}: is {kind}, not a folder; put a folder with the class "
                f"folders there"
            )
    problem = f"{shown(root)}: has no folder {' or '.join(names)}"
    return DataError(f"{problem}; {_remedy(root, names[0])}")


def _remedy(root: Path, split: str) -> str:
    contents = read_folder(root)
    folders = [Path(path) for path in contents.of_kind(FOLDER)]
    if root.name in _SPLITS and _has_split(root.parent):
        return f"it is the folder of one split, so set data.root to {shown(root.parent)}"
    for folder in folders:
        if folder.name.casefold() in _OTHER_NAMES[split]:
            return f"rename {shown(folder)} to {shown(root / split)}"
    if _has_split(root):
        other = "test" if split == "train" else "train"
        return (
            f"move some of the images of each class to {shown(root / split)}/CLASS, the others "
            f"stay in {shown(root / other)}/CLASS"
        )
    for folder in folders[:_MOST_LOOKED_INTO]:
        if _has_split(folder):
            return _about_splits_below(root, folder)
    classes = [folder.name for folder in folders[:_MOST_LOOKED_INTO] if _has_images(folder)]
    if classes:
        first = shown(classes[0])
        return (
            f"it has the images of {listed(folder.name for folder in folders)} directly in it; "
            f"move most images of each class to {shown(root)}/train/{first} and so on, and the "
            f"rest to {shown(root)}/test/{first} and so on"
        )
    directly = "it has images directly in it; " if contents.of_kind(IMAGE) else ""
    return (
        f"{directly}put the images into {shown(root)}/train/CLASS and {shown(root)}/test/CLASS, "
        f"with a folder for each class"
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
