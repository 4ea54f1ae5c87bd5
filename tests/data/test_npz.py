"""Arrays in npz files: read under the names in use, split by seed, and refused when damaged."""

import io
import os
import re
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from gpucnn.data import datasets, describe_images, npz
from gpucnn.errors import ConfigError, DataError

IMAGES = np.random.default_rng(1).integers(0, 256, (20, 5, 4, 3), np.uint8)
LABELS = np.arange(20) % 4
KERAS = {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:5], "y_test": LABELS[:5]}


def _all(dataset):
    return dataset.images(np.arange(len(dataset)))


@pytest.fixture
def file(tmp_path):
    return tmp_path / "data.npz"


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, ">i4"])
def test_keras_names(save, dtype, file):
    save(file, **{**KERAS, "y_train": LABELS.astype(dtype)})
    pair = npz(str(file))
    assert pair.train.classes == ("0", "1", "2", "3")
    assert np.array_equal(_all(pair.train), IMAGES)
    assert np.array_equal(_all(pair.test), IMAGES[:5])
    assert pair.train.labels.tolist() == LABELS.tolist()
    assert pair.train.labels.dtype == np.int32


def test_grey_images_labels_in_a_column_and_names(file, capsys):
    grey = np.asfortranarray(IMAGES[..., 0])
    np.savez(
        file, train_images=grey, train_labels=LABELS[:, None], test_images=grey[:3],
        test_labels=LABELS[:3, None], classes=["cat", "dog", "caf\u00e9", "emu"], val_images=grey,
    )  # fmt: skip
    pair = npz(str(file))
    assert pair.train.image_shape == (5, 4, 1)
    assert np.array_equal(_all(pair.train)[..., 0], grey)
    assert pair.test.classes == ("cat", "dog", "caf\u00e9", "emu")
    assert capsys.readouterr().err == f"{file}: left out the arrays val_images\n"


def test_a_missing_test_split_is_split_off_of_each_class(file):
    np.savez(file, images=IMAGES, labels=LABELS)
    pair = npz(str(file), test_share=0.4)
    assert np.bincount(pair.test.labels).tolist() == [2, 2, 2, 2]
    assert np.bincount(pair.train.labels).tolist() == [3, 3, 3, 3]
    together = sorted(image.tobytes() for part in (pair.train, pair.test) for image in _all(part))
    assert together == sorted(image.tobytes() for image in IMAGES)


def test_the_seed_determines_the_split(file):
    np.savez(file, images=IMAGES, labels=LABELS)
    prints = [npz(str(file), split_seed=seed).test.fingerprint() for seed in (0, 0, 1)]
    assert prints[0] == prints[1] != prints[2]
    assert npz(str(file), 0.2).train.fingerprint() != npz(str(file), 0.4).train.fingerprint()


def test_the_split_is_what_it_was(file):
    """Runs that began with an earlier version go on with the same images."""
    np.savez(file, images=np.arange(24, dtype=np.uint8).reshape(24, 1, 1), labels=np.arange(24) % 4)
    test = npz(str(file), test_share=0.3, split_seed=5).test
    assert _all(test).reshape(-1).tolist() == [6, 8, 9, 13, 15, 18, 20, 23]


@pytest.mark.parametrize("share", [0.01, 0.99])
def test_each_part_has_at_least_one_image_of_a_class(share, file):
    np.savez(file, images=IMAGES, labels=LABELS)
    pair = npz(str(file), share)
    assert set(pair.train.labels.tolist()) == set(pair.test.labels.tolist()) == {0, 1, 2, 3}


def test_a_class_with_one_image_is_trained_on_and_warned_of(file, capsys):
    np.savez(file, images=IMAGES, labels=np.array([0, 1] * 9 + [0, 2]))
    pair = npz(str(file))
    assert pair.train.labels.tolist().count(2) == 1
    assert "has no images of the class 2 (1 image)\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"test_share": 0.0}, "test_share is 0.0"),
        ({"test_share": 1.0}, "test_share is 1.0"),
        ({"test_share": float("nan")}, "test_share is nan"),
        ({"split_seed": -1}, "split_seed is -1"),
        ({"split_seed": 2**64}, "split_seed"),
    ],
)
def test_options_out_of_range(options, words, file):
    with pytest.raises(ConfigError, match=words):
        npz(str(file), **options)


def test_the_config_table_is_understood(file):
    np.savez(file, images=IMAGES, labels=LABELS)
    table = {"name": "npz", "path": str(file), "test_share": 0.5}
    assert len(datasets.create(table, "data").test) == 8  # 2.5 is rounded to the even number
    assert describe_images(table) == ((5, 4, 3), 4, False)


