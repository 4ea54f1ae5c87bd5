"""A folder of images: ``train/CLASS/FILE`` and ``test/CLASS/FILE`` (or ``val``)."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.dataset import ArrayDataset, Dataset, DatasetPair, datasets
from gpucnn.data.image_files import Decoder, Fit, decode, is_image
from gpucnn.errors import ConfigError, DataError


@datasets.register("image_folder")
def image_folder(
    root: str,
    size: int | tuple[int, int] | None = None,
    colour: Literal["rgb", "grey"] = "rgb",
    fit: Fit = "crop",
    workers: int | None = None,
    memory_limit_mb: int = 2048,
    on_damaged: Literal["error", "skip"] = "error",
) -> DatasetPair:
    """Images in a folder a class: train/CLASS/FILE and test/CLASS/FILE (or val/CLASS/FILE).

    Args:
        root: the folder.
        size: height and width that images are made to have; None where all have one size.
        colour: "rgb" or "grey".
        fit: "crop" scales an image to cover the size and cuts out the middle, "stretch" distorts.
        workers: processes that decode; None for as many as there are cores, 0 for none.
        memory_limit_mb: decode once and keep all in memory if that takes no more, else decode
            each batch when it is due.
        on_damaged: "error" stops at a file that cannot be decoded, "skip" leaves it out.
    """
    if workers is not None and workers < 0:
        raise ConfigError(f"data.workers = {workers}: it must be 0 or more")
    splits = _list_splits(root)
    channels, fixed = _channels(colour), _fixed_size(size)
    image_shape = _decode_first(splits[0].paths[0], fixed, channels)
    decoder = Decoder(fixed, channels, fit, workers)
    total = sum(len(split.paths) for split in splits) * math.prod(image_shape)
    if total <= memory_limit_mb * 2**20:
        return DatasetPair(*(_in_memory(s, decoder, image_shape, on_damaged) for s in splits))
    return DatasetPair(*(_OnDemand(s, decoder, image_shape) for s in splits))


def first_image_shape(
    root: str, size: int | tuple[int, int] | None, colour: str
) -> tuple[tuple[int, int, int], int]:
    """(H, W, C) and the number of classes, from the names of files and the first image."""
    train, _ = _list_splits(root)
    shape = _decode_first(train.paths[0], _fixed_size(size), _channels(colour))
    return shape, len(train.classes)


def _channels(colour: str) -> int:
    return 1 if colour == "grey" else 3


def _fixed_size(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    fixed = (size, size) if isinstance(size, int) else size
    if fixed is not None and min(fixed) < 1:
        raise ConfigError(f"data.size = {size}: it must be 1 or more")
    return fixed


def _decode_first(
    path: Path, size: tuple[int, int] | None, channels: int
) -> tuple[int, int, int]:
    H, W, C = decode(path, size, channels, "stretch").shape
    return H, W, C


class _Split:
    """The files of a split, by class and name, and their labels."""

    def __init__(self, name: str, classes: list[str], paths: list[Path], labels: list[int]) -> None:
        self.name, self.classes, self.paths = name, tuple(classes), paths
        self.labels = np.array(labels, np.int32)


def _list_splits(root: str) -> tuple[_Split, _Split]:
    folder = Path(root)
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "is not there"
        raise DataError(f"{folder} {what}; set data.root to the folder with train/ and test/")
    train, test = _list_split(folder, "train"), _list_split(folder, "test", "val")
    if train.classes != test.classes:
        differing = set(train.classes) ^ set(test.classes)
        raise DataError(f"{folder}: only one of train and test has {', '.join(sorted(differing))}")
    return train, test


def _list_split(root: Path, *names: str) -> _Split:
    folder = next((root / name for name in names if (root / name).is_dir()), None)
    if folder is None:
        raise DataError(f"{root} has no folder {' or '.join(names)}; see gpucnn list datasets")
    try:
        classes = sorted(
            entry.name
            for entry in folder.iterdir()
            if entry.is_dir() and not entry.name.startswith(".")
        )
        if not classes:
            raise DataError(f"{folder} has no folders; there must be one for each class")
        paths: list[Path] = []
        labels: list[int] = []
        for label, name in enumerate(classes):
            files = sorted(file for file in (folder / name).iterdir() if is_image(file))
            if not files:
                raise DataError(f"{folder / name} has no images")
            paths += files
            labels += [label] * len(files)
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror})") from None
    return _Split(folder.name, classes, paths, labels)


def _wrong_size(path: Path, shape: tuple[int, ...], wanted: tuple[int, ...]) -> DataError:
    return DataError(
        f"{path} is {shape[0]}×{shape[1]} but the first image is {wanted[0]}×{wanted[1]}; set "
        f"data.size to give all one size"
    )


def _in_memory(
    split: _Split, decoder: Decoder, image_shape: tuple[int, int, int], on_damaged: str
) -> ArrayDataset:
    """Decodes a whole split, with a bar on a terminal."""
    from tqdm import tqdm

    images = np.empty((len(split.paths), *image_shape), np.uint8)
    kept = np.ones(len(split.paths), bool)
    number = 0
    hidden = not sys.stderr.isatty()
    with tqdm(
        total=len(images), unit=" images", desc=f"decoding {split.name}", leave=False, disable=hidden
    ) as bar:
        for chunk in decoder(split.paths):
            for pixels in chunk:
                if isinstance(pixels, DataError):
                    if on_damaged == "error":
                        raise pixels
                    kept[number] = False
                elif pixels.shape != image_shape:
                    raise _wrong_size(split.paths[number], pixels.shape, image_shape)
                else:
                    images[number] = pixels
                number += 1
            bar.update(len(chunk))
    if not kept.all():
        print(
            f"{split.name}: left out {np.count_nonzero(~kept)} images that cannot be decoded",
            file=sys.stderr,
        )
        images = images[kept]
    return ArrayDataset(images, split.labels[kept], split.classes)


class _OnDemand(Dataset):
    """Decodes images when they are asked for; a damaged one is an error."""

    on_demand = True

    def __init__(self, split: _Split, decoder: Decoder, image_shape: tuple[int, int, int]) -> None:
        self.image_shape = image_shape
        self.classes, self.labels = split.classes, split.labels
        self._paths, self._decoder = split.paths, decoder

    def images(self, indices: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Decodes these images."""
        paths = [self._paths[index] for index in indices]
        images = np.empty((len(paths), *self.image_shape), np.uint8)
        decoded = (pixels for chunk in self._decoder(paths) for pixels in chunk)
        for number, pixels in enumerate(decoded):
            if isinstance(pixels, DataError):
                raise pixels
            if pixels.shape != self.image_shape:
                raise _wrong_size(paths[number], pixels.shape, self.image_shape)
            images[number] = pixels
        return images
