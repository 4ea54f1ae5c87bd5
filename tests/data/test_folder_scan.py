"""Which files a folder of images has, in what order, and what is said about the rest."""

import errno
import functools
import os
import random
import shutil
import stat
import time
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from gpucnn.data import folder_scan, images_below
from gpucnn.errors import DataError

scan = functools.partial(folder_scan.scan, test_share=0.2, split_seed=0)
scan_test = functools.partial(folder_scan.scan_test, test_share=0.2, split_seed=0)


def _touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.fixture
def root(tmp_path):
    """Two classes of two images, in both splits. Only the names count."""
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            _touch(*(tmp_path / "d" / split / name / f"{number}.png" for number in (1, 2)))
    return tmp_path / "d"


def _below(folder):
    """The names of images, and the messages about what cannot be read."""
    return [
        os.path.relpath(path, folder) if problem is None else str(problem)
        for path, problem in images_below(folder)
    ]


NAMES = ["B.png", "a.png", "b.PNG", "z.jpeg", "\u00e9.png", "\u0151.tif", "\U0001f600.webp"]
"""In the order of their bytes in UTF-8, which is that of their characters."""


def test_names_come_in_one_order_everywhere(root):
    shutil.rmtree(root / "train" / "cat")
    for name in random.Random(1).sample(NAMES, len(NAMES)):
        _touch(root / "train" / "cat" / name)
    train, _ = scan(str(root))
    assert train.files[:7] == tuple(str(root / "train" / "cat" / name) for name in NAMES)
    assert train.labels.tolist() == [0] * 7 + [1] * 2
    assert _below(root / "train" / "cat") == NAMES


def test_bytes_that_are_not_utf8_come_in_the_order_of_bytes(tmp_path):
    names = [b"a.png", b"caf\xe9.png", b"caf\xff.png", b"d.png", "\u20ac.png".encode(), b"\xff.png"]
    for name in random.Random(1).sample(names, len(names)):
        (tmp_path / os.fsdecode(name)).touch()
    assert [os.fsencode(name) for name in _below(tmp_path)] == names


def test_decomposed_names_come_in_the_order_of_composed_ones(tmp_path):
    """As macOS wrote them, and as they are elsewhere."""
    for form in ("NFC", "NFD"):
        folder = tmp_path / form
        _touch(*(folder / unicodedata.normalize(form, name) for name in NAMES))
        assert [unicodedata.normalize("NFC", name) for name in _below(folder)] == NAMES


def test_folders_of_folders_are_searched_in_the_order_of_names(tmp_path):
    names = ["a/b/z.png", "a/c.png", "b.png", "c.d/1.png", "e.png"]
    _touch(*(tmp_path / name for name in names))
    assert _below(tmp_path) == names


IGNORED = [".hidden.png", ".hidden/x.png", "Thumbs.db", "desktop.ini", ".DS_Store", "@eaDir/x.png",
           "__MACOSX/._x.png", "lost+found/x.png"]  # fmt: skip


def test_what_is_hidden_or_the_systems_own_is_ignored(root, capsys):
    for folder in (root, root / "train", root / "train" / "cat"):
        _touch(*(folder / name for name in IGNORED))
    train, _ = scan(str(root))
    assert (train.classes, len(train.files)) == (("cat", "dog"), 4)
    assert len(_below(root)) == 8
    assert capsys.readouterr().err == ""


def test_files_left_out_are_counted_by_extension(root, capsys):
    folder = root / "train"
    _touch(folder / "a.txt", folder / "cat" / "b.TXT", folder / "dog" / "c.xml")
    scan(str(root))
    line = f"{folder}: left out 3 files that are not images (.txt 2, .xml 1)\n"
    assert capsys.readouterr().err == line
    _below(folder)
    assert capsys.readouterr().err == line
    _touch(root / "test" / "cat" / "README")
    scan_test(str(root))
    assert (
        "test: left out 1 file that is not an image (no extension 1)\n" in capsys.readouterr().err
    )