TARGETS = np.stack([LABELS * 1.5, -LABELS * 100.0], axis=1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int16])
def test_targets_are_numbers_to_predict(dtype, file):
    arrays = {"images": IMAGES, "targets": TARGETS.astype(dtype), "target_names": ["x", "y"]}
    np.savez(file, **arrays, test_images=IMAGES[:5], test_targets=TARGETS[:5].astype(dtype))
    pair = npz(str(file))
    for part, expected in ((pair.train, TARGETS), (pair.test, TARGETS[:5])):
        assert (part.classes, part.target_names) == ((), ("x", "y"))
        assert part.targets.dtype == np.float32
        np.testing.assert_array_equal(part.targets, expected.astype(dtype).astype(np.float32))
        assert not part.labels.any()
    shape = describe_images({"name": "npz", "path": str(file)})
    assert shape == ((5, 4, 3), 2, True)


@pytest.mark.parametrize(("values", "names"), [
    (TARGETS[:, 0], ("target",)), (TARGETS[:, :1], ("target",)),
    (TARGETS, ("target_1", "target_2")),
])  # fmt: skip
def test_floats_of_keras_are_targets(values, names, file):
    np.savez(file, **{**KERAS, "y_train": values, "y_test": values[:5]})
    pair = npz(str(file))
    assert pair.train.target_names == names
    np.testing.assert_array_equal(pair.train.targets, values.reshape(20, -1).astype(np.float32))


def test_targets_without_a_test_split_are_split_at_random_by_the_seed(file, capsys):
    np.savez(file, images=IMAGES, targets=np.arange(20.0))
    parts = [npz(str(file), test_share=0.25, split_seed=seed) for seed in (0, 0, 1)]
    chosen = [pair.test.targets[:, 0].tolist() for pair in parts]
    assert len(chosen[0]) == 5
    assert chosen[0] == chosen[1] != chosen[2]
    assert sorted(chosen[0] + parts[0].train.targets[:, 0].tolist()) == list(range(20))
    assert np.array_equal(_all(parts[0].test), IMAGES[parts[0].test.targets[:, 0].astype(int)])
    assert "5 of 20 images are split off" in capsys.readouterr().err


@pytest.mark.parametrize("names", [("images", "labels"), ("x_train", "y_train")])
def test_soft_labels(names, file):
    soft = np.full((20, 4), 0.1)
    soft[np.arange(20), LABELS] = 0.7
    np.savez(file, **dict(zip(names, (IMAGES, soft), strict=True)), classes=list("abcd"))
    pair = npz(str(file), test_share=0.4)
    assert (pair.train.classes, pair.train.target_names) == (tuple("abcd"), ())
    assert np.bincount(pair.train.labels).tolist() == [3, 3, 3, 3]
    np.testing.assert_array_equal(pair.train.targets.argmax(axis=1), pair.train.labels)
    assert pair.train.targets[0].max() == np.float32(0.7)
    np.savez(file, **dict(zip(names, (IMAGES, soft), strict=True)))
    assert npz(str(file)).train.classes == ("0", "1", "2", "3")


def test_soft_labels_may_be_tested_on_plain_ones(file):
    np.savez(file, **{**KERAS, "y_train": np.eye(4)[LABELS]})
    pair = npz(str(file))
    assert pair.train.classes == pair.test.classes == ("0", "1", "2", "3")
    assert pair.train.targets.shape == (20, 4)
    assert pair.test.targets is None


