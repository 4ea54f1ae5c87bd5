"""What ``data check`` finds, in files that are made wrong in known ways."""

import shutil

import numpy as np
import pytest

from gpucnn.data.data_check import check_data
from gpucnn.errors import DataError

pytest.importorskip("PIL")
from PIL import Image


def draw(rng, path, size=(12, 10), channels=3):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = size if channels == 1 else (*size, channels)
    Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(path)
    return path


@pytest.fixture
def folder(tmp_path):
    """A data set without fault: 12 images of two classes in two splits."""
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            for number in range(12):
                draw(rng, tmp_path / split / name / f"{number:02}.png")
    return tmp_path


def check(folder, **options):
    return check_data({"name": "image_folder", "root": str(folder), "workers": 0, **options})


def found(findings):
    """Each finding's kind with the names of its files, or those that its text has."""
    return sorted(
        (one.kind, *sorted(path.rpartition("/")[2] for path in one.images)) for one in findings
    )


def test_a_folder_without_fault(folder):
    report = check(folder)
    assert (report.damaged, report.odd) == ([], [])
    assert report.classes == ("cat", "dog")
    assert {split: counts.tolist() for split, counts in report.counts.items()} == {
        "train": [12, 12],
        "test": [12, 12],
    }


def test_each_damaged_file_is_listed(folder):
    cat = folder / "train" / "cat"
    intact = (cat / "00.png").read_bytes()
    (cat / "cut.png").write_bytes(intact[: len(intact) // 2])
    (cat / "empty.png").write_bytes(b"")
    (cat / "text.jpg").write_text("no image")
    flipped = bytearray(intact)
    flipped[60] ^= 0xFF  # within the pixels, which have a checksum
    (cat / "flipped.png").write_bytes(flipped)
    (cat / "link.png").symlink_to("nowhere.png")
    report = check(folder)
    names = ["cut.png", "empty.png", "flipped.png", "link.png", "text.jpg"]
    assert sorted(one.text.partition(":")[0].rpartition("/")[2] for one in report.damaged) == names
    assert report.odd == []
    assert report.counts["train"].tolist() == [12, 12]


def test_workers_find_the_same(folder):
    (folder / "train" / "cat" / "00.png").write_bytes(b"x")
    shutil.copy(folder / "train" / "cat" / "01.png", folder / "test" / "dog")
    one, other = check(folder, workers=0), check(folder, workers=2)
    assert (one.damaged, one.odd) == (other.damaged, other.odd)
    assert len(one.damaged) == len(one.odd) == 1


def test_classes_that_training_refuses(folder):
    (folder / "train" / "empty").mkdir()
    shutil.rmtree(folder / "test" / "dog")
    (folder / "train" / "cat" / "inner").mkdir()
    for path in (folder / "test" / "cat").iterdir():
        path.write_bytes(b"x")
    report = check(folder)
    texts = [one.text for one in report.damaged if one.kind != "damaged"]
    assert [text.removeprefix(f"{folder}/") for text in texts] == [
        "train/cat/inner: is a folder in a class folder; move its images",
        "train/empty: has no image files",
        "test: lacks the class dog",
        "test: lacks the class empty",
        "all images of the class cat in test are damaged",
    ]


def test_classes_of_one_image_each_cannot_be_divided(folder):
    shutil.rmtree(folder / "test")
    for path in folder.glob("train/*/*.png"):
        if path.stem != "00":
            path.unlink()
    (finding,) = check(folder).damaged
    assert finding.text.endswith("no class has two images, so none can be split off to test on")


def test_classes_that_are_hard_to_tell_apart(folder):
    for split in ("train", "test"):
        shutil.copytree(folder / split / "cat", folder / split / "Cat")
    report = check(folder)
    assert report.damaged == []
    assert [one.text for one in report.odd if one.kind == "similar classes"] == [
        'the classes "Cat" and "cat" differ only in upper and lower case'
    ]
    for name in ("café", "cafe\u0301"):  # composed or not, these are the same to a run
        shutil.copytree(folder / "train" / "cat", folder / "train" / name)
    kinds = [one.kind for one in check(folder).damaged]
    assert kinds == ["similar classes", "class in one split"]


def test_content_that_is_there_twice_whatever_its_format(folder):
    """A palette, another format and other metadata do not hide that the pixels are the same."""
    train, test = folder / "train", folder / "test"
    again = Image.open(train / "cat" / "00.png")
    again.save(train / "cat" / "again.bmp")
    shutil.copy(train / "cat" / "01.png", test / "cat" / "leaked.png")
    shutil.copy(train / "cat" / "02.png", train / "dog" / "contradiction.png")
    assert found(check(folder).odd) == [
        ("same content in two classes", "02.png", "contradiction.png"),
        ("same content in two splits", "01.png", "leaked.png"),
        ("same content twice", "00.png", "again.bmp"),
    ]


def test_images_that_differ_from_most(folder):
    rng = np.random.default_rng(1)
    cat = folder / "train" / "cat"
    draw(rng, cat / "large.png", size=(13, 10))
    draw(rng, cat / "grey.png", channels=1)
    draw(rng, cat / "alpha.png", channels=4)
    Image.new("RGB", (10, 12), (3, 4, 5)).save(cat / "plain.png")
    draw(rng, cat / "misnamed.png").rename(cat / "misnamed.jpg")
    assert found(check(folder).odd) == [
        ("constant", "plain.png"),
        ("extension", "misnamed.jpg"),
        ("mode", "alpha.png"),
        ("mode", "grey.png"),
        ("size", "large.png"),
    ]
    assert "size" not in {one.kind for one in check(folder, size=8).odd}


def test_many_sizes_are_one_finding(folder):
    rng = np.random.default_rng(1)
    for side in range(11, 31):
        draw(rng, folder / "train" / "cat" / f"{side}.png", size=(side, 10))
    (finding,) = check(folder).odd
    assert finding.text.startswith("the images have 20 sizes, from 11×10 to 30×10")


def test_tiny_classes_and_what_is_left_out(folder):
    rng = np.random.default_rng(1)
    for split in ("train", "test"):
        draw(rng, folder / split / "emu" / "one.png")
    draw(rng, folder / "train" / "stray.png")
    (folder / "train" / "cat" / "notes.txt").write_text("x")
    (folder / "val").mkdir()
    texts = [one.text.removeprefix(f"{folder}/") for one in check(folder).odd]
    assert texts == [
        f"val: is left out, for there is {folder}/test",
        "train: images that are in no class folder are left out (1)",
        "train: left out 1 file that is not an image (.txt 1)",
        "the class emu has 1 image to train on; the median is 12",
    ]


def test_a_folder_that_is_not_divided(folder):
    shutil.rmtree(folder / "test")
    (folder / "train" / "dog" / "00.png").write_bytes(b"x")
    (folder / "train").rename(folder / "photos")
    report = check(folder / "photos")
    assert len(report.damaged) == 1
    assert report.counts["images"].tolist() == [12, 11]


def test_a_folder_in_no_known_layout(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match="put the images into"):
        check(tmp_path)


def test_a_csv_file(folder):
    shutil.copy(folder / "train" / "cat" / "03.png", folder / "train" / "cat" / "again.png")
    (folder / "train" / "dog" / "00.png").write_bytes(b"x")
    paths = [*folder.glob("train/*/*.png")]
    rows = "".join(f"{path},{path.parent.name}\n" for path in sorted(paths))
    (folder / "list.csv").write_text(rows)
    report = check_data({"name": "csv", "path": str(folder / "list.csv")})
    assert [one.text.partition(":")[0] for one in report.damaged] == [
        str(folder / "train/dog/00.png")
    ]
    assert sum(counts.sum() for counts in report.counts.values()) == 24
    kinds = [one.kind for one in report.odd if one.kind != "tiny class"]
    assert kinds in (["same content twice"], ["same content in two splits"])


def test_images_within_parquet_have_no_extension(tmp_path, folder):
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    paths = sorted((folder / "train").glob("*/*.png"))
    images = [{"bytes": path.read_bytes(), "path": None} for path in paths]
    images[3]["bytes"] = images[3]["bytes"][:80]
    labels = [path.parent.name for path in paths]
    parquet.write_table(pa.table({"image": images, "label": labels}), tmp_path / "a.parquet")
    report = check_data({"name": "parquet", "path": str(tmp_path / "a.parquet")})
    assert [one.text.partition(":")[0] for one in report.damaged] == [
        f"{tmp_path / 'a.parquet'}, row 3"
    ]
    assert {one.kind for one in report.odd} <= {"tiny class"}


def test_arrays(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 5, 4, 1), np.uint8)
    labels = np.arange(40) % 2
    images[7] = 9  # everywhere
    images[20], images[21] = images[2], images[2]  # of class 0 and of class 1
    test = rng.integers(0, 256, (10, 5, 4, 1), np.uint8)
    test[3] = images[5]
    arrays = {"images": images, "labels": labels, "test_images": test, "test_labels": labels[:10]}
    np.savez(tmp_path / "a.npz", **arrays)
    report = check_data({"name": "npz", "path": str(tmp_path / "a.npz")})
    assert report.damaged == []
    assert {one.images for one in report.odd} == {
        ("train image 7",),
        ("train image 2", "train image 20", "train image 21"),
        ("train image 5", "test image 3"),
    }
    arrays["test_labels"] = labels[:10] + 1
    np.savez(tmp_path / "a.npz", **arrays)
    (finding,) = check_data({"name": "npz", "path": str(tmp_path / "a.npz")}).damaged
    assert "has the label 2, but those of 2 classes go from 0 to 1" in finding.text


def test_numbers_instead_of_classes(monkeypatch):
    from gpucnn.data import ArrayDataset, DatasetPair, datasets

    images = np.random.default_rng(0).integers(0, 256, (2, 12, 5, 4, 1), np.uint8)
    numbers, labels = np.ones((12, 1), np.float32), np.zeros(12, np.int32)
    parts = [ArrayDataset(part, labels, (), targets=numbers, target_names=["x"]) for part in images]
    monkeypatch.setattr(datasets, "create", lambda *_: DatasetPair(*parts))
    report = check_data({"name": "digits"})
    assert (report.damaged, report.odd) == ([], [])
    assert report.as_json()["images"] == {"train": {"all": 12}, "test": {"all": 12}}


def test_arrays_of_which_some_cannot_be_read(monkeypatch, tmp_path):
    from gpucnn.data import ArrayDataset

    images = np.random.default_rng(0).integers(0, 256, (24, 5, 4), np.uint8)
    labels = np.arange(24) % 2
    arrays = {
        "images": images,
        "labels": labels,
        "test_images": 255 - images,
        "test_labels": labels,
    }
    np.savez(tmp_path / "a.npz", **arrays)
    whole = ArrayDataset.images

    def refuse(self, indices):
        if 5 in indices:
            raise DataError("is damaged")
        return whole(self, indices)

    monkeypatch.setattr(ArrayDataset, "images", refuse)
    report = check_data({"name": "npz", "path": str(tmp_path / "a.npz")})
    assert [one.text for one in report.damaged] == [
        "train image 5: is damaged",
        "test image 5: is damaged",
    ]
    assert report.odd == []
    assert report.counts["train"].tolist() == [12, 11]