def test_of_many_extensions_the_most_frequent_are_named(root, capsys):
    cat = root / "test" / "cat"
    for kind in range(40):
        _touch(*(cat / f"{number}.x{kind:02}" for number in range(45 - kind)))
    _touch(cat / ("long." + "x" * 200), cat / "Dr. No", cat / "line.a\nb")
    scan_test(str(root))
    line = capsys.readouterr().err
    total = sum(range(6, 46)) + 3
    named = ", ".join(f".x{kind:02} {45 - kind}" for kind in range(5))
    rest = total - sum(range(41, 46))
    assert (
        line
        == f"{cat.parent}: left out {total:,} files that are not images ({named}, others {rest})\n"
    )


def test_images_outside_class_folders_are_counted(root, capsys):
    _touch(root / "train" / "1.png", root / "train" / "2.png")
    assert len(scan(str(root))[0].files) == 4
    assert "train: left out 2 images that are not in a class folder" in capsys.readouterr().err


def test_links_are_followed(root, tmp_path):
    (root / "train" / "cat").rename(tmp_path / "cats")
    (root / "train" / "cat").symlink_to(tmp_path / "cats")
    (tmp_path / "cats" / "1.png").rename(tmp_path / "x.png")
    (tmp_path / "cats" / "1.png").symlink_to(tmp_path / "x.png")
    assert len(scan(str(root))[0].files) == 4
    assert len(_below(root / "train")) == 4


def _loop(path):
    path.symlink_to(path.name)


UNUSABLE = {
    "a FIFO": (os.mkfifo, "is a FIFO, not a file"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "is a device, not a file"),
    "a broken link": (lambda path: path.symlink_to("gone"), "is a link to gone, which does not"),
    "a link to itself": (_loop, "leads back to itself"),
}


@pytest.mark.parametrize(("make", "words"), UNUSABLE.values(), ids=UNUSABLE)
def test_what_is_not_a_file_is_named_and_not_opened(make, words, root):
    make(root / "test" / "dog" / "1b.png")
    message = f"{root / 'test' / 'dog' / '1b.png'}: .*{words}"
    with pytest.raises(DataError, match=message):
        scan(str(root))
    answers = _below(root / "test")
    assert [words in answer for answer in answers] == [False, False, False, True, False]
    assert answers[-1] == "dog/2.png"


def test_a_broken_link_that_may_have_been_a_folder_is_named(root):
    (root / "train" / "dog").rename(root / "moved")
    (root / "train" / "dog").symlink_to(root / "unmounted")
    with pytest.raises(
        DataError, match=r"train/dog: is a link to .*unmounted, which does not exist"
    ):
        scan(str(root))
    assert "which does not exist" in _below(root / "train")[2]


def test_each_folder_is_searched_once(tmp_path, capsys):
    """With two links to the next folder in each, there are 2**30 ways to the last."""
    for depth in range(30):
        folder = tmp_path / str(depth)
        _touch(folder / "x.png")
        for name in ("a", "b"):
            (folder / name).symlink_to(tmp_path / str(depth + 1))
    _touch(tmp_path / "30" / "x.png")
    (tmp_path / "30" / "a").symlink_to(tmp_path / "0")
    assert len(_below(tmp_path / "0")) == 31
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 31
    assert all("which was scanned already" in line for line in lines)


def test_a_tree_deeper_than_paths_can_be(tmp_path, monkeypatch):
    """Each folder in it can be reached only from the one before."""
    monkeypatch.chdir(tmp_path)
    for _ in range(30):
        os.mkdir("d" * 200)  # noqa: PTH102
        os.chdir("d" * 200)
    os.close(os.open("x.png", os.O_CREAT))
    (message,) = _below(tmp_path)
    assert os.strerror(errno.ENAMETOOLONG) in message


