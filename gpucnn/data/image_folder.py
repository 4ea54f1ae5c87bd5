"""Images in folders: one folder a split, in it one folder a class, in it the image files."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.dataset import ArrayDataset, Dataset, DatasetPair, datasets
from gpucnn.data.decoding import DamagedImageError, Fit, image_size, require_pillow
from gpucnn.data.decoding_pool import Chunk, ImageDecoder
from gpucnn.data.folder_scan import Listing, scan, scan_test
from gpucnn.errors import ConfigError, DataError
from gpucnn.processor import available_cores

OnDamaged: TypeAlias = Literal["error", "skip"]

_CHANNELS = {"rgb": 3, "grey": 1}
_FEW_IMAGES = 256  # decoded sooner than worker processes start


class ImageFolderDataset(Dataset):
    """Images that are decoded when they are asked for.

    Args:
        listing: the files with their labels and classes.
        decoder: what decodes them; data sets may share one.
    """

    on_demand = True

    def __init__(self, listing: Listing, decoder: ImageDecoder) -> None:
        self.image_shape = decoder.image_shape
        self.classes = listing.classes
        self.labels = listing.labels
        self._listing = listing
        self._decoder = decoder

    def images(self, indices: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Decodes the images at these indices."""
        files = [self._listing.files[index] for index in indices]
        images = np.empty((len(files), *self.image_shape), np.uint8)
        done = 0
        for chunk in self._decoder.decode(files):
            _refuse(chunk, "error")
            images[done : done + len(chunk.images)] = chunk.images
            done += len(chunk.images)
        return images

    def _compute_fingerprint(self) -> str:
        return self._listing.fingerprint()

    def close(self) -> None:
        """Ends the decoder's worker processes."""
        self._decoder.close()


@datasets.register("image_folder")
def image_folder(
    root: str,
    size: int | tuple[int, int] | None = None,
    colour: Literal["rgb", "grey"] = "rgb",
    fit: Literal["crop", "stretch"] = "crop",
    workers: int | None = None,
    memory_limit_mb: int = 2048,
    on_damaged: Literal["error", "skip"] = "error",
) -> DatasetPair:
    """Image files in root/train/CLASS/ and root/test/CLASS/ (or root/val/CLASS/).

    The images are decoded once, into memory, where they fit; else batch by batch.

    Args:
        root: the folder of the two splits. Classes and files are taken in the order of their
            names; hidden files and those that are no images by their extension are left out.
        size: the side, or (height, width), that all images are brought to; None if they have
            one size already.
        colour: what the images are converted to: 3 channels or 1.
        fit: "crop" scales an image to cover the size and cuts off what sticks out, equally at
            both ends; "stretch" changes its proportions.
        workers: processes that decode; 0 for none but this one, None for one a core, or none
            where the images are few.
        memory_limit_mb: how much all decoded images may take in memory, in 10⁶ bytes.
        on_damaged: whether a damaged file is an error, or skipped and counted on stderr. To skip
            files of a set that does not fit in memory, all are decoded once to find them.

    Raises:
        ConfigError: a value that is out of range.
        DataError: a folder or file is missing, unreadable or damaged; a class has no images, or
            is in one split only; the images differ in size and ``size`` is None.
    """
    options = (size, colour, fit, workers, memory_limit_mb, on_damaged)
    train, test = _read(lambda: scan(root), *options)
    return DatasetPair(train, test)


def image_folder_test(
    root: str,
    size: int | tuple[int, int] | None,
    colour: str,
    fit: Fit,
    workers: int | None,
    memory_limit_mb: int,
    on_damaged: OnDamaged,
) -> Dataset:
    """The test split of ``image_folder`` alone; root needs no folder of training images.

    Raises:
        ConfigError, DataError: as ``image_folder``, of this split.
    """
    options = (size, colour, fit, workers, memory_limit_mb, on_damaged)
    (test,) = _read(lambda: (scan_test(root),), *options)
    return test


def _read(
    scan_splits: Callable[[], Sequence[Listing]],
    size: int | tuple[int, int] | None,
    colour: str,
    fit: Fit,
    workers: int | None,
    memory_limit_mb: int,
    on_damaged: OnDamaged,
) -> list[Dataset]:
    """The splits with one decoder, by the options of ``image_folder``."""
    _check_at_least_0("workers", workers)
    _check_at_least_0("memory_limit_mb", memory_limit_mb)
    _check_choice("fit", fit, ("crop", "stretch"))
    _check_choice("on_damaged", on_damaged, ("error", "skip"))
    sides, channels = _sides(size), _channels(colour)
    require_pillow()
    splits = scan_splits()
    H, W = sides or _first_size(splits[0].files, on_damaged)
    image_shape = (H, W, channels)
    count = sum(len(split.files) for split in splits)
    if workers is None:
        workers = available_cores() if count >= _FEW_IMAGES else 0
    with ExitStack() as stack:
        decoder = ImageDecoder(image_shape, fit if sides else None, workers)
        stack.callback(decoder.close)
        if count * math.prod(image_shape) <= memory_limit_mb * 10**6:
            return [_in_memory(split, decoder, on_damaged) for split in splits]
        if on_damaged == "skip":
            splits = [_decode_all(split, decoder, on_damaged) for split in splits]
        stack.pop_all()  # the data sets go on decoding
        return [ImageFolderDataset(split, decoder) for split in splits]


