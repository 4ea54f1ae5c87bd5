"""MNIST's files: read as they come, and refused when damaged."""

import gzip
import os
import re
import struct
import subprocess
import sys
from collections import Counter
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


@pytest.mark.parametrize(("module", "operation"), [(os, "open"), (Path, "stat")])
def test_what_the_system_forbids_is_an_error_that_names_the_file(
    tmp_path, monkeypatch, module, operation
):
    _write(tmp_path)
    original = getattr(module, operation)

    def forbidden(path, *args, **kwargs):
        if Path(path).name == TRAIN_IMAGES:
            raise PermissionError(13, "Permission denied", str(path))
        return original(path, *args, **kwargs)

    monkeypatch.setattr(module, operation, forbidden)
    with pytest.raises(DataError, match=f"{TRAIN_IMAGES}.*Permission denied"):
        mnist(str(tmp_path))


def test_gzip_members_follow_each_other_and_zeros_follow_them(tmp_path):
    content = _idx(IMAGES)
    _write(tmp_path)
    members = (content[:3], b"", content[3:50], content[50:])
    packed = b"".join(map(gzip.compress, members)) + bytes(3000)
    (tmp_path / TRAIN_IMAGES).write_bytes(packed)
    read = mnist(str(tmp_path)).train.images(np.arange(6))
    assert np.array_equal(read[..., 0], IMAGES)


def _measured(most_mebibytes, *folders):
    """Reads folders in a process that can take so much memory beyond its imports; the errors."""
    script = (
        "import resource, sys\n"
        "from gpucnn.data import mnist\n"
        "from gpucnn.errors import DataError\n"
        "pages = int(open('/proc/self/statm').read().split()[0])\n"
        f"most = pages * resource.getpagesize() + ({most_mebibytes} << 20)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (most, most))\n"
        "for folder in sys.argv[1:]:\n"
        "    try:\n"
        "        mnist(folder)\n"
        "        print('read')\n"
        "    except DataError as error:\n"
        "        print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *folders], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def _bomb(header, gibibytes):
    """A gzip file that unpacks to the header and so many GiB of zeros, in members of 16 MiB."""
    return gzip.compress(header) + gzip.compress(bytes(1 << 24)) * (gibibytes * 64)


IMAGES_HEADER = _idx(IMAGES)[:16]
SIZES = {
    "a small file that unpacks to 2 GiB": (
        TRAIN_IMAGES, lambda path: path.write_bytes(_bomb(_idx(IMAGES), 2)), "longer than its"),
    "so do labels": (
        TRAIN_LABELS, lambda path: path.write_bytes(_bomb(_idx(LABELS), 2)), "longer than its"),
    "100 GB of holes": (
        TRAIN_IMAGES,
        lambda path: (path.write_bytes(_idx(IMAGES)), os.truncate(path, 10**11)), "100000000000"),
    "100 GB of holes after gzip": (
        TRAIN_IMAGES,
        lambda path: (path.write_bytes(PACKED), os.truncate(path, 10**11)), "100000000000"),
    "a header that promises 64 GiB": (
        TRAIN_IMAGES,
        lambda path: path.write_bytes(struct.pack(">4I", 0x0803, 6, 1 << 17, 1 << 17)),
        "shorter than its"),
    "a packed header that promises 64 GiB": (
        TRAIN_IMAGES,
        lambda path: path.write_bytes(
            gzip.compress(struct.pack(">4I", 0x0803, 6, 1 << 17, 1 << 17))),
        "shorter than its"),
    "a name of 2 MB in gzip's header": (
        TRAIN_IMAGES,
        lambda path: path.write_bytes(PACKED[:3] + b"\x08" + PACKED[4:10] + b"x" * 2_000_000),
        "damaged gzip|longer than its|too early"),
}  # fmt: skip


def test_a_wrong_size_takes_neither_memory_nor_time(tmp_path):
    folders = [tmp_path / str(number) for number in range(len(SIZES))]
    for folder, (name, damage, _) in zip(folders, SIZES.values(), strict=True):
        folder.mkdir()
        _write(folder)
        damage(folder / name)
    answers = _measured(48, *folders)
    for case, answer in zip(SIZES, answers, strict=True):
        name, _, words = SIZES[case]
        assert re.search(f"{name}: .*({words})", answer), (case, answer)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzipped"])
def test_reading_takes_little_more_than_the_images(tmp_path, pack):
    """16 MiB of images in each of the two parts."""
    images, labels = np.zeros((1 << 14, 32, 32), np.uint8), np.zeros(1 << 14, np.uint8)
    for part in ("train", "t10k"):
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(pack(_idx(images)))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(_idx(labels))
    assert _measured(32 + 8, tmp_path) == ["read"]


def test_memory_that_is_too_small_is_said_to_be(tmp_path):
    """Of zeros, 256 MiB take a quarter of a MiB of gzip, so the header may be right."""
    count = 1 << 18
    packed = gzip.compress(struct.pack(">4I", 0x0803, count, 32, 32))
    packed += gzip.compress(bytes(1 << 24)) * 16
    (tmp_path / TRAIN_IMAGES).write_bytes(packed)
    (tmp_path / TRAIN_LABELS).write_bytes(_idx(np.zeros(count, np.uint8)))
    (answer,) = _measured(64, tmp_path)
    assert f"{TRAIN_IMAGES}: its 268,435,456 bytes do not fit into memory" in answer


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (os.mkfifo, "is a FIFO"),
        (lambda path: path.symlink_to("/dev/zero"), "is a device"),
        (lambda path: path.symlink_to("nowhere"), "link to a file that does not exist"),
    ],
    ids=["FIFO", "device", "broken link"],
)
def test_what_is_not_a_file_is_named_and_not_opened(tmp_path, make, words):
    _write(tmp_path)
    (tmp_path / TRAIN_LABELS).unlink()
    make(tmp_path / TRAIN_LABELS)
    with pytest.raises(DataError, match=f"{TRAIN_LABELS}: .*{words}"):
        mnist(str(tmp_path))


