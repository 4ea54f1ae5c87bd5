"""CIFAR's files, in both versions: read as they come, and refused when damaged."""

import os
import pickle

import cifar_files
import numpy as np
import pytest

from gpucnn.data import cifar10, cifar100
from gpucnn.errors import DataError

IMAGES = np.random.default_rng(1).integers(0, 256, (30, 32, 32, 3), np.uint8)
LABELS = np.arange(30) % 10
FINE = np.arange(30) * 3 + 10
VERSIONS = {False: "binary", True: "python"}
both_versions = pytest.mark.parametrize("is_python", VERSIONS, ids=VERSIONS.get)


def _all(dataset):
    return dataset.images(np.arange(len(dataset)))


@both_versions
def test_cifar10_is_read(is_python, tmp_path):
    cifar_files.write_cifar10(tmp_path, IMAGES, LABELS, is_python)
    pair = cifar10(str(tmp_path))
    assert pair.train.classes == cifar_files.CIFAR_10
    assert np.array_equal(_all(pair.train), IMAGES[:25])
    assert np.array_equal(_all(pair.test), IMAGES[25:])
    assert np.array_equal(np.concatenate([pair.train.labels, pair.test.labels]), LABELS)
    assert pair.train.labels.dtype == np.int32


@both_versions
def test_cifar100_has_the_fine_labels(is_python, tmp_path):
    cifar_files.write_cifar100(tmp_path, IMAGES, FINE, is_python)
    pair = cifar100(str(tmp_path))
    assert pair.train.classes == cifar_files.CIFAR_100
    assert np.array_equal(_all(pair.train), IMAGES[:15])
    assert np.array_equal(np.concatenate([pair.train.labels, pair.test.labels]), FINE)


def test_both_versions_are_the_same_data_set(tmp_path):
    for is_python, name in VERSIONS.items():
        cifar_files.write_cifar10(tmp_path / name, IMAGES, LABELS, is_python)
    one, other = (cifar10(str(tmp_path / name)).train for name in VERSIONS.values())
    assert one.fingerprint() == other.fingerprint()


@pytest.mark.parametrize(
    ("folder", "is_python"),
    [("cifar-10-batches-bin", False), ("cifar-10-batches-py", True)],
)
def test_the_folder_of_the_archive_is_found(folder, is_python, tmp_path):
    cifar_files.write_cifar10(tmp_path / folder, IMAGES, LABELS, is_python)
    assert len(cifar10(str(tmp_path)).train) == 25


@pytest.mark.parametrize(
    ("folder", "is_python"), [("cifar-100-binary", False), ("cifar-100-python", True)]
)
def test_so_is_that_of_cifar100(folder, is_python, tmp_path):
    cifar_files.write_cifar100(tmp_path / folder, IMAGES, FINE, is_python)
    assert len(cifar100(str(tmp_path)).train) == 15


def test_an_array_in_the_order_of_fortran(tmp_path):
    cifar_files.write_cifar100(tmp_path, IMAGES, FINE, is_python=True)
    content = {"data": np.asfortranarray(cifar_files.rows(IMAGES)), "fine_labels": FINE.tolist()}
    (tmp_path / "train").write_bytes(cifar_files.python2_pickle(content))
    assert np.array_equal(_all(cifar100(str(tmp_path)).train), IMAGES)


def test_many_images_in_one_file(tmp_path):
    """More entries than a MARK holds, and more than 255 that are memoised."""
    images, labels = np.repeat(IMAGES, 100, axis=0), np.repeat(FINE, 100)
    cifar_files.write_cifar100(tmp_path, images, labels, is_python=True)
    assert cifar100(str(tmp_path)).train.labels.tolist() == labels[:1500].tolist()


def test_pickles_are_those_that_python_reads():
    """The writer in these tests is right about the format."""
    content = cifar_files.by_python(cifar_files.python_file(IMAGES[:4], "labels", LABELS[:4]))
    assert content[b"labels"] == [0, 1, 2, 3]
    assert np.array_equal(content[b"data"], cifar_files.rows(IMAGES[:4]))
    names = cifar_files.by_python(cifar_files.meta("label_names", cifar_files.CIFAR_10))
    assert names[b"label_names"] == [name.encode() for name in cifar_files.CIFAR_10]


BATCH = "data_batch_2"
BINARY = f"{BATCH}.bin"


