"""Folders of images: what is read, how it is brought to size, and what is refused."""

import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from gpucnn.data import (
    BatchLoader,
    datasets,
    decoding_pool,
    describe_images,
    image_files,
    image_folder,
    load_image,
    load_options,
)
from gpucnn.errors import ConfigError, DataError

SHAPE = (6, 8, 3)
CLASSES = ("cat", "dog")
TRAIN_A_CLASS, TEST_A_CLASS = 4, 2


def _pixels(seed, shape=SHAPE):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def _save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


@pytest.fixture
def root(tmp_path):
    """Two classes of four images to train on and two to test on; their seeds count up."""
    seed = 0
    for split, count in (("train", TRAIN_A_CLASS), ("test", TEST_A_CLASS)):
        for name in CLASSES:
            for number in range(count):
                _save(tmp_path / split / name / f"{number}.png", _pixels(seed))
                seed += 1
    return tmp_path


def _all(dataset):
    return dataset.images(np.arange(len(dataset)))


def test_files_come_by_class_and_name(root):
    pair = image_folder(str(root))
    assert pair.train.classes == CLASSES
    assert pair.train.image_shape == SHAPE
    assert not pair.train.on_demand
    assert pair.train.labels.tolist() == [0] * 4 + [1] * 4
    assert pair.train.labels.dtype == np.int32
    assert np.array_equal(_all(pair.train), [_pixels(seed) for seed in range(8)])
    assert np.array_equal(_all(pair.test), [_pixels(seed) for seed in range(8, 12)])


def test_val_serves_as_test(root):
    (root / "test").rename(root / "val")
    assert len(image_folder(str(root)).test) == 4


@pytest.mark.parametrize("memory_limit_mb", [1, 0], ids=["in memory", "on demand"])
def test_what_is_split_off_has_a_fingerprint_of_its_own(root, memory_limit_mb):
    shutil.rmtree(root / "test")
    prints = [
        image_folder(str(root), memory_limit_mb=memory_limit_mb, split_seed=seed).test.fingerprint()
        for seed in (1, 1, 3)
    ]
    assert prints[0] == prints[1] != prints[2]