def test_an_unreadable_folder_is_named(root, monkeypatch):
    scandir = os.scandir

    def refusing(path):
        if str(path).endswith("cat"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(DataError, match=r"train/cat: cannot be read \(Permission denied\)"):
        scan(str(root))
    message, *others = _below(root / "train")
    assert "train/cat: cannot be read (Permission denied)" in message
    assert others == ["dog/1.png", "dog/2.png"]


def test_a_folder_without_images_says_what_it_has(tmp_path):
    _touch(tmp_path / "a.heic", tmp_path / "b.heic")
    assert _below(tmp_path) == [
        f"{tmp_path}: there are no images in this folder, but 2 files that are not images (.heic 2)"
    ]


# Layouts that are not SPLIT/CLASS/, and what to do about them.


def _move(root, changes):
    for source, target in changes.items():
        (root / target).parent.mkdir(exist_ok=True, parents=True)
        shutil.move(root / source, root / target)


LAYOUTS = {
    "images without classes or splits": (
        lambda d: (shutil.rmtree(d / "train"), shutil.rmtree(d / "test"), _touch(d / "1.png")), "d",
        "d: has no folder train; it has images directly in it; put the images into {d}/CLASS, with "
        "a folder for each class, or into {d}/train/CLASS and {d}/test/CLASS"),
    "images without classes": (
        lambda d: (shutil.rmtree(d / "train"), _touch(d / "train" / "1.png")), "d",
        "d/train: has images but no class folders; make a folder for each class"),
    "the folder of a split": (
        Path.exists, "d/train",
        "d/train: has no folder train; it is the folder of one split, so set data.root to {d}"),
    "the folder above": (
        Path.exists, "", ": has no folder train; they are in {d}, so set data.root to it"),
    "splits in the classes": (
        lambda d: (_move(d, {"train/cat": "cat/train", "test/cat": "cat/test"}),
                   shutil.rmtree(d / "train"), shutil.rmtree(d / "test")), "d",
        "d: has no folder train; the splits must come before the classes: {d}/train/cat instead of "
        "{d}/cat/train"),
    "no train": (
        lambda d: shutil.rmtree(d / "train"), "d",
        "d: has no folder train; move some of the images of each class to {d}/train/CLASS"),
    "another name for train": (
        lambda d: (d / "train").rename(d / "Training"), "d",
        "d: has no folder train; rename {d}/Training to {d}/train"),
    "another name for test": (
        lambda d: (d / "test").rename(d / "validation"), "d",
        "d: has no folder test or val; rename {d}/validation to {d}/test"),
    "an empty folder": (
        lambda d: (shutil.rmtree(d), d.mkdir()), "d",
        "d: has no folder train; put the images into {d}/CLASS, with a folder for each class"),
    "a file for a split": (
        lambda d: (shutil.rmtree(d / "train"), _touch(d / "train")), "d",
        "d/train: is a file, not a folder"),
    "one class without splits": (
        lambda d: (_move(d, {"train/cat": "cat"}), shutil.rmtree(d / "train"),
                   shutil.rmtree(d / "test")), "d",
        "d: has one class folder, cat; training needs two classes or more"),
    "another name for train among classes": (
        lambda d: (_move(d, {"train": "TrainSet/x", "test/cat": "cat"}), shutil.rmtree(d / "test"),
                   (d / "TrainSet").rename(d / "Train_Set")), "d",
        "d: has no folder train; rename {d}/Train_Set to {d}/train"),
    "a file for the missing split": (
        lambda d: (shutil.rmtree(d / "test"), _touch(d / "val")), "d",
        "d/val: is a file, not a folder"),
    "one image in each class": (
        lambda d: (shutil.rmtree(d / "test"), (d / "train/cat/1.png").unlink(),
                   (d / "train/dog/1.png").unlink()), "d",
        "d/train: has no test split, and no class has two images"),
    "one class": (
        lambda d: (shutil.rmtree(d / "train" / "dog"), shutil.rmtree(d / "test" / "dog")), "d",
        "d/train: has one class folder, cat; training needs two classes or more"),
    "an empty class": (
        lambda d: [path.unlink() for path in (d / "test" / "cat").iterdir()], "d",
        "d/test/cat: has no image files; add some, or remove the class"),
    "a class of other files": (
        lambda d: [path.rename(path.with_suffix(".heic")) for path in (d / "test/cat").iterdir()],
        "d", "d/test/cat: has no image files (only 2 files that are not images (.heic 2)); add"),
    "a folder in a class": (
        lambda d: (d / "test" / "cat" / "more").mkdir(), "d",
        "d/test/cat/more: is a folder in a class folder; the images must lie in {d}/test/cat"),
    "no class folders": (
        lambda d: (shutil.rmtree(d / "train"), (d / "train").mkdir()), "d",
        "d/train: has no class folders; make a folder for each class"),
    "another case": (
        lambda d: (d / "test" / "cat").rename(d / "test" / "Cat"), "d",
        'd/test: has the class folder "Cat", and {d}/train has "cat"; they differ only in upper '
        "and lower case, so rename one of them"),
    "another space": (
        lambda d: (d / "test" / "cat").rename(d / "test" / "cat "), "d",
        "they differ only in spaces or in the kind of characters ('cat ' and 'cat'), so rename"),
    "another class": (
        lambda d: (d / "test" / "cat").rename(d / "test" / "cow"), "d",
        "d/test: lacks the class folders cat, which are in {d}/train; both splits need the same"),
    "thousands of other classes": (
        lambda d: [(d / "test" / f"class{number:04}").mkdir() or
                   _touch(d / "test" / f"class{number:04}" / "x.png") for number in range(2000)],
        "d", "class0000, class0001, class0002, class0003, class0004 and 1,995 more, which are in"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "given", "message"), LAYOUTS.values(), ids=LAYOUTS)
def test_a_layout_that_cannot_be_is_explained(change, given, message, root, tmp_path, monkeypatch):
    change(root)
    monkeypatch.chdir(tmp_path)  # messages have the whole path nevertheless
    with pytest.raises(DataError) as caught:
        scan(given or ".")
    assert message.format(d=root) in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path))
    assert len(str(caught.value)) < 500


