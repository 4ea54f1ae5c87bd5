"""Data sets of image files, however these are listed."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, TypedDict

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.dataset import ArrayDataset, Dataset, DatasetPair, DataShape, datasets
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
from gpucnn.data.listing import Listing
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


@dataclass(frozen=True)
class ImageOptions:
    """The options that all data sets of image files have; ``image_folder`` says what they mean."""

    size: int | tuple[int, int] | None
    colour: str
    fit: Fit
    workers: int | None
    memory_limit_mb: int
    on_damaged: OnDamaged
    max_pixels: int
    range: ValueRange | None

    @property
    def sides(self) -> tuple[int, int] | None:
        """``size`` as (H, W)."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    def checked(self) -> Decoding:
        """What they say about decoding, with sides of 0 if the images have to give the size.

        Raises:
            ConfigError: one is out of range.
        """
        _check_at_least("workers", self.workers, 0)
        _check_at_least("memory_limit_mb", self.memory_limit_mb, 0)
        _check_choice("fit", self.fit, ("crop", "stretch"))
        _check_choice("on_damaged", self.on_damaged, ("error", "skip"))
        _check_choice("colour", self.colour, _CHANNELS)
        _check_at_least("max_pixels", self.max_pixels, 1)
        if self.range is not None and not (
            self.range[0] < self.range[1] and all(map(math.isfinite, self.range))
        ):
            low, high = self.range
            raise ConfigError(
                f"range is [{low:g}, {high:g}]; the first value must be the smaller one"
            )
        H, W = self.sides or (0, 0)
        if self.sides and (H < 1 or W < 1):
            raise ConfigError(f"size is {self.size}; both sides must be 1 or more")
        if self.max_pixels < H * W:
            raise ConfigError(
                f"size is {self.size}, which is {H * W:,} pixels; max_pixels allows "
                f"{self.max_pixels:,}"
            )
        fit = self.fit if self.sides else None
        return Decoding((H, W, _CHANNELS[self.colour]), fit, self.max_pixels, self.range)


class ImageFilesDataset(Dataset):
    """Images that are decoded when they are asked for.

    Args:
        listing: the files with their labels and classes.
        decoder: what decodes them; data sets may share one.
    """

    on_demand = True
    threads = 2  # so that the decoder always has work, also at the end of a batch

    def __init__(self, listing: Listing, decoder: ImageDecoder) -> None:
        self.image_shape = decoder.decoding.image_shape
        self.classes = listing.classes
        self.labels = listing.labels
        self.targets, self.target_names = listing.targets, listing.target_names
        self.listing = listing
        self._decoder = decoder

    def images(self, indices: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Decodes the images at these indices."""
        files = [self.listing.files[index] for index in indices]
        images = np.empty((len(files), *self.image_shape), np.uint8)
        done = 0
        for chunk in self._decoder.decode(files):
            _refuse(chunk, "error")
            images[done : done + len(chunk.images)] = chunk.images
            done += len(chunk.images)
        return images

    def _compute_fingerprint(self) -> str:
        return self.listing.fingerprint()

    def close(self) -> None:
        """Ends the decoder's worker processes."""
        self._decoder.close()


def read_listings(scan: Callable[[], Sequence[Listing]], options: ImageOptions) -> list[Dataset]:
    """The splits that ``scan`` lists, with one decoder. The options are checked first.

    Raises:
        ConfigError: an option that is out of range.
        DataError: Pillow is missing; a file is missing or damaged; the images differ in size and
            ``size`` is None.
    """
    decoding, on_damaged = options.checked(), options.on_damaged
    require_pillow()
    splits = scan()
    H, W = options.sides or _first_size(splits[0], on_damaged, decoding)
    count = sum(len(split.files) for split in splits)
    with ExitStack() as stack:
        decoding = replace(decoding, image_shape=(H, W, decoding.image_shape[2]))
        decoder = ImageDecoder(decoding, worker_processes(options.workers, count))
        stack.callback(decoder.close)
        if count * math.prod(decoding.image_shape) <= options.memory_limit_mb * 10**6:
            return [_in_memory(split, decoder, on_damaged) for split in splits]
        if on_damaged == "skip":
            splits = [_decode_all(split, decoder, on_damaged) for split in splits]
        stack.pop_all()  # the data sets go on decoding
        return [ImageFilesDataset(split, decoder) for split in splits]


def load_undecoded(options: Mapping[str, Any]) -> DatasetPair:
    """A data set, without decoding its image files, whose sizes are therefore not known.

    Args:
        options: its name and its options, as in [data] of a config.

    Raises:
        ConfigError, DataError: as the data set itself.
    """
    if {"on_damaged", "size"} <= datasets.annotations(options["name"]).keys():
        options = {**options, "on_damaged": "error", "size": 1}
    return load_on_demand(options)


def load_on_demand(options: Mapping[str, Any]) -> DatasetPair:
    """A data set whose image files, if it has any, are decoded when images are asked for.

    Args:
        options: its name and its options, as in [data] of a config.

    Raises:
        ConfigError, DataError: as the data set itself.
    """
    if "memory_limit_mb" in datasets.annotations(options["name"]):
        options = {**options, "memory_limit_mb": 0}
    return datasets.create(options, "data")


def first_image_shape(scan: Callable[[], Listing], options: ImageOptions) -> DataShape:
    """What a model for the images depends on, with one image decoded at most.

    Raises:
        ConfigError, DataError: as ``read_listings``.
    """
    decoding = options.checked()
    require_pillow()
    listing = scan()
    H, W = options.sides or _first_size(listing, "skip", decoding)
    outputs = len(listing.classes or listing.target_names)
    return DataShape((H, W, decoding.image_shape[2]), outputs, not listing.classes)


def load_options(options: Mapping[str, Any]) -> LoadOptions:
    """Those arguments of ``load_image`` that a data set's table in a config determines."""
    value_range = options.get("range")
    return {
        "max_pixels": options.get("max_pixels", MAX_PIXELS),
        "value_range": None if value_range is None else (value_range[0], value_range[1]),
    }


def worker_processes(workers: int | None, count: int) -> int:
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


def _first_size(listing: Listing, on_damaged: OnDamaged, decoding: Decoding) -> tuple[int, int]:
    """The size (H, W) of the first image, or the first intact one if others are skipped."""
    for path in listing.files:
        try:
            return image_size(path, decoding.max_pixels, decoding.value_range)
        except DamagedImageError as error:
            if on_damaged == "error":
                raise _may_be_skipped(error) from None
    raise DataError(f"{shown(listing.source)}: all images are damaged; replace them")


def _in_memory(listing: Listing, decoder: ImageDecoder, on_damaged: OnDamaged) -> ArrayDataset:
    """All images of a split, decoded."""
    images = np.empty((len(listing.files), *decoder.decoding.image_shape), np.uint8)
    intact = _decode_all(listing, decoder, on_damaged, images)
    count = len(intact.files)
    return ArrayDataset(
        images[:count],
        intact.labels,
        intact.classes,
        intact.fingerprint,
        intact.targets,
        intact.target_names,
    )


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
    with progress(f"decoding {shown(listing.source.name)}", len(listing.files)) as advance:
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
        raise DataError(
            f"{shown(listing.source)}: all images of {shown(listing.classes[empty[0]])} are "
            f"damaged; replace them, or remove the class"
        )
    damaged = len(listing.files) - len(intact)
    print(
        f"{shown(listing.source)}: skipped {damaged} of {len(listing.files)} images, which are "
        f"damaged; the first: {first_error}",
        file=sys.stderr,
    )
    return remaining