ARRAYS = {
    "other names": (
        {"a": IMAGES, "b": LABELS}, "has no arrays images and labels or images.*or x_train.*a, b"),
    "no arrays": ({}, "it has none"),
    "no labels": ({"images": IMAGES}, "lacks the array labels"),
    "half a test": ({**KERAS, "y_test": None}, "lacks the array y_test"),
    "another number": ({"images": IMAGES, "labels": LABELS[:9]}, "has 20 images, and labels has 9"),
    "no images": ({"images": IMAGES[:0], "labels": LABELS[:0]}, r"images is empty .*\(0, 5, 4"),
    "floats": ({"images": IMAGES / 255, "labels": LABELS}, r"save \(images \* 255\)\.round\(\)"),
    "wide numbers": ({"images": IMAGES.astype(int), "labels": LABELS}, r"images\.astype\(np\.uint"),
    "channels first": (
        {"images": IMAGES.transpose(0, 3, 1, 2).repeat(5, 3), "labels": LABELS},
        r"channels are last.*images\.transpose\(0, 2, 3, 1\)"),
    "rows": ({"images": IMAGES.reshape(20, -1), "labels": LABELS}, r"\(20, 60\).*reshape it"),
    "float labels": ({"images": IMAGES, "labels": LABELS / 1}, r"labels\.astype\(np\.int64\)"),
    "text labels": ({"images": IMAGES, "labels": LABELS.astype(str)}, r"np\.unique\(labels"),
    "a column each": (
        {"images": IMAGES, "labels": np.eye(4, dtype=int)[LABELS]}, r"labels\.argmax\(axis=1\)"),
    "shares of more than 1": (
        {"images": IMAGES, "labels": np.eye(4)[LABELS] * 1.01},
        "in labels, the soft label of image 0 .* the sum 1.01"),
    "a share of NaN": (
        {"images": IMAGES, "labels": np.where(np.eye(4)[LABELS] > 0, np.nan, 0.0)},
        'in labels, the target "0" of image 0 is nan'),
    "names of other columns": (
        {"images": IMAGES, "labels": np.eye(4)[LABELS], "classes": list("abc")},
        "3 names for 4 columns"),
    "an infinite target": (
        {"images": IMAGES, "targets": np.where(LABELS == 2, np.inf, 1.5)},
        'in targets, the target "target" of image 2 is inf'),
    "a target beyond FP32": (
        {"images": IMAGES, "targets": LABELS * 1e300}, 'the target "target" of image 1 is inf'),
    "targets of text": ({"images": IMAGES, "targets": LABELS.astype(str)}, "targets are numbers"),
    "targets in 3-D": ({"images": IMAGES, "targets": LABELS[:, None, None]}, r"\(N, T\)"),
    "other test targets": (
        {**KERAS, "y_train": LABELS / 3, "y_test": np.ones((5, 2))}, "y_test has 2 columns, but"),
    "classes to test on": (
        {**KERAS, "y_train": np.ones((20, 2)), "y_test": LABELS[:5]}, "y_test has 1 columns, but"),
    "labels in 3-D": ({"images": IMAGES, "labels": LABELS[:, None, None]}, r"labels are \(N,\)"),
    "a label below 0": ({"images": IMAGES, "labels": LABELS - 1}, "has the label -1"),
    "a huge label": ({"images": IMAGES, "labels": LABELS + 2**40}, "without gaps"),
    "an unsigned label": (
        {"images": IMAGES, "labels": LABELS.astype(np.uint64) + 2**63}, "without gaps"),
    "another test label": ({**KERAS, "y_test": LABELS[:5] + 4}, "y_test has the label 7, but"),
    "one class": ({"images": IMAGES, "labels": LABELS * 0}, "one class, 0; training needs two"),
    "images of one each": (
        {"images": IMAGES, "labels": np.arange(20)}, "no class has two images.*add images"),
    "another test shape": ({**KERAS, "x_test": IMAGES[:5, 1:]}, r"\(5, 4, 3\) and \(4, 4, 3\)"),
    "objects": ({"images": IMAGES, "labels": LABELS.astype(object)}, "labels has Python objects"),
    "too few names": ({"images": IMAGES, "labels": LABELS, "classes": ["a", "b"]}, "the label 3"),
    "a name twice": ({"images": IMAGES, "labels": LABELS, "classes": list("abcc")}, "a name twice"),
    "names of numbers": ({"images": IMAGES, "labels": LABELS, "classes": [1, 2]}, "must be text"),
    "no characters": (
        {"images": IMAGES, "labels": LABELS, "classes": np.full(4, 2**31, "u4").view("U1")},
        "characters that do not exist"),
    "long names": (
        {"images": IMAGES, "labels": LABELS, "classes": ["x" * 999, "b"]}, "must be text"),
}  # fmt: skip