UNDIVIDED = {
    "train alone": (lambda d: shutil.rmtree(d / "test"), "train"),
    "classes alone": (
        lambda d: (_move(d, {"train/cat": "cat", "train/dog": "dog"}),
                   shutil.rmtree(d / "train"), shutil.rmtree(d / "test")), ""),
    "classes with names of splits": (
        lambda d: (_move(d, {"train/cat": "valid", "train/dog": "invalid"}),
                   shutil.rmtree(d / "train"), shutil.rmtree(d / "test")), ""),
}  # fmt: skip


@pytest.mark.parametrize(("change", "source"), UNDIVIDED.values(), ids=UNDIVIDED)
def test_a_missing_test_split_is_split_off_of_each_class(change, source, root, capsys):
    for name in ("cat", "dog"):
        _touch(*(root / "train" / name / f"{number}.png" for number in range(10)))
    change(root)
    train, test = folder_scan.scan(str(root), 0.3, 5)
    assert train.source == test.source == root / source
    assert train.classes == test.classes
    assert np.bincount(train.labels).tolist() == [7, 7]
    assert np.bincount(test.labels).tolist() == [3, 3]
    assert len({*train.files, *test.files}) == 20
    line = f"{root / source}: has no test split, so 6 of 20 images are split off to test on"
    assert capsys.readouterr().err == f"{line} (data.test_share)\n"
    assert folder_scan.scan_test(str(root), 0.3, 5).files == test.files
    assert folder_scan.scan(str(root), 0.3, 6)[1].files != test.files


def test_what_is_split_off_is_what_it_was(root):
    """Runs that began with an earlier version go on with the same images."""
    _touch(*(root / "train" / "cat" / f"{number}.png" for number in range(10)))
    shutil.rmtree(root / "test")
    _, test = folder_scan.scan(str(root), 0.5, 7)
    names = [os.path.relpath(path, root / "train") for path in test.files]
    assert names == [*(f"cat/{number}.png" for number in (0, 1, 6, 7, 8)), "dog/2.png"]


def test_val_serves_as_test_and_is_left_out_beside_it(root, capsys):
    shutil.copytree(root / "test", root / "val")
    assert scan(str(root))[1].source == root / "test"
    assert capsys.readouterr().err == f"{root / 'val'}: left out, for there is {root / 'test'}\n"
    shutil.rmtree(root / "test")
    assert scan(str(root))[1].source == root / "val"
    assert capsys.readouterr().err == ""


def test_test_images_alone_need_the_test_split_alone(root):
    shutil.rmtree(root / "train")
    assert len(scan_test(str(root)).files) == 4


# Names of classes that look alike.

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


def test_composed_and_decomposed_class_names_are_the_same(root):
    for split, name in (("train", COMPOSED), ("test", DECOMPOSED)):
        (root / split / "cat").rename(root / split / name)
    train, test = scan(str(root))
    assert train.classes == test.classes == (COMPOSED, "dog")
    assert train.labels.tolist() == test.labels.tolist() == [0, 0, 1, 1]
    assert all(DECOMPOSED in path for path in test.files[:2])