def _replace(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def _row(label):
    return bytes([label]) + bytes(3072)


def _as_fifo(name):
    def change(folder):
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return change


DEFECTS = {
    "missing": (lambda folder: (folder / BINARY).unlink(), rf"{BINARY}: is missing.*kriz/cifar"),
    "names missing": (
        lambda folder: (folder / "batches.meta.txt").unlink(),
        "meta.txt: is missing; it is in cifar-10-binary.tar.gz",
    ),
    "empty": (_replace(BINARY, b""), f"{BINARY}: has 0 bytes; expected 3,073 for each image"),
    "cut": (_replace(BINARY, _row(1)[:-1]), f"{BINARY}: has 3,072 bytes"),
    "label": (_replace(BINARY, _row(10)), f"{BINARY}: has the label 10, but labels go from 0 to 9"),
    "huge": (
        lambda folder: os.truncate(folder / BINARY, 3073 * 10**8),
        f"{BINARY}: has 307,300,000,000 bytes",
    ),
    "a FIFO": (_as_fifo(BINARY), f"{BINARY}: is a FIFO"),
    "nine names": (
        _replace("batches.meta.txt", b"\n".join(map(b"%d".__mod__, range(9)))),
        "meta.txt: has 9 class names, 9 of them distinct; expected 10",
    ),
    "a name twice": (_replace("batches.meta.txt", b"a\n" * 10), "1 of them distinct; expected 10"),
    "names not in UTF-8": (_replace("batches.meta.txt", b"\xff\n" * 10), "is not text in UTF-8"),
    "names without end": (
        lambda folder: os.truncate(folder / "batches.meta.txt", 10**10),
        "has 10,000,000,000 bytes, 65,536 at most",
    ),
}


@pytest.mark.parametrize(("damage", "words"), DEFECTS.values(), ids=DEFECTS)
def test_each_defect_is_named(damage, words, tmp_path):
    cifar_files.write_cifar10(tmp_path, IMAGES, LABELS)
    damage(tmp_path)
    with pytest.raises(DataError, match=words) as caught:
        cifar10(str(tmp_path))
    assert str(tmp_path) in str(caught.value)


def _pickled(value):
    return _replace(BATCH, cifar_files.python2_pickle(value))


def _state(state):
    """An array with a state of one's own."""
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\ntR"
    return _replace(BATCH, b"\x80\x02}U\x04data" + array + state + b"bs.")


GOOD = cifar_files.python_file(IMAGES[:2], "labels", [1, 2])
U1 = b"cnumpy\ndtype\n(U\x02u1tR"
PICKLES = {
    "nothing": (_replace(BATCH, b""), "ends too early"),
    "text": (_replace(BATCH, b"no pickle"), "opcode 0x6e at byte 0"),
    "cut": (_replace(BATCH, GOOD[:-9]), "ends too early"),
    "more after it": (_replace(BATCH, GOOD + b"x"), "goes on after the end"),
    "a list": (_pickled([1]), "has no dictionary"),
    "no data": (_pickled({"labels": [1]}), 'has no "data"'),
    "other rows": (_pickled({"data": np.zeros((2, 9), np.uint8)}), 'has no "data"'),
    "no labels": (_pickled({"data": np.zeros((2, 3072), np.uint8)}), 'has no "labels"'),
    "one label": (
        _pickled({"data": np.zeros((2, 3072), np.uint8), "labels": [1]}), "a list of 2 whole"),
    "labels that are text": (
        _pickled({"data": np.zeros((1, 3072), np.uint8), "labels": ["1"]}), "a list of 1 whole"),
    "a label too large": (
        _pickled({"data": np.zeros((1, 3072), np.uint8), "labels": [10]}), "has the label 10"),
    "a label of 256": (
        _pickled({"data": np.zeros((1, 3072), np.uint8), "labels": [256]}), "from 0 to 255"),
    "another version of pickles": (
        _replace(BATCH, pickle.dumps({"data": 1}, 4)), "is a pickle of protocol 4"),
    "a float": (_replace(BATCH, pickle.dumps(1.5, 2)), "opcode BINFLOAT at byte 2"),
    "a set": (_replace(BATCH, pickle.dumps({1}, 2)), r"names __builtin__\.set \(pickle opc"),
    "a class": (_replace(BATCH, pickle.dumps(DataError("x"), 2)), r"names gpucnn\.errors\.DataErr"),
    "a call of a string": (_replace(BATCH, b"U\1a)R."), "opcode REDUCE"),
    "a dtype of nothing": (_replace(BATCH, b"cnumpy\ndtype\n)R."), "a dtype has no code"),
    "an array of nothing": (
        _replace(BATCH, b"cnumpy.core.multiarray\n_reconstruct\n)R."), "restored from something"),
    "an array of floats": (_state(b"(K\1K\1K\1\x86cnumpy\ndtype\n(U\x02f8tR\x89U\x08" + bytes(8)
                                  + b"t"), "something else than bytes"),
    "an array with a short state": (_state(b"(K\1t"), "another state"),
    "an array of numbers": (_state(b"(K\1K\1K\1\x86" + U1 + b"\x89K\1t"), "is not a string"),
    "an array of one dimension": (_state(b"(K\1K\1\x85" + U1 + b"\x89U\1at"), "not two numbers"),
    "an array of another size": (
        _state(b"(K\1K\2K\1\x86" + U1 + b"\x89U\1at"), r"shape \(2, 1\) with 1 bytes"),
    "an array of sides below 0": (
        _state(b"(K\1J\xff\xff\xff\xffJ\xff\xff\xff\xff\x86" + U1 + b"\x89U\1at"), r"\(-1, -1\)"),
    "a state for a list": (_replace(BATCH, b"])b."), "opcode BUILD"),
    "pops from nothing": (_replace(BATCH, b"a."), "lacks its value"),
    "a mark that is missing": (_replace(BATCH, b"t."), "lacks its mark"),
    "appends to a number": (_replace(BATCH, b"K\1K\1a."), "lacks its list"),
    "keeps nothing": (_replace(BATCH, b"q\1."), "no value to be kept"),
    "gets what was not kept": (_replace(BATCH, b"h\7."), "no value 7"),
    "a key without value": (_replace(BATCH, b"(K\1d."), "a key without a value"),
    "a key that is a number": (_replace(BATCH, b"(K\1K\1d."), "keys that are not text"),
    "a string that promises 2 GiB": (_replace(BATCH, b"T\xff\xff\xff\x7fabc."), "too early"),
    "a string of less than nothing": (_replace(BATCH, b"T\xff\xff\xff\xffabc."), "-1 bytes"),
    "a string with escapes": (_replace(BATCH, b"S'\\x00'\n."), "for a string"),
    "a line without end": (_replace(BATCH, b"I" + b"1" * 10**5), "line that does not end"),
    "a number of 30 digits": (_replace(BATCH, b"I" + b"1" * 30 + b"\n."), "for a number"),
    "no number": (_replace(BATCH, b"I--1\n."), '"--1" for a number'),
    "opcodes without end": (_replace(BATCH, b"}" * 500_001), "more than 500,000 pickle op"),
    "too large": (lambda d: os.truncate(d / BATCH, 10**12), "has 1,000,000,000,000 bytes"),
}  # fmt: skip


@pytest.mark.parametrize(("damage", "words"), PICKLES.values(), ids=PICKLES)
def test_each_defect_of_a_pickle_is_named(damage, words, tmp_path):
    cifar_files.write_cifar10(tmp_path, IMAGES, LABELS, is_python=True)
    damage(tmp_path)
    with pytest.raises(DataError, match=words) as caught:
        cifar10(str(tmp_path))
    assert f"{tmp_path}/{BATCH}: " in str(caught.value)


class _Trap:
    def __reduce__(self):
        return os.system, ("touch trapped",)


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_nothing_in_a_pickle_is_executed(protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cifar_files.write_cifar10(tmp_path, IMAGES, LABELS, is_python=True)
    (tmp_path / BATCH).write_bytes(pickle.dumps({b"data": _Trap()}, protocol))
    with pytest.raises(DataError, match=r"names (posix\.system|_codecs\.encode|builtins)"):
        cifar10(str(tmp_path))
    assert not (tmp_path / "trapped").exists()


def test_a_folder_without_the_files_says_where_to_get_them(tmp_path):
    with pytest.raises(DataError) as caught:
        cifar10(str(tmp_path))
    for word in ("data_batch_1.bin", "data_batch_1 ", "cifar-10-python.tar.gz", "kriz/cifar.html"):
        assert word in str(caught.value)
    (tmp_path / "cifar-100-python.tar.gz").touch()
    with pytest.raises(DataError, match=r"cifar-100-python\.tar\.gz: is packed; unpack it"):
        cifar100(str(tmp_path))


def test_a_folder_of_images_is_another_data_set(tmp_path):
    (tmp_path / "train" / "cat").mkdir(parents=True)
    for read in (cifar10, cifar100):
        with pytest.raises(DataError, match=r"set data\.name to image_folder"):
            read(str(tmp_path))


def test_a_missing_folder(tmp_path):
    with pytest.raises(DataError, match=r"absent: there is no such folder.*files of CIFAR-10 are"):
        cifar10(str(tmp_path / "absent"))
