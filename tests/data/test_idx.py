"""MNIST's files: read as they come, and refused when damaged."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from gpucnn.data import fashion_mnist, mnist
from gpucnn.errors import DataError

IMAGES = np.arange(6 * 4 * 5, dtype=np.uint8).reshape(6, 4, 5)
LABELS = np.array([3, 1, 4, 1, 5, 9], np.uint8)
TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


def _idx(array, magic=None):
    magic = 0x0800 + array.ndim if magic is None else magic
    return struct.pack(f">{1 + array.ndim}I", magic, *array.shape) + array.tobytes()


def _write(folder, rename=lambda name: name, pack=lambda content: content):
    for name, array in (
        (TRAIN_IMAGES, IMAGES),
        (TRAIN_LABELS, LABELS),
        (TEST_IMAGES, IMAGES[:2]),
        (TEST_LABELS, LABELS[:2]),
    ):
        (folder / rename(name)).write_bytes(pack(_idx(array)))


def _plain(name):
    return name


def _packed_name(name):
    return f"{name}.gz"


def _dotted(name):
    return name.replace("-idx", ".idx")


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzipped"])
@pytest.mark.parametrize(
    "rename",
    [_plain, _packed_name, _dotted, lambda name: _packed_name(_dotted(name))],
    ids=["usual", "gz", "dotted", "dotted gz"],
)
def test_files_are_read_under_each_name_packed_or_not(tmp_path, rename, pack):
    _write(tmp_path, rename, pack)
    pair = mnist(str(tmp_path))
    assert pair.train.image_shape == (4, 5, 1)
    assert np.array_equal(pair.train.images(np.arange(6))[..., 0], IMAGES)
    assert pair.train.labels.tolist() == LABELS.tolist()
    assert pair.train.labels.dtype == np.int32
    assert np.array_equal(pair.test.images(np.arange(2))[..., 0], IMAGES[:2])


def test_fashion_mnist_has_clothes(tmp_path):
    _write(tmp_path)
    pair = fashion_mnist(str(tmp_path))
    assert len(pair.train.classes) == 10
    assert pair.train.classes[9].lower() == "ankle boot"


def _replace(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def _as_folder(folder):
    (folder / TRAIN_IMAGES).unlink()
    (folder / TRAIN_IMAGES).mkdir()


PACKED = gzip.compress(_idx(IMAGES), mtime=0)
WRONG_SUM = PACKED[:-8] + bytes([PACKED[-8] ^ 1]) + PACKED[-7:]
WRONG_LENGTH = PACKED[:-4] + bytes([PACKED[-4] ^ 1]) + PACKED[-3:]
WRONG_INSIDE = PACKED[:10] + b"\xff" * 10 + PACKED[20:]
DEFECTS = {
    "missing file": (lambda folder: (folder / TRAIN_IMAGES).unlink(), TRAIN_IMAGES),
    "other missing file": (lambda folder: (folder / TEST_LABELS).unlink(), TEST_LABELS),
    "empty file": (_replace(TRAIN_IMAGES, b""), TRAIN_IMAGES),
    "half a header": (_replace(TRAIN_IMAGES, _idx(IMAGES)[:10]), TRAIN_IMAGES),
    "shorter than its header says": (_replace(TRAIN_IMAGES, _idx(IMAGES)[:-1]), TRAIN_IMAGES),
    "longer than its header says": (_replace(TRAIN_IMAGES, _idx(IMAGES) + b"\0"), TRAIN_IMAGES),
    "huge header": (
        _replace(TRAIN_IMAGES, struct.pack(">4I", 0x0803, *[2**32 - 1] * 3)),
        TRAIN_IMAGES,
    ),
    "a header beyond 64 bits": (
        _replace(TRAIN_IMAGES, struct.pack(">4I", 0x0803, *[2**31] * 3)),
        TRAIN_IMAGES,
    ),
    "magic number of floats": (_replace(TRAIN_IMAGES, _idx(IMAGES, 0x0D03)), TRAIN_IMAGES),
    "labels for images": (_replace(TRAIN_IMAGES, _idx(LABELS)), TRAIN_IMAGES),
    "images for labels": (_replace(TRAIN_LABELS, _idx(IMAGES)), TRAIN_LABELS),
    "a web page": (_replace(TRAIN_IMAGES, b"<html>no such file here</html>"), TRAIN_IMAGES),
    "truncated gzip": (_replace(TRAIN_IMAGES, PACKED[: len(PACKED) // 2]), TRAIN_IMAGES),
    "gzip magic only": (_replace(TRAIN_IMAGES, PACKED[:2]), TRAIN_IMAGES),
    "wrong gzip checksum": (_replace(TRAIN_IMAGES, WRONG_SUM), TRAIN_IMAGES),
    "wrong gzip length": (_replace(TRAIN_IMAGES, WRONG_LENGTH), TRAIN_IMAGES),
    "damage inside gzip": (_replace(TRAIN_IMAGES, WRONG_INSIDE), TRAIN_IMAGES),
    "something after gzip": (_replace(TRAIN_IMAGES, PACKED + b"tail"), TRAIN_IMAGES),
    "fewer labels": (_replace(TRAIN_LABELS, _idx(LABELS[:5])), TRAIN_LABELS),
    "label out of range": (_replace(TEST_LABELS, _idx(np.array([1, 10], np.uint8))), TEST_LABELS),
    "no images": (
        lambda folder: [
            (folder / name).write_bytes(_idx(array[:0]))
            for name, array in ((TEST_IMAGES, IMAGES), (TEST_LABELS, LABELS))
        ],
        TEST_IMAGES,
    ),
    "a folder in place of the file": (_as_folder, TRAIN_IMAGES),
}


@pytest.mark.parametrize(("damage", "named"), DEFECTS.values(), ids=DEFECTS)
def test_each_defect_is_an_error_that_names_the_file(tmp_path, damage, named):
    _write(tmp_path)
    damage(tmp_path)
    with pytest.raises(DataError) as caught:
        mnist(str(tmp_path))
    assert named in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_missing_file_is_listed_in_all_its_names(tmp_path):
    _write(tmp_path)
    (tmp_path / TEST_LABELS).unlink()
    with pytest.raises(DataError) as caught:
        mnist(str(tmp_path))
    for name in (TEST_LABELS, f"{TEST_LABELS}.gz", _dotted(TEST_LABELS)):
        assert name in str(caught.value)


def test_images_of_two_sizes_in_train_and_test(tmp_path):
    _write(tmp_path)
    (tmp_path / TEST_IMAGES).write_bytes(_idx(IMAGES[:2, :3]))
    with pytest.raises(DataError, match=r"\(3, 5, 1\)"):
        mnist(str(tmp_path))


def test_a_missing_folder_and_a_file_in_its_place(tmp_path):
    with pytest.raises(DataError, match="absent"):
        mnist(str(tmp_path / "absent"))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match=r"file.*not a folder"):
        mnist(str(tmp_path / "file"))


@pytest.mark.parametrize("operation", ["read_bytes", "stat"])
def test_what_the_system_forbids_is_an_error_that_names_the_file(tmp_path, monkeypatch, operation):
    _write(tmp_path)
    original = getattr(Path, operation)

    def forbidden(path, *args, **kwargs):
        if path.name == TRAIN_IMAGES:
            raise PermissionError(13, "Permission denied", str(path))
        return original(path, *args, **kwargs)

    monkeypatch.setattr(Path, operation, forbidden)
    with pytest.raises(DataError, match=f"{TRAIN_IMAGES}.*Permission denied"):
        mnist(str(tmp_path))