def test_a_class_that_is_there_in_both_forms_is_an_error(root):
    for name in (COMPOSED, DECOMPOSED):
        _touch(root / "train" / name / "x.png")
    with pytest.raises(DataError) as caught:
        scan(str(root))
    assert r"'caf\xe9'" in str(caught.value)
    assert r"'cafe\u0301'" in str(caught.value)
    assert "merge them, or rename one" in str(caught.value)


def test_names_are_shown_on_one_line(root):
    _touch(root / "train" / "new\nline\x1b[31m" / "x.png")
    with pytest.raises(DataError) as caught:
        scan(str(root))
    assert r"new\nline\x1b[31m" in str(caught.value)
    assert str(caught.value).isprintable()


def test_class_names_that_are_not_utf8(root):
    for split in ("train", "test"):
        (root / split / "cat").rename(root / split / os.fsdecode(b"caf\xe9"))
    train, test = scan(str(root))
    assert train.classes == test.classes == ("caf\udce9", "dog")


@pytest.mark.slow
def test_a_hundred_thousand_files_take_a_second_or_two(tmp_path):
    """Of processor time. No file is looked at by itself, so a million take ten times as much."""
    for split, count in (("train", 50_000), ("test", 10)):
        for name in ("a", "b"):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                os.close(os.open(f"{folder}/{number:07}.jpg", os.O_CREAT))
    before = time.process_time()
    train, _ = scan(str(tmp_path))
    assert time.process_time() - before < 4
    assert np.bincount(train.labels).tolist() == [50_000, 50_000]


@pytest.mark.slow
def test_ten_thousand_random_trees_give_the_same_images_or_an_error(tmp_path, capsys):
    """Each differs from the one before in an entry. Links lead to nothing beyond the tree."""
    rng = random.Random(0)
    outcomes = Counter()
    for number in range(10_000):
        folder = tmp_path / str(number // 8) / "tree"
        if number % 8 == 0:
            _touch(
                *(folder / split / name / "a.png" for split in SPLITS for name in ("cat", "dog"))
            )
        _change(rng, folder)
        try:
            train, test = scan(str(folder))
        except DataError as error:
            assert str(error).startswith(str(folder))
            assert str(error).isprintable()
            outcomes["refused"] += 1
        else:
            assert all(path.startswith(f"{train.source}/") for path in train.files)
            assert not set(train.files) & set(test.files)
            outcomes["listed"] += 1
        found = [Path(path) for path, problem in images_below(folder) if problem is None]
        assert {path for path in found if not path.is_symlink()} == {
            path
            for path in folder.rglob("*.png")
            if not path.name.startswith(".") and stat.S_ISREG(path.lstat().st_mode)
        }
        assert len(set(found)) == len(found)
        capsys.readouterr()
    assert min(outcomes.values()) > 1_000


SPLITS = ("train", "test")
PARTS = [
    *("train", "test", "cat", "dog", "Cat", COMPOSED, DECOMPOSED, "link.png", "fifo.png", "d.txt"),
    *("a.png", "b.png", ".c.png", "e\n.png", os.fsdecode(b"\xff.png"), "Thumbs.db"),
]


def _change(rng, folder):
    """Adds an entry in the tree, or takes one away."""
    paths = [folder, *sorted(folder.rglob("*"))]
    place = rng.choice([path for path in paths if path.is_dir() and not path.is_symlink()])
    path = place / rng.choice(PARTS)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif path.is_symlink() or path.exists():
        path.unlink()
    elif path.name.startswith("link"):
        path.symlink_to(rng.choice(["..", ".", "gone", "link.png", "a.png", "/dev/zero"]))
    elif path.name.startswith("fifo"):
        os.mkfifo(path)
    elif "." in path.name:
        path.touch()
    else:
        path.mkdir()


@pytest.mark.parametrize(
    ("one", "other"),
    [(b"\xff", b"\\xff"), (b"a\nb", b"a\\nb"), ("é".encode(), b"e\xcc\x81")],
    ids=repr,
)
def test_two_class_folders_that_a_run_could_not_tell_apart(tmp_path, one, other):
    for split in ("train", "test"):
        for name in (one, other):
            _touch(tmp_path / split / os.fsdecode(name) / "1.png")
    with pytest.raises(DataError, match=r"has two class folders .* rename one of them"):
        scan(tmp_path)