def test_links_to_files_are_followed(tmp_path):
    _write(tmp_path)
    (tmp_path / TRAIN_LABELS).rename(tmp_path / "labels")
    (tmp_path / TRAIN_LABELS).symlink_to("labels")
    assert mnist(str(tmp_path)).train.labels.tolist() == LABELS.tolist()


def test_messages_have_the_whole_path_and_no_line_breaks(tmp_path, monkeypatch):
    folder = tmp_path / "two\nlines"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        mnist("two\nlines")
    assert str(caught.value).startswith(f"{tmp_path}/two\\nlines: ")
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_ten_thousand_damaged_files_give_the_data_or_an_error(tmp_path):
    """Bits flipped, parts cut out, repeated or replaced, in the file or in what it unpacks to."""
    _write(tmp_path)
    rng = np.random.default_rng(0)
    path = tmp_path / TRAIN_IMAGES
    intact = mnist(str(tmp_path)).train.fingerprint()
    outcomes = Counter()
    for _ in range(10_000):
        path.write_bytes(_damaged(rng, rng.integers(2)))
        try:
            read = mnist(str(tmp_path)).train
        except DataError as error:
            assert str(tmp_path) in str(error)
            assert "\n" not in str(error)
            outcomes["refused"] += 1
        else:
            outcomes["same" if read.fingerprint() == intact else "other pixels"] += 1
    assert outcomes["refused"] > 5_000
    assert outcomes["other pixels"] > 100  # an idx file has no checksum


def _damaged(rng, is_packed):
    """The images' file with one to three changes, before or after it is packed."""
    content = bytearray(PACKED if is_packed == 1 else _idx(IMAGES))
    for _ in range(rng.integers(1, 4)):
        first, last = sorted(rng.integers(0, len(content) + 1, 2).tolist())
        last = min(last, first + 20)
        match rng.integers(5):
            case 0 if content:
                content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
            case 1:
                del content[first:last]
            case 2:
                content[first:first] = content[first:last] * int(rng.integers(1, 50))
            case 3:
                content[first:last] = rng.bytes(last - first)
            case 4:
                del content[first:]
    return gzip.compress(content) if is_packed == 0 and rng.integers(2) else bytes(content)
