"""Images that a csv file lists: which are read, in which split, and what is refused."""

import os
import unicodedata

import numpy as np
import pytest
from PIL import Image

from gpucnn.config import Config
from gpucnn.data import datasets, describe_images, image_list
from gpucnn.errors import ConfigError, DataError

SHAPE = (6, 8, 3)


def _pixels(seed):
    return np.random.default_rng(seed).integers(0, 256, SHAPE, np.uint8)


@pytest.fixture
def place(tmp_path):
    """Ten images, 0.png to 9.png."""
    (tmp_path / "images").mkdir()
    for number in range(10):
        Image.fromarray(_pixels(number)).save(tmp_path / "images" / f"{number}.png")
    return tmp_path


def _write(place, text, encoding="utf-8"):
    (place / "list.csv").write_bytes(text.encode(encoding))
    return str(place / "list.csv")


def _numbers(dataset):
    """Which images a data set has."""
    images = [_pixels(number).tobytes() for number in range(10)]
    return [images.index(image.tobytes()) for image in dataset.images(np.arange(len(dataset)))]


SPLIT = (
    "images/3.png,dog,train\nimages/1.png,cat,train\nimages/0.png,dog,train\n"
    "images/7.png,cat,test\nimages/5.png,dog,test\n"
)
HEADED = "id,Label,Split,File\n" + "".join(
    f"{number},{name},{split},{file}\n"
    for number, (file, name, split) in enumerate(line.split(",") for line in SPLIT.splitlines())
)


@pytest.mark.parametrize(
    "text",
    [
        SPLIT,
        "file,class,split\n" + SPLIT,
        HEADED,
        SPLIT.replace("\n", "\r\n"),
        "\ufeff" + SPLIT,
        SPLIT.replace("\n", "\n\n").rstrip(),
        SPLIT.replace(",", ", ").replace("images/1.png", '"images/1.png"'),
        SPLIT.replace("images/", "./images//"),
        SPLIT.replace("test", "Testing").replace("train", "TRAINING "),
        SPLIT.replace("test", "val"),
    ],
    ids=["plain", "header", "other order", "CRLF", "BOM", "blank", "quoted", "dots", "names",
         "val"],
)  # fmt: skip
def test_lists_in_all_forms(text, place):
    pair = image_list(_write(place, text))
    assert pair.train.classes == ("cat", "dog")
    assert pair.train.labels.tolist() == [1, 0, 1]
    assert pair.test.labels.tolist() == [0, 1]
    assert _numbers(pair.train) == [3, 1, 0]
    assert _numbers(pair.test) == [7, 5]


def test_paths_start_from_the_csv_file(place, monkeypatch):
    (place / "lists").mkdir()
    monkeypatch.chdir(place / "images")
    path = _write(place / "lists", SPLIT.replace("images/", "../images/").replace(
        "../images/3.png", str(place / "images" / "3.png")))  # fmt: skip
    assert _numbers(image_list(path).train) == [3, 1, 0]


def _all_of_ten(place):
    lines = (f"images/{number}.png,{'cat' if number < 6 else 'dog'}" for number in range(10))
    return _write(place, "\n".join(lines))


def test_without_splits_each_class_is_split(place):
    pair = image_list(_all_of_ten(place), test_share=0.5)
    assert np.bincount(pair.test.labels).tolist() == [3, 2]
    assert sorted(_numbers(pair.train) + _numbers(pair.test)) == list(range(10))


def test_the_seed_determines_the_split_and_the_fingerprint_covers_it(place):
    path = _all_of_ten(place)
    prints = [image_list(path, split_seed=seed).train.fingerprint() for seed in (0, 0, 1)]
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize("memory_limit_mb", [0, 1])
def test_options_of_image_folders_apply(memory_limit_mb, place):
    path = _all_of_ten(place)
    pair = image_list(path, size=4, colour="grey", workers=0, memory_limit_mb=memory_limit_mb)
    assert pair.train.image_shape == (4, 4, 1)
    assert pair.train.on_demand == (memory_limit_mb == 0)
    assert pair.train.images(np.arange(len(pair.train))).shape == (8, 4, 4, 1)
    with pytest.raises(ConfigError, match="fit"):
        image_list(path, fit="squash")


def test_the_config_reads_the_test_split_alone(place):
    table = {"name": "csv", "path": _write(place, SPLIT), "size": 4}
    (place / "images" / "3.png").write_bytes(b"")
    assert describe_images(table) == ((4, 4, 3), 2, False)
    config = Config({
        "data": table,
        "model": {"name": "sequential",
                  "layers": [{"type": "flatten"}, {"type": "linear", "features": "classes"}]},
        "optimizer": {"name": "sgd", "learning_rate": 0.1},
    })  # fmt: skip
    assert len(config.load_split("test")) == 2
    with pytest.raises(DataError, match=r"images/3\.png: is empty"):
        datasets.create(table, "data")


