"""The four idx files of MNIST."""

import gzip
import os
import random
import struct
from pathlib import Path

import numpy as np
from fuzz.harness import MIB, Fuzzer, attempt, remove_tree
from fuzz.mutators import INTEGERS, mutated_bytes

from gpucnn.data import mnist

_FILES = {
    "train-images-idx3-ubyte": (12, 6, 5),
    "train-labels-idx1-ubyte": (12,),
    "t10k-images-idx3-ubyte": (4, 6, 5),
    "t10k-labels-idx1-ubyte": (4,),
}


class IdxFuzzer(Fuzzer):
    """Files that are damaged before or after they are packed, that lie, or that are no files."""

    name = "idx"
    memory = 256 * MIB

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        rng = np.random.default_rng(0)
        self._contents = {}
        for name, shape in _FILES.items():
            values = rng.integers(0, 256 if len(shape) > 1 else 10, shape, np.uint8)
            header = struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape)
            self._contents[name] = header + values.tobytes()
        zeros = gzip.compress(b"\0" * (8 * MIB), mtime=0)
        self._bomb = zeros * 128  # 1 GiB in a file of 1 MB

    def run(self, rng: random.Random, number: int) -> None:
        """A folder with one or two files that are damaged."""
        root = self.folder / f"root-{number}"
        root.mkdir()
        damaged = rng.sample(list(_FILES), rng.choice((1, 1, 1, 2)))
        is_intact = number % 100 == 0
        for name, content in self._contents.items():
            path = root / rng.choice((name, f"{name}.gz", name.replace("-idx", ".idx")))
            if name in damaged and not is_intact:
                self._write_damaged(rng, path, content)
            else:
                path.write_bytes(rng.choice((content, gzip.compress(content, mtime=0))))
        try:
            self._check(root, is_intact)
        finally:
            remove_tree(root)

    def _check(self, root: Path, is_intact: bool) -> None:
        pair = attempt(lambda: mnist(str(root)), (root.name,))
        assert pair is not None or not is_intact, "intact files were refused"
        for part in (pair.train, pair.test) if pair else ():
            images = part.images(np.arange(len(part)))
            assert images.shape == (len(part), *part.image_shape)
            assert images.dtype == np.uint8
            assert part.labels.dtype == np.int32
            assert part.labels.min() >= 0
            assert part.labels.max() < 10

    def _write_damaged(self, rng: random.Random, path: Path, content: bytes) -> None:
        kind = rng.randrange(20)
        if kind < 8:
            path.write_bytes(mutated_bytes(rng, content, rng.choice(list(self._contents.values()))))
        elif kind < 12:
            path.write_bytes(gzip.compress(mutated_bytes(rng, content, content), mtime=0))
        elif kind < 16:
            path.write_bytes(mutated_bytes(rng, gzip.compress(content, mtime=0), content))
        elif kind == 16:  # a header that lies, of what is there or of a great deal of zeros
            shape = [rng.choice(INTEGERS) % 2**32 for _ in range(content[3])]
            header = struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape)
            path.write_bytes(header + content[len(header) :])
            if rng.random() < 0.3:
                os.truncate(path, rng.choice((2**31, 2**40)))
            elif rng.random() < 0.1:
                path.write_bytes(gzip.compress(header, mtime=0) + self._bomb)
        elif kind == 17:
            rng.choice((os.mkfifo, os.mkdir, _make_socket, _link_to_nothing, _link_to_itself))(path)
        elif kind == 18:
            path.symlink_to(rng.choice(("/dev/zero", "/dev/null", "/dev/full", "/", "/dev/stdin")))
        elif rng.random() < 0.5:
            path.write_bytes(b"")


def _make_socket(path: Path) -> None:
    os.mknod(path, 0o140600)


def _link_to_nothing(path: Path) -> None:
    path.symlink_to("nothing")


def _link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)
