"""Packed files: the same data as their source, whole or refused."""

import hashlib
import json
import os
import sys

import numpy as np
import pytest

from gpucnn.data import ArrayDataset, DatasetPair, digits, load_on_demand
from gpucnn.data import packed as read
from gpucnn.data.data_check import check_data
from gpucnn.data.packed import pack, verify
from gpucnn.data.recognition import recognise
from gpucnn.errors import DataError


@pytest.fixture
def pair():
    """Odd sizes, so that no block fills its pages."""
    rng = np.random.default_rng(0)
    parts = [
        ArrayDataset(
            rng.integers(0, 256, (count, 5, 7, 3), np.uint8),
            rng.integers(0, 2, count).astype(np.int32),
            ["cat", "café\n"],
        )
        for count in (1203, 77)
    ]
    return DatasetPair(*parts)


@pytest.fixture
def file(pair, tmp_path):
    pack(pair, tmp_path / "a.packed")
    return tmp_path / "a.packed"


def assert_same(one, other):
    for ours, theirs in ((one.train, other.train), (one.test, other.test)):
        everything = np.arange(len(theirs))
        assert (ours.images(everything) == theirs.images(everything)).all()
        assert ours.images(everything).flags.c_contiguous
        assert ours.images(everything).flags.writeable
        assert (ours.labels == theirs.labels).all()
        assert ours.labels.dtype == np.int32
        assert (ours.targets is None) == (theirs.targets is None)
        assert ours.targets is None or (ours.targets == theirs.targets).all()
        names = [(part.classes, part.target_names, part.image_shape) for part in (ours, theirs)]
        assert names[0] == names[1]
        assert ours.fingerprint() == theirs.fingerprint()


def test_it_has_what_was_packed(pair, file):
    assert_same(read(str(file)), pair)
    some = np.array([1202, 0, 5, 5])
    assert (read(str(file)).train.images(some) == pair.train.images(some)).all()
    assert recognise(file) == {"name": "packed", "path": str(file)}
    assert check_data(recognise(file)).damaged == []


def test_chunks_leave_no_trace(pair, file, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["gpucnn.data.packed"], "_CHUNK_BYTES", 1000)
    pack(pair, tmp_path / "b.packed")
    assert (tmp_path / "b.packed").read_bytes() == file.read_bytes()
    verify(str(file))


def test_numbers_and_soft_labels(tmp_path):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (9, 3, 3, 1), np.uint8), np.zeros(9, np.int32)
    numbers = rng.standard_normal((9, 2)).astype(np.float32)
    soft = np.array([[0.75, 0.25]] * 9, np.float32)
    for name, part in {
        "numbers": ArrayDataset(images, labels, (), None, numbers, ("x", "y")),
        "soft": ArrayDataset(images, labels, ("a", "b"), None, soft),
    }.items():
        pack(DatasetPair(part, part), tmp_path / name)
        assert_same(read(str(tmp_path / name)), DatasetPair(part, part))


def test_image_files(tmp_path):
    """They are decoded in chunks, and the data set is recognised as the one of the files."""
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(5):
                pixels = rng.integers(0, 256, (6, 6 + number, 3), np.uint8)
                image.fromarray(pixels).save(tmp_path / split / name / f"{number}.png")
    options = {"name": "image_folder", "root": str(tmp_path), "size": 6}
    source = load_on_demand(options)
    assert source.train.on_demand
    pack(source, tmp_path / "a.packed")
    assert_same(read(str(tmp_path / "a.packed")), source)


def test_training_on_it_gives_the_same_bits(tmp_path):
    from gpucnn.config import Config
    from gpucnn.training.trainer import Trainer

    pack(digits(), tmp_path / "digits.packed")
    tables = {
        "model": {"name": "vgg", "width": 4, "stages": 1},
        "augment": {"crop_padding": 1},
        "optimizer": {"name": "sgd", "learning_rate": 0.05},
        "training": {"epochs": 1, "batch_size": 100},
    }
    weights = []
    for number, data in enumerate(
        ({"name": "digits"}, {"name": "packed", "path": str(tmp_path / "digits.packed")})
    ):
        config = Config({**tables, "data": {**data, "validation": 0.1}})
        trainer = Trainer(config, "numpy", tmp_path / f"run-{number}")
        trainer.fit()
        weights.append(trainer.backend.to_numpy(trainer.network.values).tobytes())
    assert weights[0] == weights[1]
    cards = [json.loads((tmp_path / f"run-{n}" / "model.json").read_text()) for n in (0, 1)]
    assert cards[0]["data"] == cards[1]["data"]