def test_damaged_images_can_be_skipped(place, capsys):
    (place / "images" / "1.png").write_bytes(b"")
    with pytest.raises(DataError, match="all images of cat are damaged"):
        image_list(_write(place, SPLIT), on_damaged="skip")
    path = _write(place, SPLIT + "images/2.png,cat,train\n")
    assert _numbers(image_list(path, on_damaged="skip").train) == [3, 0, 2]
    assert "list.csv: skipped 1 of 4 images" in capsys.readouterr().err


def test_classes_are_in_composed_unicode(place):
    path = _write(place, SPLIT.replace("cat", "caf\u00e9", 1).replace("cat", "cafe\u0301"))
    assert image_list(path).train.classes == ("caf\u00e9", "dog")


def test_what_is_left_out_or_odd_is_said(place, capsys):
    text = SPLIT + "images/8.png,dog,val\nimages/9.png,Dog,train\n"
    pair = image_list(_write(place, text))
    assert pair.train.classes == ("Dog", "cat", "dog")
    lines = capsys.readouterr().err
    assert (
        'list.csv: has the classes "Dog" and "dog", which differ only in upper and lower' in lines
    )
    assert "list.csv: left out 1 images of the split val" in lines
    assert "list.csv: has no images to test on of these classes: Dog" in lines


DEFECTS = {
    "nothing": ("", "lists no images"),
    "a header alone": ("file,class\n", "lists no images"),
    "one column": ("images/0.png\n", "line 1 has 1 columns; expected file,class or"),
    "semicolons": (SPLIT.replace(",", ";"), "line 1 has 1 columns.*separated by commas"),
    "a short line": (SPLIT + "images/8.png\n", "line 6 has 1 columns; expected 3 or more"),
    "no class column": ("file,breed\nimages/0.png,pug", "line 1 has no column class; it has file"),
    "no class": (SPLIT + "images/8.png, ,train", "line 6 has no class"),
    "numbers": ("file,age\nimages/0.png,3", r"name their columns in data\.targets"),
    "no file": (SPLIT + ",dog,train", "line 6 has no file"),
    "no split": (SPLIT + "images/8.png,dog,", 'line 6 has the split ""; known: train, test, val'),
    "another split": (SPLIT + "images/8.png,dog,fold1", 'has the split "fold1"'),
    "a missing file": (SPLIT + "images/88.png,dog,test", r"line 6 lists .*88\.png, which does not"),
    "another header": ("id,breed\n" + "a.png,b\n", r"line 1 lists .*id, .*\(2 such lines\).*calls"),
    "a folder": (SPLIT + "images,dog,test", "line 6 lists .*images, which is a folder, not a file"),
    "a FIFO": (SPLIT + "fifo.png,dog,test", "line 6 lists .*fifo.png, which is a FIFO"),
    "a NUL": (SPLIT + "a\0b,dog,test", "line 6 "),
    "a file twice": (SPLIT + "./images/3.png,dog,train", "line 6 lists .*3.png, as line 1 does"),
    "a class that is too long": (
        SPLIT + f"images/8.png,{'x' * 256},train", "a class of 256 characters: too long"),
    "a path that is too long": (SPLIT + f"{'x' * 4097},dog,train", "a file of 4,097 characters"),
    "one class": (SPLIT.replace("cat", "dog"), "has one class, dog; training needs two"),
    "no images to train on": (
        SPLIT + "images/8.png,emu,test", "no images to train on of these classes: emu; add"),
    "two classes that look the same": (
        SPLIT + '"images/8.png","c\\nd",train\nimages/9.png,"c\nd",train', "has two classes"),
    "an open quote": (SPLIT + '"images/8.png,dog,train', "line 6 is not csv"),
    "a quote in the midst": (SPLIT + '"images"/8.png,dog,train', "line 6 is not csv"),
    "one image of each class": (
        "images/0.png,a\nimages/1.png,b", "has no test split, and no class has two images"),
}  # fmt: skip


NUMBERED = "file,age,split, Width \n" + "".join(
    f"images/{number}.png,{number}.5,{'test' if number > 6 else 'train'},-1e-3\n"
    for number in range(9)
)


def test_numbers_to_predict(place):
    pair = image_list(_write(place, NUMBERED), targets=("Width", "age"))
    assert (_numbers(pair.train), _numbers(pair.test)) == ([*range(7)], [7, 8])
    for part in (pair.train, pair.test):
        assert (part.classes, part.target_names) == ((), ("Width", "age"))
        assert part.targets[:, 1].tolist() == [number + 0.5 for number in _numbers(part)]
        assert (part.targets[:, 0] == np.float32(-1e-3)).all()
        assert not part.labels.any()
    table = {"name": "csv", "path": str(place / "list.csv"), "targets": ["age"]}
    assert describe_images(table) == ((*SHAPE,), 1, True)
    assert datasets.resolve(table, "data")["targets"] == ["age"]


