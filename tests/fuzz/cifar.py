"""The files of CIFAR-10 and CIFAR-100, binary and pickled."""

import os
import pickle
import random
from pathlib import Path

import cifar_files
import numpy as np
from fuzz.harness import MIB, Fuzzer, attempt, remove_tree
from fuzz.mutators import INTEGERS, mutated_bytes

from gpucnn.data import cifar10, cifar100

_KINDS = {
    (reader, is_python): write
    for reader, write in (
        (cifar10, cifar_files.write_cifar10),
        (cifar100, cifar_files.write_cifar100),
    )
    for is_python in (False, True)
}
_FRAGMENTS = (
    *(value for name in pickle.__all__ if name.isupper() and len(name) > 2
      and isinstance(value := getattr(pickle, name), bytes)),
    *(b"K\1", b"U\1a", b"U\x04data", b"U\x06labels", b"T\2\0\0\0ab", b"I1\n", b"I-1\n", b"p1\n"),
    *(b"g1\n", b"q\1", b"h\1", b"cnumpy\ndtype\n", b"cnumpy\nndarray\n", b"U\x02u1"),
    *(b"cos\nsystem\n", b"cnumpy.core.multiarray\n_reconstruct\n", b"\x8a\xff" + b"\x7f" * 255),
)  # fmt: skip


class CifarFuzzer(Fuzzer):
    """Files that are damaged, that are programs of random opcodes, or that are no files."""

    name = "cifar"
    memory = 256 * MIB

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (12, 32, 32, 3), np.uint8)
        self._contents = {}
        for (reader, is_python), write in _KINDS.items():
            write(folder / "intact", images, rng.integers(0, 10, 12), is_python)
            self._contents[reader, is_python] = {
                path.name: path.read_bytes() for path in (folder / "intact").iterdir()
            }
            remove_tree(folder / "intact")

    def run(self, rng: random.Random, number: int) -> None:
        """A folder with one or two files that are damaged."""
        root = self.folder / f"root-{number}"
        root.mkdir()
        kind = rng.choice(list(_KINDS))
        contents = self._contents[kind]
        is_intact = number % 100 == 0
        damaged = [] if is_intact else rng.sample(list(contents), rng.choice((1, 1, 1, 2)))
        for name, content in contents.items():
            if name in damaged:
                self._write_damaged(rng, root / name, content, rng.choice(list(contents.values())))
            else:
                (root / name).write_bytes(content)
        try:
            self._check(kind[0], root, is_intact)
        finally:
            remove_tree(root)

    def _check(self, reader, root: Path, is_intact: bool) -> None:
        pair = attempt(lambda: reader(str(root)), (root.name,))
        assert pair is not None or not is_intact, "intact files were refused"
        for part in (pair.train, pair.test) if pair else ():
            images = part.images(np.arange(len(part)))
            assert images.shape == (len(part), 32, 32, 3)
            assert images.dtype == np.uint8
            assert part.labels.min() >= 0
            assert part.labels.max() < len(part.classes)

    def _write_damaged(self, rng: random.Random, path: Path, content: bytes, other: bytes) -> None:
        kind = rng.randrange(20)
        if kind < 12:
            path.write_bytes(mutated_bytes(rng, content, other))
        elif kind < 16:
            path.write_bytes(b"".join(rng.choices(_FRAGMENTS, k=rng.randrange(40))) + b".")
        elif kind == 16:  # a program in the midst of another
            place = int(len(content) * rng.random() ** 6)
            program = b"".join(rng.choices(_FRAGMENTS, k=rng.randrange(1, 6)))
            path.write_bytes(content[:place] + program + content[place:])
        elif kind == 17:
            path.write_bytes(rng.choice(_FRAGMENTS) * rng.choice((1000, 600_000)))
        elif kind == 18:
            path.write_bytes(content)
            os.truncate(path, rng.choice(INTEGERS) % 2**43)
        else:
            rng.choice((os.mkfifo, os.mkdir, lambda p: p.symlink_to("/dev/zero")))(path)
