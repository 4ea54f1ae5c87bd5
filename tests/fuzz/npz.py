"""Arrays in npz files."""

import io
import os
import random
import zipfile
from pathlib import Path

import numpy as np
from fuzz.harness import MIB, Fuzzer, attempt
from fuzz.mutators import INTEGERS, NAMES, mutated_bytes, mutated_text

from gpucnn.data import npz

_WORDS = (
    *("{", "}", "(", ")", ",", ":", "'", "True", "False", "None", "'descr'", "'shape'", "-", "~"),
    *("'|u1'", "'|O'", "'<U4'", "'<i8'", "'>f4'", "'|V3'", "'M8[ns]'", "'a'", "[('a', '<i4')]"),
    *("'fortran_order'", "12L", "0x10", "1e9", "not", "lambda: 0", "2**99", "'2u1'", "'(9,)u1'"),
)


class NpzFuzzer(Fuzzer):
    """Archives, and arrays in them, that are damaged, that lie, or that hold something else."""

    name = "npz"
    memory = 256 * MIB
    may_print = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (12, 6, 5, 3), np.uint8)
        labels = np.arange(12) % 3
        names = np.array(["cat", "dog", "caf\u00e9"])
        self._array_sets = (
            {"images": images, "labels": labels, "classes": names},
            {"x_train": images, "y_train": labels[:, None], "x_test": images, "y_test": labels},
            {"train_images": images[..., 0], "train_labels": labels.astype(np.uint8)},
            {"images": images, "targets": labels / 7, "target_names": names[:1]},
            {"images": images, "labels": np.eye(3)[labels], "classes": names},
        )

    def run(self, rng: random.Random, number: int) -> None:
        """A file, which is read and whose images are looked at."""
        path = self.folder / f"file-{number}.npz"
        is_intact = number % 100 == 0
        arrays = dict(rng.choice(self._array_sets))
        path.write_bytes(_archive(rng, arrays, is_intact))
        if not is_intact and rng.random() < 0.02:
            os.truncate(path, rng.choice(INTEGERS) % 2**43)
        try:
            self._check(path, is_intact)
        finally:
            path.unlink()

    def _check(self, path: Path, is_intact: bool) -> None:
        pair = attempt(lambda: npz(str(path)), (path.name,))
        assert pair is not None or not is_intact, "an intact file was refused"
        for part in (pair.train, pair.test) if pair else ():
            images = part.images(np.arange(len(part)))
            assert images.shape == (len(part), *part.image_shape)
            assert images.dtype == np.uint8
            assert part.labels.dtype == np.int32
            assert part.labels.min() >= 0
            assert part.labels.max() < len(part.classes or part.target_names)
            if part.targets is not None:
                assert np.isfinite(part.targets).all()


def _archive(rng: random.Random, arrays: dict[str, np.ndarray], is_intact: bool) -> bytes:
    kind = -1 if is_intact else rng.randrange(10)
    packed = io.BytesIO()
    compression = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    if kind == 0:
        compression = rng.choice((zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    damaged = rng.choice(list(arrays))
    if kind in (1, 2):
        arrays[damaged] = _other_array(rng, arrays[damaged])
    with zipfile.ZipFile(packed, "w", compression) as archive:
        for name, array in arrays.items():
            file = io.BytesIO()
            np.save(file, array)
            content = file.getvalue()
            if name == damaged and kind in (3, 4):
                content = mutated_bytes(rng, content, rng.randbytes(50))
            elif name == damaged and kind in (5, 6):
                content = _with_other_header(rng, content)
            if name == damaged and kind == 7:
                name = rng.choice((*NAMES[:-1], name[:-1], "labels2", "../x")).replace("\0", "")
            archive.writestr(f"{name}.npy", content)
    content = packed.getvalue()
    return mutated_bytes(rng, content, content) if kind >= 8 or kind == 4 else content


def _other_array(rng: random.Random, array: np.ndarray) -> np.ndarray:
    """Another dtype or shape, or odd values."""
    kind = rng.randrange(6)
    if kind == 0 and array.dtype.kind != "U":
        kinds = ("f2", "f8", "i1", ">i8", "u8", "c8", "S3", "U2", "?", "O", "M8[s]", "V4")
        return array.astype(rng.choice(kinds))
    if kind == 1:
        return array.reshape(
            rng.choice(((-1,), (1, -1), (-1, 1), (*array.shape, 1), (1, *array.shape)))
        )
    if kind == 2:
        return array[: rng.randrange(len(array) + 1)]
    if kind == 3:
        return np.asfortranarray(array)
    if kind == 4 and array.dtype.kind in "iu":
        changed = array.astype(np.int64)
        changed.flat[rng.randrange(changed.size)] = rng.choice(INTEGERS[:-1]) - rng.choice((0, 300))
        return changed
    return rng.choice(
        (array[0], array.T, np.zeros(()), np.array("text"), np.zeros((0, 3)), array[::-1])
    )


def _with_other_header(rng: random.Random, content: bytes) -> bytes:
    length = int.from_bytes(content[8:10], "little")
    header = mutated_text(rng, content[10 : 10 + length].decode(), "{'shape': (9, 9)}", _WORDS)
    encoded = header.encode("latin-1", "replace")[:65535]
    if rng.random() < 0.2:
        encoded = rng.choice((b"(" * 3000, b"-" * 3000 + b"1", b"[" * 50_000, b"{" * 90, b""))
    return content[:8] + len(encoded).to_bytes(2, "little") + encoded + content[10 + length :]
