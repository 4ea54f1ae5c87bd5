"""Parquet files of images, as Hugging Face has them."""

import gc
import io
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from gpucnn.data import describe_images, load_test_split, parquet
from gpucnn.data.dataset import DataShape
from gpucnn.data.recognition import recognise
from gpucnn.errors import ConfigError, DataError

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

IMAGES = np.random.default_rng(2).integers(0, 256, (60, 6, 7, 3), np.uint8)
LABELS = np.arange(60) % 3
NAMES = ["cat", "dog", "fish"]


def packed(image, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind)
    return file.getvalue()


BYTES = [packed(image) for image in IMAGES]


def write(path, rows=slice(None), names=NAMES, is_struct=True, columns=("image", "label"), **more):
    """A file with some of the images; ``images`` and ``labels`` are other contents."""
    images, labels = more.get("images", BYTES[rows]), more.get("labels", LABELS[rows])
    if is_struct:
        images = [one if one is None else {"bytes": one, "path": "a.png"} for one in images]
    table = pa.table(dict(zip(columns, (images, labels), strict=True)))
    if names:
        features = {columns[1]: {"names": names, "_type": "ClassLabel"}}
        metadata = {"huggingface": json.dumps({"info": {"features": features}})}
        table = table.replace_schema_metadata(metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=more.get("group", 7))
    return path


def _all(dataset):
    return dataset.images(np.arange(len(dataset)))


def folder_of(tmp_path, **options):
    write(tmp_path / "data" / "train-00000-of-00002.parquet", slice(0, 25), **options)
    write(tmp_path / "data" / "train-00001-of-00002.parquet", slice(25, 48), **options)
    write(tmp_path / "data" / "test-00000-of-00001.parquet", slice(48, 60), **options)
    return tmp_path


@pytest.mark.parametrize("memory_limit_mb", [0, 100])
@pytest.mark.parametrize("is_struct", [True, False])
def test_a_folder_with_splits(tmp_path, memory_limit_mb, is_struct):
    folder = folder_of(tmp_path, is_struct=is_struct)
    pair = parquet(str(folder), memory_limit_mb=memory_limit_mb, workers=0)
    assert np.array_equal(_all(pair.train), IMAGES[:48])
    assert np.array_equal(_all(pair.test), IMAGES[48:])
    assert np.array_equal(pair.train.labels, LABELS[:48])
    assert pair.test.classes == tuple(NAMES)
    assert pair.train.on_demand is (memory_limit_mb == 0)
    assert recognise(tmp_path) == {"name": "parquet", "path": str(tmp_path)}


def test_worker_processes_read_them_too(tmp_path):
    pair = parquet(str(folder_of(tmp_path)), memory_limit_mb=0, workers=2)
    assert np.array_equal(pair.train.images(np.array([47, 0, 30])), IMAGES[[47, 0, 30]])
    pair.train.close()


@pytest.mark.parametrize(
    ("options", "classes"),
    [
        ({"names": None}, ("0", "1", "2")),
        ({"names": None, "labels": [NAMES[n] for n in LABELS]}, tuple(NAMES)),
        ({"labels": pa.array([NAMES[n] for n in LABELS]).dictionary_encode()}, tuple(NAMES)),
        ({"columns": ("img", "fine_label")}, tuple(NAMES)),
        ({"labels": LABELS.astype(np.int8)}, tuple(NAMES)),
    ],
    ids=["numbers", "text", "dictionary", "other columns", "int8"],
)
def test_labels_and_columns_of_each_kind(options, classes, tmp_path, capsys):
    path = write(tmp_path / "all.parquet", **options)
    pair = parquet(str(path), test_share=0.25)
    assert pair.train.classes == classes
    assert np.bincount(pair.test.labels).tolist() == [5, 5, 5]
    assert len(pair.train) == 45
    assert "15 of 60 images are split off" in capsys.readouterr().err
    together = np.concatenate([_all(pair.train), _all(pair.test)])
    labels = np.concatenate([pair.train.labels, pair.test.labels])
    places = [int(np.flatnonzero((image == IMAGES).all((1, 2, 3)))[0]) for image in together]
    assert sorted(places) == list(range(60))
    assert labels.tolist() == LABELS[places].tolist()


def test_validation_is_for_testing_if_nothing_else_is(tmp_path, capsys):
    for name, rows in (("train", slice(0, 30)), ("validation", slice(30, 40))):
        write(tmp_path / f"{name}.parquet", rows)
    assert len(parquet(str(tmp_path)).test) == 10
    write(tmp_path / "test.parquet", slice(40, 45))
    assert len(parquet(str(tmp_path)).test) == 5
    assert "left out" in capsys.readouterr().err


def test_the_test_split_alone_and_the_shape(tmp_path, monkeypatch):
    folder = folder_of(tmp_path)
    options = {"name": "parquet", "path": str(folder)}
    whole = parquet(str(folder)).test
    assert load_test_split(options).fingerprint() == whole.fingerprint()
    monkeypatch.setattr("gpucnn.data.decoding.decode_chunk", None)
    assert describe_images(options) == DataShape((6, 7, 3), 3)