def first_image_shape(
    root: str, size: int | tuple[int, int] | None, colour: str
) -> tuple[tuple[int, int, int], int]:
    """(H, W, C) and the number of classes, with one image decoded at most.

    Raises:
        ConfigError, DataError: as ``image_folder``.
    """
    sides, channels = _sides(size), _channels(colour)
    require_pillow()
    train, _ = scan(root)
    H, W = sides or _first_size(train.files, "skip")
    return (H, W, channels), len(train.classes)


def _check_at_least_0(name: str, value: int | None) -> None:
    if value is not None and value < 0:
        raise ConfigError(f"{name} is {value}; it must be 0 or more")


def _check_choice(name: str, value: str, known: Collection[str]) -> None:
    if value not in known:
        raise ConfigError(f'{name} is "{value}"; it must be one of {", ".join(known)}')


def _channels(colour: str) -> int:
    _check_choice("colour", colour, _CHANNELS)
    return _CHANNELS[colour]


def _sides(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """``size`` as (H, W)."""
    if size is None:
        return None
    H, W = (size, size) if isinstance(size, int) else size
    if H < 1 or W < 1:
        raise ConfigError(f"size is {size}; both sides must be 1 or more")
    return H, W


def _first_size(files: tuple[str, ...], on_damaged: OnDamaged) -> tuple[int, int]:
    """The size (H, W) of the first image, or the first intact one if others are skipped."""
    for path in files:
        try:
            return image_size(path)
        except DamagedImageError as error:
            if on_damaged == "error":
                raise _may_be_skipped(error) from None
    raise DataError(f"{Path(files[0]).parent.parent}: all images are damaged; replace them")


def _in_memory(listing: Listing, decoder: ImageDecoder, on_damaged: OnDamaged) -> ArrayDataset:
    """All images of a split, decoded."""
    images = np.empty((len(listing.files), *decoder.image_shape), np.uint8)
    intact = _decode_all(listing, decoder, on_damaged, images)
    count = len(intact.files)
    return ArrayDataset(images[:count], intact.labels, intact.classes, intact.fingerprint)


def _decode_all(
    listing: Listing,
    decoder: ImageDecoder,
    on_damaged: OnDamaged,
    images: NDArray[np.uint8] | None = None,
) -> Listing:
    """Decodes a split, with a progress bar on a terminal, and lists what is intact.

    The images go one after another into ``images`` (N, H, W, C), if there is such an array.
    """
    from tqdm import tqdm

    intact: list[int] = []
    done = 0
    with tqdm(
        total=len(listing.files), desc=f"decoding {listing.folder.name}", unit="image", disable=None
    ) as bar:
        for chunk in decoder.decode(listing.files):
            _refuse(chunk, on_damaged)
            kept = [place for place in range(len(chunk.images)) if place not in chunk.errors]
            if images is not None:
                images[len(intact) : len(intact) + len(kept)] = chunk.images[kept]
            intact += [done + place for place in kept]
            done += len(chunk.images)
            bar.update(len(chunk.images))
    return listing if len(intact) == done else _without_damaged(listing, intact)


def _refuse(chunk: Chunk, on_damaged: OnDamaged) -> None:
    """Raises a chunk's first error, other than damage that may be skipped."""
    for error in chunk.errors.values():
        if not isinstance(error, DamagedImageError):
            raise error
        if on_damaged == "error":
            raise _may_be_skipped(error)


def _may_be_skipped(error: DamagedImageError) -> DamagedImageError:
    return DamagedImageError(f'{error}, or set data.on_damaged = "skip"')


def _without_damaged(listing: Listing, intact: list[int]) -> Listing:
    """The intact files, with a line on stderr about the others."""
    remaining = listing.only(intact)
    empty = np.flatnonzero(np.bincount(remaining.labels, minlength=len(listing.classes)) == 0)
    if empty.size:
        folder = listing.folder / listing.classes[empty[0]]
        raise DataError(f"{folder}: all images are damaged; replace them, or remove the class")
    damaged = sorted(set(listing.files) - set(remaining.files))
    print(
        f"{listing.folder}: skipped {len(damaged)} of {len(listing.files)} images, "
        f"which are damaged; the first is {damaged[0]}",
        file=sys.stderr,
    )
    return remaining
