"""Images in folders: one folder a split, in it one folder a class, in it the image files."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypedDict

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.dataset import ArrayDataset, Dataset, DatasetPair, datasets
from gpucnn.data.decoding import (
    MAX_PIXELS,
    Chunk,
    DamagedImageError,
    Decoding,
    Fit,
    image_size,
    require_pillow,
)
from gpucnn.data.decoding_pool import ImageDecoder
from gpucnn.data.folder_scan import Listing, scan, scan_test
from gpucnn.data.sample_values import ValueRange
from gpucnn.errors import ConfigError, DataError
from gpucnn.processor import available_cores
from gpucnn.progress import progress
from gpucnn.text import shown, warn_once

OnDamaged: TypeAlias = Literal["error", "skip"]

_CHANNELS = {"rgb": 3, "grey": 1}
_FEW_IMAGES = 256  # decoded sooner than worker processes start
_WORKERS_PER_CORE = 8


class LoadOptions(TypedDict):
    """Some arguments of ``load_image``."""

    max_pixels: int
    value_range: ValueRange | None


class ImageFolderDataset(Dataset):
    """Images that are decoded when they are asked for.

    Args:
        listing: the files with their labels and classes.
        decoder: what decodes them; data sets may share one.
    """

    on_demand = True

    def __init__(self, listing: Listing, decoder: ImageDecoder) -> None:
        self.image_shape = decoder.decoding.image_shape
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
    max_pixels: int = MAX_PIXELS,
    range: tuple[float, float] | None = None,  # noqa: A002  # the key in configs
) -> DatasetPair:
    """Image files in root/train/CLASS/ and root/test/CLASS/ (or root/val/CLASS/).

    JPEG, PNG, WebP, GIF, BMP, TIFF, PNM, JPEG 2000, AVIF and TGA files are read, of several frames
    the first. If all images fit in memory, they are decoded once, else batch by batch.

    Args:
        root: the folder of the two splits. Classes and files are taken in the order of their
            names; hidden files and those without an image's extension are left out.
        size: the side, or (height, width), to which all images are resized; None if they have
            one size already.
        colour: what the images are converted to: 3 channels or 1.
        fit: "crop" scales an image to cover the size and cuts off what is left over, equally
            at both ends; "stretch" changes its proportions.
        workers: processes that decode; 0 to decode in this one; None for one per core, or 0 if
            there are few images.
        memory_limit_mb: how much memory all decoded images may take, in 10⁶ bytes.
        on_damaged: whether a damaged file is an error, or skipped and counted on stderr. To skip
            files of a set that does not fit in memory, all are decoded once to find them.
        max_pixels: a file with more pixels counts as damaged.
        range: the lowest and highest value, which become 0 and 255, of images that have more than
            8 bits or floating-point values. If None, 16-bit images keep their upper 8 bits and
            floating-point values are taken to be from 0 to 1; images that do not fit are refused.

    Raises:
        ConfigError: a value that is out of range.
        DataError: a folder or file is missing, unreadable or damaged; a class has no images, or
            is in one split only; the images differ in size and ``size`` is None.
    """
    options = (size, colour, fit, workers, memory_limit_mb, on_damaged, max_pixels, range)
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
    max_pixels: int,
    range: ValueRange | None,  # noqa: A002
) -> Dataset:
    """The test split of ``image_folder`` alone; root needs no folder of training images.

    Raises:
        ConfigError, DataError: as ``image_folder``, of this split.
    """
    options = (size, colour, fit, workers, memory_limit_mb, on_damaged, max_pixels, range)
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
    max_pixels: int,
    value_range: ValueRange | None,
) -> list[Dataset]:
    """The splits with one decoder, by the options of ``image_folder``."""
    _check_at_least("workers", workers, 0)
    _check_at_least("memory_limit_mb", memory_limit_mb, 0)
    _check_choice("fit", fit, ("crop", "stretch"))
    _check_choice("on_damaged", on_damaged, ("error", "skip"))
    limits = _limits(max_pixels, value_range)
    sides, channels = _sides(size, max_pixels), _channels(colour)
    require_pillow()
    splits = scan_splits()
    H, W = sides or _first_size(splits[0].files, on_damaged, *limits)
    count = sum(len(split.files) for split in splits)
    with ExitStack() as stack:
        decoding = Decoding((H, W, channels), fit if sides else None, *limits)
        decoder = ImageDecoder(decoding, _processes(workers, count))
        stack.callback(decoder.close)
        if count * H * W * channels <= memory_limit_mb * 10**6:
            return [_in_memory(split, decoder, on_damaged) for split in splits]
        if on_damaged == "skip":
            splits = [_decode_all(split, decoder, on_damaged) for split in splits]
        stack.pop_all()  # the data sets go on decoding
        return [ImageFolderDataset(split, decoder) for split in splits]


def first_image_shape(
    root: str,
    size: int | tuple[int, int] | None,
    colour: str,
    max_pixels: int = MAX_PIXELS,
    value_range: ValueRange | None = None,
) -> tuple[tuple[int, int, int], int]:
    """(H, W, C) and the number of classes, with one image decoded at most.

    Raises:
        ConfigError, DataError: as ``image_folder``.
    """
    limits = _limits(max_pixels, value_range)
    sides, channels = _sides(size, max_pixels), _channels(colour)
    require_pillow()
    train, _ = scan(root)
    H, W = sides or _first_size(train.files, "skip", *limits)
    return (H, W, channels), len(train.classes)


def load_options(options: Mapping[str, Any]) -> LoadOptions:
    """Those arguments of ``load_image`` that a data set's table in a config determines."""
    value_range = options.get("range")
    return {
        "max_pixels": options.get("max_pixels", MAX_PIXELS),
        "value_range": None if value_range is None else (value_range[0], value_range[1]),
    }