def test_the_fingerprint_is_of_the_content(tmp_path):
    one = parquet(str(folder_of(tmp_path / "a"))).train.fingerprint()
    assert parquet(str(folder_of(tmp_path / "b")), memory_limit_mb=0).train.fingerprint() == one
    write(tmp_path / "b" / "data" / "train-00001-of-00002.parquet", slice(24, 47))
    assert parquet(str(tmp_path / "b")).train.fingerprint() != one


def test_unpacked_images_are_removed_with_the_data(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    pair = parquet(str(folder_of(tmp_path / "data")), workers=0)
    assert not list((tmp_path / "temporary").iterdir())  # all are decoded
    pair = parquet(str(tmp_path / "data"), memory_limit_mb=0, workers=0)
    assert list((tmp_path / "temporary").iterdir())
    _all(pair.train)
    del pair
    gc.collect()
    assert not list((tmp_path / "temporary").iterdir())


DAMAGED = {
    17: b"",
    19: BYTES[19][:-30],
    23: b"text",
}


@pytest.mark.parametrize("row", DAMAGED)
def test_a_damaged_image_is_reported_by_file_and_row_or_skipped(row, tmp_path, capsys):
    images = [DAMAGED[row] if number == row else one for number, one in enumerate(BYTES)]
    write(tmp_path / "train.parquet", images=images)
    path = write(tmp_path / "test.parquet", slice(0, 6)).with_name("train.parquet")
    with pytest.raises(DataError) as caught:
        parquet(str(tmp_path))
    assert str(caught.value).startswith(f"{path}, row {row}: ")
    assert "on_damaged" in str(caught.value)
    assert len(parquet(str(tmp_path), on_damaged="skip").train) == 59
    assert f"row {row}" in capsys.readouterr().err


def _cut(path):
    path.write_bytes(path.read_bytes()[:-40])


WRONG = {
    "missing": (lambda path: path.unlink(), "no such file"),
    "empty": (lambda path: path.write_bytes(b""), "not a parquet file"),
    "text": (lambda path: path.write_text("image,label\n" * 99), "not a parquet file"),
    "cut": (_cut, "damaged"),
    "no label column": (lambda p: write(p, columns=("image", "x")), "no column label.*image, x"),
    "no image column": (lambda p: write(p, columns=("x", "label")), "no column image"),
    "text for images": (
        lambda p: write(p, images=["a"] * 60, is_struct=False), "column image has string"),
    "floats": (lambda p: write(p, labels=LABELS / 2), "column label has double"),
    "no rows": (
        lambda p: write(p, is_struct=False, images=pa.array([], pa.binary()), labels=LABELS[:0]),
        "no rows"),
    "a label too high": (lambda p: write(p, labels=LABELS + 1), "row 2 has the label 3"),
    "a label of none": (lambda p: write(p, labels=LABELS - 1), "row 0 has the label -1"),
    "a huge one": (lambda p: write(p, labels=LABELS * 10**12, names=None), "row 1 has the label"),
    "null for a label": (
        lambda p: write(p, labels=[None, *LABELS[1:].tolist()]), "row 0 has no label"),
    "null for an image": (
        lambda p: write(p, images=[*BYTES[:30], None, *BYTES[31:]]), "row 30 has no bytes"),
    "a path alone": (
        lambda p: write(p, is_struct=False, images=[
            {"bytes": None if n == 9 else one, "path": "x"} for n, one in enumerate(BYTES)]),
        "row 9 has no bytes"),
    "names that come twice": (lambda p: write(p, names=["a", "b", "a"]), "come twice"),
    "an empty label": (lambda p: write(p, names=None, labels=["", "b", "c"] * 20), "without text"),
    "one class": (lambda p: write(p, names=None, labels=["a"] * 60), "one class"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_one_message(case, tmp_path):
    damage, words = WRONG[case]
    path = write(tmp_path / "all.parquet")
    damage(path)
    with pytest.raises(DataError, match=words) as caught:
        parquet(str(path))
    assert "\n" not in str(caught.value)


def test_folders_that_are_wrong(tmp_path):
    with pytest.raises(DataError, match="no parquet files"):
        parquet(str(tmp_path))
    write(tmp_path / "test.parquet")
    with pytest.raises(DataError, match="begins with train"):
        parquet(str(tmp_path))
    write(tmp_path / "train.parquet", names=["a", "b", "c"])
    with pytest.raises(DataError, match=r"test\.parquet: names other classes"):
        parquet(str(tmp_path))
    write(tmp_path / "other.parquet")
    with pytest.raises(DataError, match=r"other\.parquet: its name does not say"):
        parquet(str(tmp_path))
    with pytest.raises(ConfigError, match="test_share"):
        parquet(str(tmp_path), test_share=2.0)


def test_a_disk_that_is_full(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DataError, match=r"only 100 B are free; set TMPDIR"):
        parquet(str(write(tmp_path / "all.parquet")))


def test_without_pyarrow_it_says_how_to_get_it(tmp_path, monkeypatch):
    path = write(tmp_path / "all.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(DataError, match=r"pyarrow.*\[parquet\]"):
        parquet(str(Path(path)))
