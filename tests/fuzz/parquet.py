"""Parquet files of images."""

import io
import json
import os
import random
from pathlib import Path

import numpy as np
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
from fuzz.harness import MIB, Fuzzer, attempt
from fuzz.mutators import INTEGERS, mutated_bytes

from gpucnn.data import parquet


def _png(image) -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def _written(images, labels, names, **options) -> bytes:
    table = pa.table({"image": images, "label": labels})
    if names is not None:
        info = {"info": {"features": {"label": {"names": names}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(info)})
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


class ParquetFuzzer(Fuzzer):
    """Files that are damaged, or that hold something else."""

    name = "parquet"
    memory = 1024 * MIB
    may_print = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        pa.set_cpu_count(1)
        pa.set_io_thread_count(1)
        pixels = np.random.default_rng(0).integers(0, 256, (12, 5, 4, 3), np.uint8)
        self._images = [{"bytes": _png(image), "path": None} for image in pixels]
        self._labels = [n % 3 for n in range(12)]
        self._intact = [
            _written(self._images, self._labels, ["a", "b", "c"], row_group_size=5),
            _written([i["bytes"] for i in self._images], ["x", "y", "z"] * 4, None,
                     compression="zstd"),
            _written(self._images, self._labels, None, compression="none", use_dictionary=False),
        ]  # fmt: skip

    def run(self, rng: random.Random, number: int) -> None:
        """A file, which is read and whose images are looked at."""
        path = self.folder / f"file-{number}.parquet"
        is_intact = number % 100 == 0
        content = rng.choice(self._intact)
        path.write_bytes(content if is_intact else self._damaged(rng, content))
        if not is_intact and rng.random() < 0.02:
            os.truncate(path, rng.choice(INTEGERS) % 2**43)
        try:
            self._check(path, is_intact)
        finally:
            path.unlink()

    def _check(self, path: Path, is_intact: bool) -> None:
        pair = attempt(lambda: parquet(str(path), workers=0), (path.name,))
        assert pair is not None or not is_intact, "an intact file was refused"
        for part in (pair.train, pair.test) if pair else ():
            images = part.images(np.arange(len(part)))
            assert images.shape == (len(part), *part.image_shape)
            assert images.dtype == np.uint8
            assert part.labels.min() >= 0
            assert part.labels.max() < len(part.classes)

    def _damaged(self, rng: random.Random, content: bytes) -> bytes:
        kind = rng.randrange(10)
        if kind < 5:
            return mutated_bytes(rng, content, rng.choice(self._intact))
        if kind < 7:  # in the footer, which says what the rest is
            length = int.from_bytes(content[-8:-4], "little")
            footer = mutated_bytes(rng, content[-8 - length : -8], content)
            return content[: -8 - length] + footer + len(footer).to_bytes(4, "little") + b"PAR1"
        images, labels = list(self._images), list(self._labels)
        names = rng.choice((["a", "b", "c"], None, ["a"], ["a", "a", "b"], "abc", [1, 2, 3], {}))
        place = rng.randrange(12)
        if kind == 7:
            damaged = mutated_bytes(rng, images[place]["bytes"], b"other")
            images[place] = rng.choice((None, {"bytes": None}, {"bytes": damaged}))
        elif kind == 8:
            labels[place] = rng.choice((None, *INTEGERS[:-1], -1))
            labels = [label if label is None else label % 2**63 for label in labels]
        else:
            columns = ([0.5] * 12, [""] * 12, ["a\0"] * 12, [b"x"] * 12, [[1]] * 12, [None] * 12)
            if rng.random() < 0.5:
                labels = rng.choice(columns)
            else:
                images = rng.choice(columns)
        return _written(images, labels, names)