def test_numbers_of_files_that_are_decoded_on_demand_and_of_those_left_over(place, capsys):
    (place / "images" / "2.png").write_bytes(b"damaged")
    options = {"targets": ("age",), "on_damaged": "skip", "memory_limit_mb": 0, "workers": 0}
    pair = image_list(_write(place, NUMBERED), **options)
    assert pair.train.on_demand
    assert pair.train.targets[:, 0].tolist() == [0.5, 1.5, 3.5, 4.5, 5.5, 6.5]
    assert "skipped 1 of 7" in capsys.readouterr().err
    changed = image_list(_write(place, NUMBERED.replace("4.5", "4.75")), **options)
    assert changed.train.fingerprint() != pair.train.fingerprint()
    assert changed.test.fingerprint() == pair.test.fingerprint()


def test_numbers_without_a_split_are_split_by_the_seed(place, capsys):
    text = "file,age\n" + "".join(f"images/{number}.png,{number}\n" for number in range(10))
    splits = [
        image_list(_write(place, text), test_share=0.3, split_seed=seed, targets=("age",))
        for seed in (0, 0, 1)
    ]
    tested = [pair.test.targets[:, 0].tolist() for pair in splits]
    assert tested[0] == tested[1] != tested[2]
    assert tested[0] == _numbers(splits[0].test)
    assert "3 of 10 images are split off" in capsys.readouterr().err


WRONG_NUMBERS = {
    "text": ("file,age\nimages/0.png,old", 'line 2 has "old" for age; a target is a finite number'),
    "nothing": ("file,age\nimages/0.png,", 'line 2 has "" for age'),
    "NaN": ("file,age\nimages/0.png,nan", 'line 2 has "nan" for age'),
    "infinity": ("file,age\nimages/0.png,1\nimages/1.png,-inf", 'line 3 has "-inf" for age'),
    "too large for FP32": ("file,age\nimages/0.png,1e39", 'line 2 has "1e39" for age'),
    "digits in groups": ("file,age\nimages/0.png,1_000", 'line 2 has "1_000" for age'),
    "no header": ("images/0.png,3", "line 1 has no column file; with data.targets the first line"),
    "another column": ("file,height\nimages/0.png,3", "line 1 has no column age; .*file, height"),
    "nothing to train on": (
        "file,age,split\nimages/0.png,3,test",
        "has no images to train on; add lines",
    ),
    "a short line": ("file,x,age\nimages/0.png,3", "line 2 has 2 columns; expected 3 or more"),
    "one image": ("file,age\nimages/0.png,3", "there are no two images"),
}


@pytest.mark.parametrize(("text", "words"), WRONG_NUMBERS.values(), ids=WRONG_NUMBERS)
def test_wrong_numbers_are_named_with_their_line(text, words, place):
    with pytest.raises(DataError, match=words) as caught:
        image_list(_write(place, text), targets=("age",))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("targets", [(), ("age", "age")])
def test_targets_are_different_names(targets, place):
    with pytest.raises(ConfigError, match="name one column or more, and none of them twice"):
        image_list(_write(place, NUMBERED), targets=targets)


@pytest.mark.parametrize(("text", "words"), DEFECTS.values(), ids=DEFECTS)
def test_each_defect_is_named_with_its_line(text, words, place):
    os.mkfifo(place / "fifo.png")
    with pytest.raises(DataError, match=words) as caught:
        image_list(_write(place, text))
    assert str(caught.value).startswith(str(place / "list.csv"))
    assert str(caught.value).isprintable()


def test_other_encodings_are_named_with_the_line(place):
    text = SPLIT.replace("test", "test", 1) + "images/8.png,caf\u00e9,train\n"
    with pytest.raises(DataError, match=r"line 6 is not in UTF-8; save"):
        image_list(_write(place, text, "latin-1"))


def test_a_file_without_end_is_not_read(place):
    path = _write(place, SPLIT)
    os.truncate(path, 10**12)
    with pytest.raises(DataError, match="has 1,000,000,000,000 bytes, 67,108,864 at most"):
        image_list(path)


def test_a_missing_csv_file(place):
    with pytest.raises(DataError, match=r"absent\.csv: there is no such file; set data\.path to a"):
        image_list(str(place / "absent.csv"))
    with pytest.raises(DataError, match="images: is a folder, not a file; set data"):
        image_list(str(place / "images"))


def test_names_of_files_in_another_unicode_form_are_other_files(place):
    name = unicodedata.normalize("NFC", "e\u0301.png")
    Image.fromarray(_pixels(0)).save(place / "images" / name)
    assert len(image_list(_write(place, SPLIT + f"images/{name},dog,train")).train) == 4