@pytest.mark.parametrize(("arrays", "words"), ARRAYS.values(), ids=ARRAYS)
def test_arrays_that_cannot_be_used(arrays, words, file):
    np.savez(file, **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(DataError, match=words) as caught:
        npz(str(file))
    assert len(str(caught.value)) < 500


PIXELS = IMAGES.tobytes()


def _npy(descr="|u1", shape=(20, 5, 4, 3), version=b"\1\0", content=PIXELS):
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY" + version + struct.pack("<H", len(header)) + header + content


def _zip(images, compression=zipfile.ZIP_STORED):
    labels = io.BytesIO()
    np.save(labels, LABELS)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive:
        archive.writestr("images.npy", images)
        archive.writestr("labels.npy", labels.getvalue())
    return packed.getvalue()


def _changed(content, place, value):
    return content[:place] + value + content[place + len(value) :]


GOOD = _zip(_npy())
DIRECTORY = GOOD.index(b"PK\1\2")
END = GOOD.index(b"PK\5\6")
FILES = {
    "empty": (b"", "is not an npz file, or a damaged one"),
    "text": (b"images", "is not an npz file"),
    "an npy file": (_npy(), "is not an npz file"),
    "cut": (GOOD[: len(GOOD) // 2], "is not an npz file"),
    "a wrong sum": (_changed(GOOD, 300, b"12345"), "Bad CRC-32"),
    "no npy": (_zip(b"no array"), "images has no header"),
    "half a header": (_zip(_npy()[:30]), "images has no header"),
    "a header of nothing": (_zip(_npy()[:10] + b"(" * 200), "images has no header"),
    "deep brackets": (_zip(_npy(descr="(" * 3000)), "images has no header"),
    "another version": (_zip(_npy(version=b"\3\0")), "images has no header"),
    "more than its header says": (_zip(_npy() + b"x"), "images has another size than its header"),
    "less": (_zip(_npy()[:-1]), "images has another size"),
    "64 GiB promised": (_zip(_npy(shape=(2**36, 1, 1))), "images has another size"),
    "beyond 64 bits": (_zip(_npy(shape=(2**63, 2**63, 9))), "images has another size"),
    "sides below 0": (_zip(_npy(shape=(-20, -5, 4, 3))), "is empty"),
    "objects": (_zip(_npy(descr="|O")), "has Python objects"),
    "a dtype that is none": (_zip(_npy(descr="what")), "images has no header"),
    "packed by bzip2": (_zip(_npy(), zipfile.ZIP_BZIP2), "a way that numpy does not use"),
    "packed by LZMA": (_zip(_npy(), zipfile.ZIP_LZMA), "a way that numpy does not use"),
    "encrypted": (_changed(GOOD, DIRECTORY + 8, b"\1"), "is encrypted"),
    "a directory of 4 GiB": (
        _changed(GOOD, END + 12, b"\xf0\xff\xff\xff"), "is not an npz file"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "words"), FILES.values(), ids=FILES)
def test_each_defect_is_named(content, words, file):
    file.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(f"{file}: ") + f".*{words}"):
        npz(str(file))


def test_the_file_without_defects_is_read(file):
    file.write_bytes(GOOD)
    assert len(npz(str(file)).train) == 16


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (str, "there is no such file; set data.path to an npz file"),
        (os.mkdir, "is a folder, not a file; set data.path"),
        (os.mkfifo, "is a FIFO, not a file"),
        (lambda path: path.symlink_to("/dev/zero"), "is a device, not a file"),
    ],
    ids=["nothing", "folder", "FIFO", "device"],
)
def test_what_is_not_a_file_is_named(make, words, file):
    make(file)
    with pytest.raises(DataError, match=words):
        npz(str(file))


def _measured(most_mebibytes, path):
    """Reads a file in a process that can take so much memory beyond its imports; its answer."""
    script = (
        "import resource, sys\n"
        "from gpucnn.data import npz\n"
        "from gpucnn.errors import DataError\n"
        "pages = int(open('/proc/self/statm').read().split()[0])\n"
        f"most = pages * resource.getpagesize() + ({most_mebibytes} << 20)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (most, most))\n"
        "try:\n"
        "    npz(sys.argv[1])\n"
        "    print('read')\n"
        "except DataError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, path], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_reading_takes_little_more_than_the_images(file):
    np.savez_compressed(file, images=np.zeros((1 << 14, 32, 32), np.uint8),
                        labels=np.arange(1 << 14) % 10)  # fmt: skip
    assert _measured(16 + 16, file) == "read\n"


def test_memory_that_is_too_small_is_said_to_be(file):
    """Of zeros, 256 MiB take a quarter of a MiB, so the header may be right."""
    shape = (1 << 18, 1 << 5, 1 << 5)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("images.npy", "w") as entry:
            entry.write(_npy(shape=shape, content=b""))
            for _ in range(1 << 4):
                entry.write(bytes(1 << 24))
        with archive.open("labels.npy", "w") as entry:
            np.save(entry, np.arange(1 << 18) % 4)
    answer = _measured(64, file)
    assert f"{file}: the 268,435,456 bytes of images do not fit into memory; use a part" in answer


def test_links_to_files_are_followed(file, tmp_path):
    np.savez(tmp_path / "other.npz", images=IMAGES, labels=LABELS)
    file.symlink_to("other.npz")
    assert len(npz(str(file)).train) == 16
