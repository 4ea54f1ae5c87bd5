"""Which image files a split of a data set has, before any of them is opened."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.data_files import unreadable
from gpucnn.data.folder_contents import portable_name
from gpucnn.data.image_within import middle
from gpucnn.data.stratified import split_off_test

_SAMPLE = 4096
"""Bytes of a file that count towards a fingerprint."""


@dataclass(frozen=True)
class Listing:
    """The files of a split.

    Attributes:
        source: the folder, or the file that lists them.
        files: their paths, by class and then by name; of images in a container, their names there.
        labels: int32 (N,), the index of each file's class.
        classes: their names, in composed Unicode (NFC); empty in a regression.
        targets: float32 (N, T), the numbers of a regression.
        target_names: their names.
    """

    source: Path
    files: tuple[str, ...]
    labels: NDArray[np.int32]
    classes: tuple[str, ...]
    targets: NDArray[np.float32] | None = None
    target_names: tuple[str, ...] = ()

    def only(self, places: Sequence[int]) -> Listing:
        """The listing of the files at these places."""
        chosen = list(places)
        return replace(
            self,
            files=tuple(self.files[place] for place in chosen),
            labels=self.labels[chosen],
            targets=None if self.targets is None else self.targets[chosen],
        )

    def split_off(self, test_share: float, split_seed: int) -> tuple[Listing, Listing]:
        """This listing in two, one to train on and one to test on, as ``split_off_test`` chooses.

        Raises:
            DataError: no class has two images, or there is only one.
        """
        is_test = split_off_test(
            self.labels, self.classes, test_share, split_seed, str(self.source)
        )
        train, test = np.flatnonzero(~is_test), np.flatnonzero(is_test)
        return self.only(train.tolist()), self.only(test.tolist())

    def fingerprint(self) -> str:
        """A SHA-256 of classes, targets and, in order, each file's label, name, size and a sample.

        The sample is the middle of the file, 4 KiB at most: enough to notice that two files, or two
        class folders with files of the same names, were exchanged, without reading it all. Where
        the files lie does not matter.

        Raises:
            DataError: a file cannot be read.
        """
        digest = hashlib.sha256()
        for name in self.classes:
            digest.update(name.encode("utf-8", "surrogateescape") + b"\0")
        if self.targets is not None:
            digest.update(f"{self.target_names!a}\0".encode())
            digest.update(self.targets.astype("<f4").tobytes())
        for path, label in zip(self.files, self.labels.tolist(), strict=True):
            name = portable_name(os.path.basename(path))  # noqa: PTH119 # a Path would take longer
            try:
                size, sample = middle(path, _SAMPLE)
            except OSError as error:
                raise unreadable(path, error) from None
            digest.update(f"\0{label} {size} {name}\0".encode("utf-8", "surrogateescape"))
            digest.update(sample)
        return digest.hexdigest()
