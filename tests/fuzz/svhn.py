"""The MATLAB files of SVHN."""

import io
import os
import random
from pathlib import Path

import numpy as np
import scipy.io
from fuzz.harness import MIB, Fuzzer, attempt, remove_tree
from fuzz.mutators import INTEGERS, mutated_bytes

from gpucnn.data import svhn

_NAMES = ("train_32x32.mat", "test_32x32.mat")


def _written(arrays, **options) -> bytes:
    file = io.BytesIO()
    scipy.io.savemat(file, arrays, **options)
    return file.getvalue()


class SvhnFuzzer(Fuzzer):
    """Files that are damaged, that lie, or that hold something else."""

    name = "svhn"
    memory = 512 * MIB

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        rng = np.random.default_rng(0)
        self._images = rng.integers(0, 256, (32, 32, 3, 12), np.uint8)
        self._labels = (np.arange(12) % 10 + 1).astype(np.uint8)[:, None]
        arrays = {"X": self._images, "y": self._labels}
        self._intact = [_written(arrays, do_compression=packed) for packed in (False, True)]

    def run(self, rng: random.Random, number: int) -> None:
        """A folder with one file that is damaged."""
        root = self.folder / f"root-{number}"
        root.mkdir()
        is_intact = number % 100 == 0
        damaged = "" if is_intact else rng.choice(_NAMES)
        for name in _NAMES:
            content = rng.choice(self._intact)
            (root / name).write_bytes(self._damaged(rng, content) if name == damaged else content)
        if damaged and rng.random() < 0.03:
            os.truncate(root / damaged, rng.choice(INTEGERS) % 2**43)
        try:
            self._check(root, is_intact)
        finally:
            remove_tree(root)

    def _check(self, root: Path, is_intact: bool) -> None:
        pair = attempt(lambda: svhn(str(root)), (root.name,))
        assert pair is not None or not is_intact, "intact files were refused"
        for part in (pair.train, pair.test) if pair else ():
            images = part.images(np.arange(len(part)))
            assert images.shape == (len(part), 32, 32, 3)
            assert images.dtype == np.uint8
            assert part.labels.min() >= 0
            assert part.labels.max() < 10

    def _damaged(self, rng: random.Random, content: bytes) -> bytes:
        kind = rng.randrange(10)
        if kind < 6:
            return mutated_bytes(rng, content, rng.choice(self._intact))
        if kind < 8:  # in the header, which the rest of the file follows
            head = mutated_bytes(rng, content[:256], content)
            return head + content[256:]
        arrays = {"X": self._images, "y": self._labels}
        name = rng.choice(("X", "y"))
        arrays[name] = rng.choice(
            (
                self._images[..., :5], self._images.astype(float), self._labels.astype(float) / 3,
                self._labels.T, {"a": 1}, "text", np.array([{"b": 2}], object), self._labels + 90,
                np.zeros((32, 32, 3, 0), np.uint8), np.eye(3) > 0, np.full((12, 1), np.nan),
            )
        )  # fmt: skip
        return _written(arrays, do_compression=rng.random() < 0.5)