def _limits(max_pixels: int, value_range: ValueRange | None) -> tuple[int, ValueRange | None]:
    """Both, checked."""
    _check_at_least("max_pixels", max_pixels, 1)
    if value_range is not None and not (
        value_range[0] < value_range[1] and all(map(math.isfinite, value_range))
    ):
        low, high = value_range
        raise ConfigError(f"range is [{low:g}, {high:g}]; the first value must be the smaller one")
    return max_pixels, value_range


def _processes(workers: int | None, count: int) -> int:
    """The number of processes that decode ``count`` images."""
    cores = available_cores()
    if workers is None:
        return cores if count >= _FEW_IMAGES else 0
    most = _WORKERS_PER_CORE * cores
    if workers > most:
        warn_once(
            f"data.workers = {workers} is more than {cores} cores can keep busy; {most} processes "
            f"are used"
        )
    return min(workers, most)


def _check_at_least(name: str, value: int | None, least: int) -> None:
    if value is not None and value < least:
        raise ConfigError(f"{name} is {value}; it must be {least} or more")


def _check_choice(name: str, value: str, known: Collection[str]) -> None:
    if value not in known:
        raise ConfigError(f'{name} is "{value}"; it must be one of {", ".join(known)}')


def _channels(colour: str) -> int:
    _check_choice("colour", colour, _CHANNELS)
    return _CHANNELS[colour]


def _sides(size: int | tuple[int, int] | None, max_pixels: int) -> tuple[int, int] | None:
    """``size`` as (H, W)."""
    if size is None:
        return None
    H, W = (size, size) if isinstance(size, int) else size
    if H < 1 or W < 1:
        raise ConfigError(f"size is {size}; both sides must be 1 or more")
    if max_pixels < H * W:
        raise ConfigError(
            f"size is {size}, which is {H * W:,} pixels; max_pixels allows {max_pixels:,}"
        )
    return H, W


def _first_size(
    files: tuple[str, ...],
    on_damaged: OnDamaged,
    max_pixels: int,
    value_range: ValueRange | None,
) -> tuple[int, int]:
    """The size (H, W) of the first image, or the first intact one if others are skipped."""
    for path in files:
        try:
            return image_size(path, max_pixels, value_range)
        except DamagedImageError as error:
            if on_damaged == "error":
                raise _may_be_skipped(error) from None
    folder = shown(Path(files[0]).parent.parent)
    raise DataError(f"{folder}: all images are damaged; replace them")


def _in_memory(listing: Listing, decoder: ImageDecoder, on_damaged: OnDamaged) -> ArrayDataset:
    """All images of a split, decoded."""
    images = np.empty((len(listing.files), *decoder.decoding.image_shape), np.uint8)
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
    intact: list[int] = []
    first_error: DataError | None = None
    done = 0
    with progress(f"decoding {shown(listing.folder.name)}", len(listing.files)) as advance:
        for chunk in decoder.decode(listing.files):
            _refuse(chunk, on_damaged)
            first_error = first_error or next(iter(chunk.errors.values()), None)
            kept = [place for place in range(len(chunk.images)) if place not in chunk.errors]
            if images is not None:
                images[len(intact) : len(intact) + len(kept)] = chunk.images[kept]
            intact += [done + place for place in kept]
            done += len(chunk.images)
            advance(len(chunk.images))
    return _without_damaged(listing, intact, first_error) if first_error else listing


def _refuse(chunk: Chunk, on_damaged: OnDamaged) -> None:
    """Raises a chunk's first error, other than damage that may be skipped."""
    for error in chunk.errors.values():
        if not isinstance(error, DamagedImageError):
            raise error
        if on_damaged == "error":
            raise _may_be_skipped(error)


def _may_be_skipped(error: DamagedImageError) -> DamagedImageError:
    return DamagedImageError(f'{error}, or set data.on_damaged = "skip"')


def _without_damaged(listing: Listing, intact: list[int], first_error: DataError) -> Listing:
    """The intact files, with a line on stderr about the others."""
    remaining = listing.only(intact)
    empty = np.flatnonzero(np.bincount(remaining.labels, minlength=len(listing.classes)) == 0)
    if empty.size:
        folder = shown(listing.folder / listing.classes[empty[0]])
        raise DataError(f"{folder}: all images are damaged; replace them, or remove the class")
    damaged = len(listing.files) - len(intact)
    print(
        f"{shown(listing.folder)}: skipped {damaged} of {len(listing.files)} images, which are "
        f"damaged; the first: {first_error}",
        file=sys.stderr,
    )
    return remaining
