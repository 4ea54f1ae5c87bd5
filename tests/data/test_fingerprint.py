"""What a data set's fingerprint depends on, and what it does not."""

import hashlib
import os
import shutil
import struct
import unicodedata

import numpy as np
import pytest
from PIL import Image

from gpucnn.data import ArrayDataset, Dataset, Subset, digits, image_folder, in_memory, mnist
from gpucnn.errors import DataError

IMAGES = np.random.default_rng(1).integers(0, 256, (6, 4, 3, 1), np.uint8)
LABELS = np.array([0, 1, 0, 1, 1, 0], np.int32)


def _arrays(images=IMAGES, labels=LABELS, classes=("a", "b")):
    return ArrayDataset(images, labels, classes)


def _exchanged(array, one, other):
    changed = array.copy()
    changed[[one, other]] = array[[other, one]]
    return changed


def _incremented(array):
    changed = array.copy()
    changed[3, 2, 1] += 1
    return changed


OTHERS = {
    "a pixel": _arrays(_incremented(IMAGES)),
    "labels of two images": _arrays(labels=_exchanged(LABELS, 0, 1)),
    "two images": _arrays(_exchanged(IMAGES, 0, 1)),
    "order, with labels": _arrays(_exchanged(IMAGES, 0, 1), _exchanged(LABELS, 0, 1)),
    "order within a class": _arrays(_exchanged(IMAGES, 0, 2)),
    "names of classes": _arrays(classes=("b", "a")),
    "another class": _arrays(classes=("a", "b", "c")),
    "the split of names": _arrays(classes=("a', 'b", "c")),
    "one image less": _arrays(IMAGES[:5], LABELS[:5]),
    "the shape": _arrays(IMAGES.reshape(6, 3, 4, 1)),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_a_change_of_arrays_is_noticed(other):
    assert other.fingerprint() != _arrays().fingerprint()


def test_the_same_arrays_have_the_same_fingerprint_in_any_process():
    assert (
        _arrays().fingerprint() == _arrays(IMAGES.copy(), LABELS.copy(), ["a", "b"]).fingerprint()
    )
    content = b"(4, 3, 1) ('a', 'b')\0" + LABELS.astype("<i4").tobytes() + IMAGES.tobytes()
    assert _arrays().fingerprint() == hashlib.sha256(content).hexdigest()


def test_large_arrays_are_taken_in_pieces():
    """5 MiB, more than is taken at once; a change at the end is noticed."""
    images, labels = np.zeros((5, 1024, 1024, 1), np.uint8), np.zeros(5, np.int32)
    before = _arrays(images.copy(), labels).fingerprint()
    images[-1, -1, -1] = 1
    assert _arrays(images, labels).fingerprint() != before


def test_a_part_has_its_own():
    parts = [[0, 1, 2], [0, 2, 1], [0, 1, 3], [0, 1]]
    fingerprints = {Subset(_arrays(), np.array(part)).fingerprint() for part in parts}
    assert len(fingerprints) == len(parts)
    again = Subset(_arrays(), np.array(parts[0], np.int32)).fingerprint()
    assert again == Subset(_arrays(), np.array(parts[0])).fingerprint()


def test_read_into_memory_it_stays_the_same():
    part = Subset(_arrays(), np.array([3, 1]))
    assert in_memory(part).fingerprint() == part.fingerprint()


def test_it_is_computed_once():
    class Counted(Dataset):
        image_shape, classes, labels, reads = (4, 3, 1), ("a", "b"), LABELS, 0

        def images(self, indices):
            self.reads += 1
            return IMAGES[indices]

    counted = Counted()
    assert counted.fingerprint() == counted.fingerprint() == _arrays().fingerprint()
    assert counted.reads == 1


def test_the_digits_have_two():
    pair = digits()
    assert pair.train.fingerprint() == digits().train.fingerprint() != pair.test.fingerprint()


def test_idx_files_in_another_place_are_the_same(tmp_path):
    """Packed or not; but not with the labels of two images exchanged."""
    for place, labels in (("one", [1, 2, 1]), ("two", [1, 2, 1]), ("three", [2, 1, 1])):
        (tmp_path / place).mkdir()
        for part in ("train", "t10k"):
            header = struct.pack(">4I", 0x0803, 3, 4, 3)
            (tmp_path / place / f"{part}-images-idx3-ubyte").write_bytes(
                header + IMAGES[:3].tobytes()
            )
            (tmp_path / place / f"{part}-labels-idx1-ubyte").write_bytes(
                struct.pack(">2I", 0x0801, 3) + bytes(labels)
            )
    one, two, three = (mnist(str(tmp_path / place)).train.fingerprint() for place in
                       ("one", "two", "three"))  # fmt: skip
    assert one == two != three


CLASSES = ("cat", "caf\u00e9")


@pytest.fixture
def root(tmp_path):
    """Files of the same names in both classes."""
    rng = np.random.default_rng(1)
    for split in ("train", "test"):
        for name in CLASSES:
            folder = tmp_path / "d" / split / name
            folder.mkdir(parents=True)
            for number in range(3):
                pixels = rng.integers(0, 256, (6, 5, 3), np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.bmp")
    return tmp_path / "d"


def _train(root, **options):
    return image_folder(str(root), **options).train.fingerprint()


def test_neither_the_place_nor_memory_nor_workers_nor_times_count(root, tmp_path):
    expected = _train(root)
    assert _train(root, memory_limit_mb=0) == expected
    assert _train(root, workers=1) == expected
    shutil.copytree(root, tmp_path / "moved", copy_function=shutil.copyfile)
    for path in (tmp_path / "moved").rglob("*"):
        os.utime(path, (0, 0))
    assert _train(tmp_path / "moved") == expected
    assert in_memory(image_folder(str(root), memory_limit_mb=0).train).fingerprint() == expected


def test_the_unicode_form_of_names_does_not_count(root):
    expected = _train(root)
    for split in ("train", "test"):
        (root / split / CLASSES[1]).rename(root / split / unicodedata.normalize("NFD", CLASSES[1]))
    assert _train(root) == expected


def _swap(one, other):
    one.rename(one.parent / "between")
    other.rename(one)
    (one.parent / "between").rename(other)


CHANGES = {
    "two class folders exchanged": lambda d: _swap(d / CLASSES[0], d / CLASSES[1]),
    "files of two classes exchanged": (
        lambda d: _swap(d / CLASSES[0] / "1.bmp", d / CLASSES[1] / "1.bmp")),
    "files of one class exchanged": (
        lambda d: _swap(d / CLASSES[0] / "1.bmp", d / CLASSES[0] / "2.bmp")),
    "a file of another name": lambda d: (d / "cat" / "0.bmp").rename(d / "cat" / "9.bmp"),
    "a file of another name in the same place": lambda d: (d / "cat" / "2.bmp").rename(
        d / "cat" / "9.bmp"
    ),
    "a file in another class": lambda d: (d / "cat" / "0.bmp").rename(d / CLASSES[1] / "9.bmp"),
    "another class": lambda d: (d / "cat").rename(d / "cow"),
    "a file less": lambda d: (d / "cat" / "0.bmp").unlink(),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_of_files_is_noticed(change, root):
    """Bitmaps of one shape all have the same size, so sizes do not give it away."""
    before = _train(root)
    change(root / "train")
    if change is CHANGES["another class"]:
        change(root / "test")
    assert _train(root) != before


def test_of_a_large_file_the_middle_and_the_size_count(root):
    path = root / "train" / "cat" / "0.bmp"
    Image.fromarray(np.zeros((200, 200, 3), np.uint8)).save(path)
    before = _train(root, size=8)
    with path.open("ab") as file:
        file.write(bytes(10))  # the middle is as black as before
    longer = _train(root, size=8)
    assert longer != before
    with path.open("r+b") as file:
        file.seek(60_000)
        file.write(b"\1")
    assert _train(root, size=8) not in (before, longer)


def test_a_file_that_is_gone_is_named(root):
    train = image_folder(str(root), memory_limit_mb=0).train
    (root / "train" / "cat" / "1.bmp").unlink()
    with pytest.raises(DataError, match=r"cat/1.bmp: cannot be read \(No such file"):
        train.fingerprint()
