"""SVHN's files: read as they come, and refused when damaged."""

import sys

import numpy as np
import pytest

from gpucnn.data import describe_images, svhn
from gpucnn.data.dataset import DataShape
from gpucnn.errors import DataError

io = pytest.importorskip("scipy.io", reason="scipy is not installed")

IMAGES = np.random.default_rng(1).integers(0, 256, (20, 32, 32, 3), np.uint8)
LABELS = np.arange(20) % 10


def write(folder, images=IMAGES, labels=LABELS, **more):
    """Both files, with the label 10 for the digit 0."""
    folder.mkdir(exist_ok=True)
    published = np.where(labels == 0, 10, labels).astype(np.uint8)
    for name, part in (("train", slice(0, 15)), ("test", slice(15, 20))):
        arrays = {"X": images[part].transpose(1, 2, 3, 0), "y": published[part, None], **more}
        io.savemat(folder / f"{name}_32x32.mat", arrays, do_compression=name == "train")
    return folder


def test_it_is_read(tmp_path):
    pair = svhn(str(write(tmp_path)))
    assert np.array_equal(pair.train.images(np.arange(15)), IMAGES[:15])
    assert np.array_equal(pair.test.images(np.arange(5)), IMAGES[15:])
    assert np.array_equal(pair.train.labels, LABELS[:15])
    assert np.array_equal(pair.test.labels, LABELS[15:])
    assert pair.train.classes == tuple("0123456789")
    assert pair.train.labels.dtype == np.int32
    assert describe_images({"name": "svhn", "root": "nowhere"}) == DataShape((32, 32, 3), 10)


def test_other_arrays_in_the_file_are_left_alone(tmp_path):
    folder = write(tmp_path, note="text", more={"a": [1, 2]})
    assert len(svhn(str(folder)).train) == 15


def save(**arrays):
    return lambda path: io.savemat(path, arrays, oned_as="column")


X = IMAGES.transpose(1, 2, 3, 0)
WRONG = {
    "missing": (lambda path: path.unlink(), "missing.*ufldl"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "is a folder"),
    "empty": (lambda path: path.write_bytes(b""), "not a MATLAB file"),
    "text": (lambda path: path.write_text("MATLAB 5.0 MAT-file" * 99), "not a MATLAB file"),
    "HDF5": (lambda path: path.write_bytes(b" " * 124 + b"\0\2IM" + b"x" * 999), "MATLAB"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-99]), "damaged|expected X"),
    "no y": (save(X=X), "has X uint8"),
    "no X": (save(y=LABELS), "expected X uint8"),
    "neither": (save(z=LABELS), "no X and no y"),
    "floats": (save(X=X / 255, y=LABELS), "X double"),
    "another shape": (save(X=IMAGES, y=LABELS), r"\(20, 32, 32, 3\)"),
    "too few labels": (save(X=X, y=LABELS[:19]), "y "),
    "no images": (save(X=X[..., :0], y=LABELS[:0]), "expected X"),
    "a wrong label": (save(X=X, y=LABELS.astype(np.uint8) * 2), "label 12"),
    "a fraction": (save(X=X, y=LABELS / 2), "label 0.5"),
    "more bytes than images": (
        lambda path: path.write_bytes(path.read_bytes() + bytes(1 << 21)),
        "cannot be|damaged",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_one_message(case, tmp_path):
    damage, words = WRONG[case]
    path = write(tmp_path) / "test_32x32.mat"
    damage(path)
    with pytest.raises(DataError, match=words) as caught:
        svhn(str(tmp_path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_scipy_it_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(DataError, match=r"scipy.*\[svhn\]"):
        svhn(str(write(tmp_path)))