def test_nothing_is_overwritten(pair, tmp_path):
    path = tmp_path / "a.packed"
    path.write_text("mine")
    with pytest.raises(DataError, match="exists already"):
        pack(pair, path)
    assert path.read_text() == "mine"


def test_a_failure_leaves_nothing(pair, tmp_path, monkeypatch):
    whole = ArrayDataset.images

    def refuse(self, indices):
        if len(self) == 77:
            raise DataError("is damaged")
        return whole(self, indices)

    pair.test.fingerprint()
    monkeypatch.setattr(ArrayDataset, "images", refuse)
    with pytest.raises(DataError, match="is damaged"):
        pack(pair, tmp_path / "a.packed")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_noticed_before_anything_is_written(pair, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(DataError, match=r"needs 1\d\d\.\d KiB, and 1000 B are free there"):
        pack(pair, tmp_path / "a.packed")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [0, 5, 15, 16, 100, 4095, 5000, -1])
def test_a_file_cut_off_anywhere_is_refused(file, size):
    os.truncate(file, size if size >= 0 else file.stat().st_size - 1)
    with pytest.raises(DataError, match=r"a\.packed: is (damaged|not a packed file)"):
        read(str(file))


def test_a_longer_file_is_refused(file):
    with file.open("ab") as opened:
        opened.write(b"\0")
    with pytest.raises(DataError, match=r"its header says"):
        read(str(file))


def test_every_changed_byte_of_header_or_content_is_noticed(file):
    """By opening it or, between the blocks aside, by its checksums."""
    content = file.read_bytes()
    header_end = 16 + int.from_bytes(content[12:16], "little") + 32
    rng = np.random.default_rng(0)
    for place in (*rng.integers(0, header_end, 40), 4096, 4096 + 4 * 1203 - 1, len(content) - 8000):
        changed = bytearray(content)
        changed[place] ^= 1
        file.write_bytes(changed)
        with pytest.raises(DataError, match=r"a\.packed: is "):
            verify(str(file))
        if place < header_end:
            with pytest.raises(DataError, match=r"a\.packed: is "):
                read(str(file))
    (finding,) = check_data({"name": "packed", "path": str(file)}).damaged
    assert (
        "is damaged: the checksum of its test split is wrong; pack the data again" in finding.text
    )


def resealed(file, change):
    """Changes the header, as somebody could who knows the format."""
    content = file.read_bytes()
    length = int.from_bytes(content[12:16], "little")
    header = json.loads(content[16 : 16 + length])
    change(header)
    text = json.dumps(header).encode()
    prefix = content[:12] + len(text).to_bytes(4, "little")
    start = prefix + text + hashlib.sha256(prefix + text).digest()
    file.write_bytes(start.ljust(4096, b"\0") + content[4096:])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda header: header["train"].update(images=1300), "its header says"),
        (lambda header: header["train"].update(images=2**50), "its header cannot be"),
        (lambda header: header.update(image_shape=[5, 7, -3]), "its header cannot be"),
        (lambda header: header.update(image_shape=[2**24] * 3), "its header says"),
        (lambda header: header.update(classes=["cat"]), "a label is not from 0 to 0"),
        (lambda header: header.update(classes=[1, 2]), "its header cannot be"),
        (lambda header: header.update(target_names=["x"]), "there are no targets for the names x"),
        (lambda header: header.pop("test"), "its header cannot be"),
        (lambda header: header.update(more=1), "its header cannot be"),
    ],
)
def test_headers_that_cannot_be(file, change, words):
    resealed(file, change)
    with pytest.raises(DataError, match=words):
        read(str(file))


def test_another_version_is_refused(file):
    content = bytearray(file.read_bytes())
    content[8] = 2
    file.write_bytes(content)
    with pytest.raises(DataError, match="is of version 2, and version 1 can be read"):
        read(str(file))
