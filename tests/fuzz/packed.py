"""Packed files."""

import hashlib
import json
import os
import random
from pathlib import Path

import numpy as np
from fuzz.harness import MIB, Fuzzer, attempt
from fuzz.mutators import INTEGERS, mutated_bytes, mutated_text

from gpucnn.data import ArrayDataset, DatasetPair, packed
from gpucnn.data.packed import pack, verify

_WORDS = (
    *("{", "}", "[", "]", ",", ":", '"', "null", "true", "-1", "1e9", "0.5", "NaN", "2" * 30),
    *('"images"', '"classes"', '"train"', '"image_shape"', '"targets"', '"\\ud800"', "4096"),
)


class PackedFuzzer(Fuzzer):
    """Files that are damaged, and others with right checksums that lie."""

    name = "packed"
    memory = 64 * MIB

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        rng = np.random.default_rng(0)
        images, labels = rng.integers(0, 256, (9, 6, 5, 3), np.uint8), np.arange(9, dtype=np.int32)
        numbers = rng.standard_normal((9, 2)).astype(np.float32)
        self._contents = []
        for part in (
            ArrayDataset(images, labels % 3, ["cat", "dog", "caf\u00e9"]),
            ArrayDataset(images[..., :1], 0 * labels, [], None, numbers, ["x", "y"]),
        ):
            pack(DatasetPair(part, part), folder / "whole")
            self._contents.append((folder / "whole").read_bytes())
            (folder / "whole").unlink()

    def run(self, rng: random.Random, number: int) -> None:
        """A file, which is opened, whose images are looked at, and which is verified."""
        path = self.folder / f"file-{number}"
        is_intact = number % 100 == 0
        content = rng.choice(self._contents)
        path.write_bytes(content if is_intact else _changed(rng, content))
        if not is_intact and rng.random() < 0.02:
            os.truncate(path, rng.choice(INTEGERS) % 2**43)
        try:
            self._check(path, is_intact)
        finally:
            path.unlink()

    def _check(self, path: Path, is_intact: bool) -> None:
        pair = attempt(lambda: packed(str(path)), (path.name,))
        assert pair is not None or not is_intact, "an intact file was refused"
        for part in (pair.train, pair.test) if pair else ():
            images = part.images(np.arange(min(100, len(part))))
            assert images.shape[1:] == part.image_shape
            assert images.dtype == np.uint8
            assert part.labels.dtype == np.int32
            assert not len(part) or part.labels.min() >= 0
            assert not len(part) or part.labels.max() < max(1, len(part.classes))
        attempt(lambda: verify(str(path)), (path.name,))


def _changed(rng: random.Random, content: bytes) -> bytes:
    length = int.from_bytes(content[12:16], "little")
    kind = rng.randrange(4)
    if kind == 0:
        return mutated_bytes(rng, content, content)
    text = content[16 : 16 + length].decode()
    if kind == 1:
        text = mutated_text(rng, text, '{"images": 9}', _WORDS)
    elif kind == 2:
        header = json.loads(text)
        owner = rng.choice((header, header["train"], header["test"]))
        owner[rng.choice(list(owner))] = rng.choice(
            (rng.choice(INTEGERS), [rng.choice(INTEGERS)] * 3, "x", None, [], ["a", "b"], {})
        )
        text = json.dumps(header)
    body = content[4096:] if kind < 3 else mutated_bytes(rng, content[4096:], content)
    encoded = text.encode("utf-8", "surrogatepass")
    prefix = content[:12] + len(encoded).to_bytes(4, "little")
    start = prefix + encoded + hashlib.sha256(prefix + encoded).digest()
    return start + bytes(-len(start) % 4096) + body
