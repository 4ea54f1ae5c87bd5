"""Everything in a data set read once, and what is damaged or odd about it.

Damaged is what training refuses; odd is what it takes, but its user may not have meant. Of each
image only a digest, a size and a few flags are kept, so memory stays small.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.dataset import Dataset, datasets
from gpucnn.data.decoding import require_pillow
from gpucnn.data.decoding_pool import FileWorkers
from gpucnn.data.file_facts import DIGEST_BYTES, FileFacts, file_facts
from gpucnn.data.image_files import (
    ImageFilesDataset,
    ImageOptions,
    load_undecoded,
    worker_processes,
)
from gpucnn.data.lenient_scan import UNDIVIDED, LenientScan, scan_leniently
from gpucnn.data.listing import Listing
from gpucnn.data.packed import verify
from gpucnn.errors import DataError
from gpucnn.progress import progress
from gpucnn.text import shown

_CHUNK_BYTES = 1 << 22
_FEW_IMAGES = 10
_SMALL_SHARE = 0.05
"""A class is tiny if it has fewer images than 10, or than this share of the median class."""
_ALL = "all"
"""What stands for a class in the data of a regression."""
_MOST_SIZES = 8
"""Other sizes than the most frequent one that are listed one by one."""


@dataclass(frozen=True)
class Finding:
    """Something damaged or odd.

    Attributes:
        kind: a few words that are the same for all findings alike.
        text: what it is, in a line.
        images: the files, or the places in arrays, that it is about, unless the text names it.
    """

    kind: str
    text: str
    images: tuple[str, ...] = ()


@dataclass
class Report:
    """What reading a data set has shown.

    Attributes:
        classes: their names.
        counts: of intact images, by class, for each split.
        damaged: what training refuses.
        odd: what it takes.
    """

    classes: tuple[str, ...] = ()
    counts: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    damaged: list[Finding] = field(default_factory=list)
    odd: list[Finding] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """As ``gpucnn data check --json`` prints it."""
        return {
            "images": {
                split: dict(zip(map(shown, self.classes), counts.tolist(), strict=True))
                for split, counts in self.counts.items()
            },
            "damaged": [_finding_json(finding) for finding in self.damaged],
            "odd": [_finding_json(finding) for finding in self.odd],
        }


def _finding_json(finding: Finding) -> dict[str, Any]:
    return {"kind": finding.kind, "text": finding.text, "images": list(finding.images)}


@dataclass
class _Split:
    """What is kept of each image of a split.

    Attributes:
        name: of the split.
        labels: int32 (N,).
        place: what an image is called, by its number.
        is_intact, is_constant: bool (N,).
        digests: uint8 (N, 16).
    """

    name: str
    labels: NDArray[np.int32]
    place: Callable[[int], str]
    is_intact: NDArray[np.bool_] = field(init=False)
    is_constant: NDArray[np.bool_] = field(init=False)
    digests: NDArray[np.uint8] = field(init=False)

    def __post_init__(self) -> None:
        count = len(self.labels)
        self.is_intact, self.is_constant = np.zeros(count, bool), np.zeros(count, bool)
        self.digests = np.zeros((count, DIGEST_BYTES), np.uint8)

    def note(self, number: int, digest: bytes, is_constant: bool) -> None:
        """Notes an intact image."""
        self.is_intact[number], self.is_constant[number] = True, is_constant
        self.digests[number] = np.frombuffer(digest, np.uint8)


def check_data(options: Mapping[str, Any]) -> Report:
    """Reads everything in a data set.

    Args:
        options: its name and its options, as in [data] of a config.

    Raises:
        ConfigError: an option that is out of range.
        DataError: there is nothing that could be checked: no such folder or file, a layout that is
            not known, or a package is missing.
    """
    checked = datasets.check(options, "data")
    if options["name"] == "image_folder":
        scan = scan_leniently(checked["root"])
        return _check_files(scan, _image_options(checked))
    report = Report()
    try:
        if options["name"] == "packed":
            verify(checked["path"])
        pair = load_undecoded(options)
    except DataError as error:
        report.damaged.append(Finding("unusable", str(error)))
        return report
    if isinstance(pair.train, ImageFilesDataset) and isinstance(pair.test, ImageFilesDataset):
        scan = LenientScan({"train": pair.train.listing, "test": pair.test.listing})
        return _check_files(scan, _image_options(checked))
    return _check_arrays({"train": pair.train, "test": pair.test})


def _image_options(checked: Mapping[str, Any]) -> ImageOptions:
    return ImageOptions(**{field.name: checked[field.name] for field in fields(ImageOptions)})


# Image files --------------------------------------------------------------------------------------


@dataclass
class _Properties:
    """What image files have in common or not: for each value, the files that have it."""

    sizes: dict[tuple[int, int], list[str]] = field(default_factory=lambda: defaultdict(list))
    modes: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    misnamed: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def note(self, path: str, facts: FileFacts) -> None:
        """Notes an intact file."""
        self.sizes[facts.size].append(path)
        self.modes[facts.mode].append(path)
        if facts.is_misnamed:
            self.misnamed[facts.format].append(path)


def _check_files(scan: LenientScan, options: ImageOptions) -> Report:
    decoding = options.checked()
    require_pillow()
    report = Report(
        damaged=[Finding(*wrong) for wrong in scan.wrong], odd=[Finding(*odd) for odd in scan.odd]
    )
    count = sum(len(listing.files) for listing in scan.listings.values())
    work = partial(file_facts, max_pixels=decoding.max_pixels, value_range=decoding.value_range)
    properties, splits = _Properties(), []
    workers = FileWorkers(work, worker_processes(options.workers, count))
    with closing(workers), progress("checking", count) as advance:
        for name, listing in scan.listings.items():
            split = _Split(name, listing.labels, listing.files.__getitem__)
            splits.append(split)
            report.classes = listing.classes
            _note_files(listing, workers, split, properties, report, advance)
    _finish(report, splits)
    report.odd += _about_properties(properties, is_resized=options.size is not None)
    return report


def _note_files(
    listing: Listing,
    workers: FileWorkers[list[FileFacts | DataError]],
    split: _Split,
    properties: _Properties,
    report: Report,
    advance: Callable[[int], object],
) -> None:
    number = 0
    for results in workers.results(listing.files):
        for facts in results:
            if isinstance(facts, DataError):
                report.damaged.append(Finding("damaged", str(facts)))
            else:
                split.note(number, facts.digest, facts.is_constant)
                properties.note(split.place(number), facts)
            number += 1
        advance(len(results))


def _about_properties(properties: _Properties, is_resized: bool) -> Iterator[Finding]:
    if not is_resized:
        yield from _about_sizes(properties.sizes)
    for mode, most, files in _others(properties.modes):
        yield Finding("mode", f"{_mode_text(mode)}, but most images are {_mode_text(most)}", files)
    for name, paths in properties.misnamed.items():
        yield Finding("extension", f"is {name}, but has another extension", tuple(paths))


def _about_sizes(sizes: Mapping[tuple[int, int], list[str]]) -> Iterator[Finding]:
    remedy = "data.size brings all to one size"
    if len(sizes) <= _MOST_SIZES + 1:
        for (H, W), most, files in _others(sizes):
            text = f"{H}×{W} (height×width), but most images are {most[0]}×{most[1]}; {remedy}"
            yield Finding("size", text, files)
        return
    (low_H, low_W), (high_H, high_W) = min(sizes), max(sizes)
    yield Finding(
        "size",
        f"the images have {len(sizes):,} sizes, from {low_H}×{low_W} to {high_H}×{high_W} "
        f"(height×width); {remedy}",
    )


def _others(by_value: Mapping[Any, list[str]]) -> Iterator[tuple[Any, Any, tuple[str, ...]]]:
    """Each value but the most frequent one, that one, and the files that have the value."""
    by_count = sorted(by_value.items(), key=lambda item: -len(item[1]))
    for value, paths in by_count[1:]:
        yield value, by_count[0][0], tuple(paths)


def _mode_text(mode: str) -> str:
    names = {"L": "grey", "1": "black and white", "P": "of a palette", "LA": "grey with alpha",
             "RGBA": "RGB with alpha"}  # fmt: skip
    return names.get(mode, mode)


# Arrays -------------------------------------------------------------------------------------------


def _check_arrays(pair: Mapping[str, Dataset]) -> Report:
    report = Report()
    splits = []
    with progress("checking", sum(map(len, pair.values()))) as advance:
        for name, dataset in pair.items():
            report.classes = dataset.classes or (_ALL,)
            split = _Split(name, dataset.labels, partial("{} image {}".format, name))
            splits.append(split)
            for number, image in _images(dataset, split, report, advance):
                digest = hashlib.blake2b(image.data, digest_size=DIGEST_BYTES).digest()
                is_constant = bool((image == image[:1, :1]).all())
                split.note(number, digest, is_constant)
    _finish(report, splits)
    return report


def _images(
    dataset: Dataset, split: _Split, report: Report, advance: Callable[[int], object]
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """The intact images with their numbers; of a chunk with a damaged one, each by itself."""
    size = max(1, _CHUNK_BYTES // math.prod(dataset.image_shape))
    for first in range(0, len(dataset), size):
        numbers = np.arange(first, min(first + size, len(dataset)))
        try:
            yield from zip(numbers.tolist(), dataset.images(numbers), strict=True)
        except DataError:
            for number in numbers.tolist():
                try:
                    yield number, dataset.images(np.array([number]))[0]
                except DataError as error:
                    report.damaged.append(Finding("damaged", f"{split.place(number)}: {error}"))
        advance(len(numbers))


# Both ---------------------------------------------------------------------------------------------


def _finish(report: Report, splits: Sequence[_Split]) -> None:
    """Counts the intact images, and adds what shows only when all are known."""
    for split in splits:
        labels = split.labels[split.is_intact]
        report.counts[split.name] = np.bincount(labels, minlength=len(report.classes))
        listed = set(split.labels.tolist())
        for label in sorted(listed - set(labels.tolist())):
            name = shown(report.classes[label])
            text = f"all images of the class {name} in {split.name} are damaged"
            report.damaged.append(Finding("empty class", text))
    report.odd += _tiny_classes(report)
    report.odd += _constant(splits)
    report.odd += _repeated(report.classes, splits)


def _tiny_classes(report: Report) -> Iterator[Finding]:
    for split, where in (("train", " to train on"), (UNDIVIDED, "")):
        counts = report.counts.get(split)
        if counts is None or not counts.any():
            continue
        median = float(np.median(counts))
        least = max(_FEW_IMAGES, _SMALL_SHARE * median)
        for label in np.flatnonzero((counts > 0) & (counts < least)).tolist():
            name, images = shown(report.classes[label]), f"image{'s' if counts[label] > 1 else ''}"
            text = f"the class {name} has {counts[label]} {images}{where}; the median is {median:g}"
            yield Finding("tiny class", text)


def _constant(splits: Sequence[_Split]) -> Iterator[Finding]:
    places = [
        split.place(number)
        for split in splits
        for number in np.flatnonzero(split.is_constant).tolist()
    ]
    if places:
        yield Finding("constant", "one colour everywhere", tuple(places))


def _repeated(classes: Sequence[str], splits: Sequence[_Split]) -> Iterator[Finding]:
    """The images that are there more than once, each group in one finding."""
    numbers = [np.flatnonzero(split.is_intact) for split in splits]
    digests = [split.digests[of_split] for split, of_split in zip(splits, numbers, strict=True)]
    keys = np.concatenate(digests).view(np.dtype((np.void, DIGEST_BYTES))).reshape(-1)
    owners = np.repeat(np.arange(len(splits)), list(map(len, numbers)))
    order = np.argsort(keys, kind="stable")
    is_same = keys[order][1:] == keys[order][:-1]
    all_numbers = np.concatenate(numbers)
    for group in _runs(order, is_same):
        members = [(splits[owners[place]], int(all_numbers[place])) for place in sorted(group)]
        labels = {int(split.labels[number]) for split, number in members}
        names = Counter(split.name for split, _ in members)
        if len(labels) > 1:
            what = "under " + " and ".join(shown(classes[label]) for label in sorted(labels))
            kind = "same content in two classes"
        elif len(names) > 1:
            what, kind = "in " + " and ".join(names), "same content in two splits"
        else:
            what, kind = f"{len(members)} times", "same content twice"
        places = tuple(split.place(number) for split, number in members)
        yield Finding(kind, f"the same content {what}", places)


def _runs(order: NDArray[np.int64], is_same: NDArray[np.bool_]) -> Iterable[list[int]]:
    """The stretches of ``order`` in which each is the same as the one before; two or more each."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], is_same, [False])).astype(np.int8)))
    for first, last in edges.reshape(-1, 2).tolist():
        yield order[first : last + 1].tolist()