def test_of_a_split_that_is_split_off_the_images_are_right(root):
    shutil.rmtree(root / "test")
    pair = image_folder(str(root), test_share=0.5)
    seeds = [_pixels(seed).tolist() for seed in range(8)]
    for part in (pair.train, pair.test):
        found = [seeds.index(image.tolist()) for image in _all(part)]
        assert [seed // 4 for seed in found] == part.labels.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("memory_limit_mb", [1, 0], ids=["in memory", "on demand"])
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_neither_workers_nor_memory_change_the_images(root, workers, memory_limit_mb):
    pair = image_folder(str(root), 5, workers=workers, memory_limit_mb=memory_limit_mb)
    assert pair.train.on_demand == (memory_limit_mb == 0)
    expected = image_folder(str(root), 5, workers=0).train
    assert np.array_equal(_all(pair.train), _all(expected))
    some = np.array([6, 0, 3])
    assert np.array_equal(pair.train.images(some), expected.images(some))


def test_batches_of_images_on_demand(root):
    loader = BatchLoader(image_folder(str(root), memory_limit_mb=0).train, 3, seed=1)
    for batch in loader.batches(0):
        for image, index in zip(batch.images, batch.indices, strict=True):
            assert np.array_equal(image, _pixels(int(index)))


def test_hidden_and_other_files_are_left_out(root):
    (root / "train" / ".cache").mkdir()
    for name in ("cat/.hidden.png", "cat/notes.txt", "dog/Thumbs.db"):
        (root / "train" / name).write_bytes(b"no image")
    assert len(image_folder(str(root)).train) == 8


def test_the_config_table_is_understood(root):
    table = {"name": "image_folder", "root": str(root), "size": [4, 5], "colour": "grey"}
    assert datasets.create(table, "data").train.image_shape == (4, 5, 1)


def _first(root, **options):
    return image_folder(str(root), **options).train.images(np.array([0]))[0]


def _halves(height, width):
    """Left half red, right half blue."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2, 0] = 255
    pixels[:, width // 2 :, 2] = 255
    return pixels


def test_crop_keeps_proportions_and_the_middle(root):
    wide = np.zeros((4, 12, 3), np.uint8)
    wide[:, 4:8] = 200
    _save(root / "train" / "cat" / "0.png", wide)
    assert np.array_equal(_first(root, size=4), np.full((4, 4, 3), 200))


def test_stretch_keeps_everything(root):
    _save(root / "train" / "cat" / "0.png", _halves(4, 12))
    image = _first(root, size=4, fit="stretch")
    assert image[:, 0].tolist() == [[255, 0, 0]] * 4
    assert image[:, -1].tolist() == [[0, 0, 255]] * 4


def test_grey_is_the_luminance(root):
    _save(root / "train" / "cat" / "0.png", np.full(SHAPE, (255, 0, 0), np.uint8))
    image = _first(root, colour="grey")
    assert image.shape == (6, 8, 1)
    assert (image == 76).all()  # 0.299 · 255


def test_orientation_is_applied(tmp_path):
    path = tmp_path / "photo.jpg"
    picture = Image.fromarray(_halves(8, 16))
    exif = picture.getexif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    picture.save(path, exif=exif, quality=95)
    image = load_image(path, (16, 8, 3), "stretch").astype(int)
    assert image[2, 4, 0] > 200
    assert image[2, 4, 2] < 50
    assert image[13, 4, 2] > 200


def _with_alpha(path):
    pixels = np.full((4, 4, 4), 200, np.uint8)
    pixels[..., 3] = [[0, 0, 255, 255]] * 4
    Image.fromarray(pixels).save(path)


def _with_palette(path):
    picture = Image.fromarray(np.array([[0, 0, 1, 1]] * 4, np.uint8), "P")
    picture.putpalette([9, 9, 9, 200, 200, 200])
    picture.save(path, transparency=0)


def _with_grey_alpha(path):
    Image.fromarray(np.array([[[200, 0]] * 2 + [[200, 255]] * 2] * 4, np.uint8), "LA").save(path)


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated")
@pytest.mark.parametrize("save", [_with_alpha, _with_palette, _with_grey_alpha])
def test_what_is_transparent_becomes_black(tmp_path, save):
    path = tmp_path / "picture.png"
    save(path)
    image = load_image(path, (4, 4, 3), "crop")
    assert (image[:, :2] == 0).all()
    assert (image[:, 2:] == 200).all()


@pytest.mark.parametrize("name", ["picture.png", "picture.tif"])
def test_16_bits_keep_their_upper_half(tmp_path, name):
    values = np.array([[0, 255, 256], [0x8000, 0xFEFF, 0xFFFF]], np.uint16)
    _save(tmp_path / name, values)
    image = load_image(tmp_path / name, (2, 3, 1), "crop")[..., 0]
    assert np.abs(image.astype(int) - values / 257).max() < 1
    assert image.tolist()[1] == [0x80, 0xFE, 0xFF]


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F"])
@pytest.mark.parametrize("C", [1, 3])
def test_each_mode_can_be_read(tmp_path, mode, C):
    path = tmp_path / "picture.tif"
    Image.new(mode, (5, 4)).save(path)
    value_range = (0, 1000) if mode == "I" else None  # it has no range of its own
    image = load_image(path, (4, 5, C), "crop", value_range=value_range)
    assert (image.shape, image.dtype) == ((4, 5, C), np.uint8)
    assert image.flags.c_contiguous


def test_load_image_is_what_the_data_set_holds(root):
    _save(root / "train" / "cat" / "0.png", _pixels(99, (11, 17, 3)))
    for fit in ("crop", "stretch"):
        alone = load_image(root / "train" / "cat" / "0.png", (5, 5, 3), fit)
        assert np.array_equal(alone, _first(root, size=5, fit=fit))


CAT = "train/cat/1.png"


def _write(name, content):
    return lambda root: (root / name).write_bytes(content)


def _halve(name):
    return lambda root: (root / name).write_bytes((root / name).read_bytes()[:120])


def _halve_jpeg(root):
    path = root / "train" / "cat" / "big.jpg"
    _save(path, _pixels(1, SHAPE))
    path.write_bytes(path.read_bytes()[:-60])


def _empty_class(root):
    shutil.rmtree(root / "train" / "cat")
    (root / "train" / "cat").mkdir()


DAMAGE = {
    "empty image": (_write(CAT, b""), CAT),
    "text with an image's name": (_write(CAT, b"this is not an image"), CAT),
    "truncated png": (_halve(CAT), CAT),
    "truncated jpeg": (_halve_jpeg, "train/cat/big.jpg"),
    "first image damaged": (_write("train/cat/0.png", b"\x89PNG"), "train/cat/0.png"),
    "damaged test image": (_write("test/dog/1.png", b"GIF89a"), "test/dog/1.png"),
}
DEFECTS = {
    **DAMAGE,
    "another size": (lambda root: _save(root / CAT, _pixels(0, (6, 9, 3))), CAT),
    "another size in test": (
        lambda root: _save(root / "test/cat/0.png", _pixels(0, (5, 8, 3))),
        "test/cat/0.png",
    ),
    "no train": (lambda root: shutil.rmtree(root / "train"), "train"),
    "no classes": (
        lambda root: [shutil.rmtree(root / "train" / name) for name in CLASSES],
        "train",
    ),
    "a class without images": (_empty_class, "train/cat"),
    "a class in train alone": (lambda root: shutil.rmtree(root / "test" / "cat"), "cat"),
    "a class in test alone": (lambda root: shutil.rmtree(root / "train" / "dog"), "dog"),
    "train is a file": (
        lambda root: [shutil.rmtree(root / "train"), (root / "train").write_bytes(b"")],
        "train",
    ),
}


@pytest.mark.parametrize(("damage", "named"), DEFECTS.values(), ids=DEFECTS)
def test_each_defect_is_an_error_that_names_the_file(root, damage, named):
    damage(root)
    with pytest.raises(DataError) as caught:
        image_folder(str(root))
    assert named in str(caught.value)
    assert str(root) in str(caught.value)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_first_error_in_order_is_the_one_told(root, workers):
    for name in ("train/dog/2.png", CAT, "train/cat/3.png"):
        (root / name).write_bytes(b"")
    with pytest.raises(DataError, match=CAT):
        image_folder(str(root), workers=workers)


def test_another_size_is_told_with_both_sizes_and_the_remedy(root):
    _save(root / CAT, _pixels(0, (6, 9, 3)))
    with pytest.raises(DataError) as caught:
        image_folder(str(root), on_damaged="skip")
    for part in (CAT, "6×9", "6×8", "data.size"):
        assert part in str(caught.value)
    image_folder(str(root), size=(6, 8))


@pytest.mark.parametrize("memory_limit_mb", [1, 0], ids=["in memory", "on demand"])
@pytest.mark.parametrize(("damage", "named"), DAMAGE.values(), ids=DAMAGE)
def test_damaged_images_can_be_skipped(root, capsys, monkeypatch, memory_limit_mb, damage, named):
    monkeypatch.setattr(decoding_pool, "_LARGEST_CHUNK", 3)
    intact = {path: load_image(path, SHAPE) for path in sorted(root.rglob("*.png"))}
    damage(root)
    pair = image_folder(str(root), memory_limit_mb=memory_limit_mb, on_damaged="skip")
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert "1 " in lines[0]
    for split, dataset in (("train", pair.train), ("test", pair.test)):
        kept = [p for p in intact if p.parts[-3] == split and p != root / named]
        assert np.array_equal(_all(dataset), [intact[path] for path in kept])
        assert [CLASSES[label] for label in dataset.labels] == [path.parent.name for path in kept]


def test_a_class_with_damaged_images_alone_is_an_error(root):
    for number in range(TEST_A_CLASS):
        (root / "test" / "dog" / f"{number}.png").write_bytes(b"")
    with pytest.raises(DataError, match="test: all images of dog are damaged"):
        image_folder(str(root), on_damaged="skip")


def test_damage_is_found_on_demand(root):
    (root / CAT).write_bytes(b"")
    train = image_folder(str(root), memory_limit_mb=0).train
    assert np.array_equal(train.images(np.array([0]))[0], _pixels(0))
    with pytest.raises(DataError, match=CAT):
        train.images(np.array([0, 1]))


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"size": 0}, "0"),
        ({"size": (4, -1)}, "-1"),
        ({"workers": -2}, "-2"),
        ({"memory_limit_mb": -5}, "-5"),
        ({"colour": "gray"}, "gray"),
        ({"fit": "squeeze"}, "squeeze"),
        ({"on_damaged": "ignore"}, "ignore"),
        ({"max_pixels": 0}, "0"),
        ({"size": 20_000}, "400,000,000 pixels"),
        ({"range": (5, 5)}, "5"),
        ({"test_share": 1}, "test_share is 1"),
        ({"split_seed": -1}, "split_seed is -1"),
        ({"range": (9, 1)}, "9"),
        ({"range": (0, float("nan"))}, "nan"),
    ],
)
def test_options_out_of_range_are_refused(root, options, part):
    with pytest.raises(ConfigError, match=part):
        image_folder(str(root), **options)


def test_a_missing_root_and_a_file_in_its_place(tmp_path):
    with pytest.raises(DataError, match="absent"):
        image_folder(str(tmp_path / "absent"))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match=r"file.*not a folder"):
        image_folder(str(tmp_path / "file"))


def test_load_image_names_what_it_cannot_read(tmp_path):
    (tmp_path / "text.png").write_bytes(b"text")
    (tmp_path / "folder.png").mkdir()
    for name in ("absent.png", "text.png", "folder.png"):
        with pytest.raises(DataError, match=name):
            load_image(tmp_path / name, SHAPE, "crop")


def test_a_missing_pillow_is_told_with_its_remedy(root, monkeypatch):
    for name in ("PIL", "PIL.Image", "PIL.ImageOps"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DataError, match=r"pip install -e \"\.\[images\]\""):
        image_folder(str(root))


@pytest.mark.parametrize("memory_limit_mb", [1, 0], ids=["in memory", "on demand"])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_range_and_a_limit_apply_to_all(root, workers, memory_limit_mb):
    for number, path in enumerate(sorted(root.rglob("*.png"))):
        _save(path, np.full((6, 8), 100 * number, np.uint16))
    options = {"colour": "grey", "workers": workers, "memory_limit_mb": memory_limit_mb}
    with pytest.raises(DataError, match=r"cat/0\.png.*largest is 400.*data\.range"):
        _all(image_folder(str(root), **options).train)
    pair = image_folder(str(root), range=(0, 1100), **options)
    pair_values = [_all(part)[:, 0, 0, 0].tolist() for part in (pair.test, pair.train)]
    expected = np.rint(np.arange(12) * 100 / 1100 * 255).astype(int).tolist()
    assert pair_values == [expected[:4], expected[4:]]
    with pytest.raises(DataError, match=r"48 pixels.*data\.max_pixels allows 47"):
        _all(image_folder(str(root), range=(0, 1100), max_pixels=47, **options).train)
    assert (
        pair.train.image_shape
        == describe_images(
            {"name": "image_folder", "root": str(root), "colour": "grey", "range": [0, 1100]}
        )[0]
    )


def test_files_that_are_too_large_can_be_skipped(root, capsys):
    _save(root / CAT, _pixels(0, (60, 80, 3)))
    pair = image_folder(str(root), size=(6, 8), max_pixels=4799, on_damaged="skip")
    assert len(pair.train) == 7
    line = capsys.readouterr().err
    for part in ("skipped 1 of 8", CAT, "4,800 pixels"):
        assert part in line


def test_load_options_are_what_the_data_set_uses():
    assert load_options({"name": "digits"}) == load_options({"name": "image_folder"})
    options = load_options({"max_pixels": 5, "range": [0, 4095]})
    assert options == {"max_pixels": 5, "value_range": (0, 4095)}


def test_more_workers_than_cores_can_use_are_not_started(capsys, monkeypatch):
    monkeypatch.setattr(image_files, "available_cores", lambda: 1)
    assert image_files.worker_processes(9, 10**6) == 8
    assert "data.workers = 9" in capsys.readouterr().err
    assert image_files.worker_processes(8, 10**6) == 8
    assert capsys.readouterr().err == ""
