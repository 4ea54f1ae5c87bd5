"""Data from a Python program: arrays, and objects with a length and items."""

import re
import threading

import numpy as np
import pytest

import gpucnn
from gpucnn.config import Config
from gpucnn.data import BatchLoader
from gpucnn.data.python_data import as_pair
from gpucnn.errors import DataError

IMAGES = np.random.default_rng(5).integers(0, 256, (60, 8, 9, 3), np.uint8)
LABELS = np.arange(60) % 3
NAMES = ["cat", "dog", "fish"]


class Items:
    """As a data set of torchvision: items (image, label)."""

    def __init__(self, images=IMAGES, labels=LABELS, **attributes):
        self.parts = list(zip(images, labels, strict=True))
        self.threads = set()
        for name, value in attributes.items():
            setattr(self, name, value)

    def __len__(self):
        return len(self.parts)

    def __getitem__(self, index):
        self.threads.add(threading.current_thread())
        return self.parts[index]


class Feature:
    names = NAMES


def _all(dataset):
    return dataset.images(np.arange(len(dataset)))


def test_arrays():
    data = gpucnn.dataset(IMAGES, LABELS)
    assert np.array_equal(_all(data), IMAGES)
    assert data.labels.dtype == np.int32
    assert data.labels.tolist() == LABELS.tolist()
    assert data.classes == ("0", "1", "2")
    assert not data.on_demand
    grey = gpucnn.dataset(IMAGES[..., 0], LABELS[:, None].astype(np.uint8), NAMES)
    assert grey.image_shape == (8, 9, 1)
    assert grey.classes == tuple(NAMES)


@pytest.mark.parametrize(
    ("source", "classes"),
    [
        (Items(), ("0", "1", "2")),
        (Items(classes=NAMES), tuple(NAMES)),
        (Items(features={"label": Feature, "image": None}), tuple(NAMES)),
        ([{"img": i, "label": n} for i, n in zip(IMAGES, LABELS, strict=True)], ("0", "1", "2")),
        ([[i, int(n)] for i, n in zip(IMAGES, LABELS, strict=True)], ("0", "1", "2")),
        (Items(IMAGES, LABELS.astype(bool)), ("0", "1")),
    ],
    ids=["pairs", "torchvision", "hugging face", "mappings", "lists", "bool"],
)
def test_items(source, classes):
    data = gpucnn.dataset(source)
    assert np.array_equal(_all(data), IMAGES)
    assert np.array_equal(data.images(np.array([7, 3])), IMAGES[[7, 3]])
    assert data.classes == classes
    expected = LABELS if len(classes) == 3 else LABELS.astype(bool)
    assert data.labels.tolist() == expected.tolist()
    assert data.on_demand


@pytest.mark.parametrize("source", [list(IMAGES), Items()], ids=["images", "pairs"])
def test_labels_that_are_given_need_no_pass_over_the_items(source):
    data = gpucnn.dataset(source, LABELS, NAMES)
    if isinstance(source, Items):
        source.parts[1:] = [None] * 59  # has not been looked at
        source.parts[5] = (IMAGES[5], "whatever")
    assert np.array_equal(data.images(np.array([5])), IMAGES[[5]])
    assert data.labels.tolist() == LABELS.tolist()


def test_items_are_asked_for_by_one_other_thread():
    source = Items()
    data = gpucnn.dataset(source)
    source.threads.clear()
    for _ in BatchLoader(data, 4, 1).batches(0):
        pass
    assert len(source.threads) == 1
    assert threading.current_thread() not in source.threads


@pytest.mark.parametrize(
    ("modes", "shape"),
    [(["RGB", "L", "P", "RGBA"], (8, 9, 3)), (["L", "RGB", "1", "LA"], (8, 9, 1))],
)
def test_images_of_pillow_become_what_the_first_is(modes, shape):
    image = pytest.importorskip("PIL.Image")
    photo = image.fromarray(IMAGES[0])
    data = gpucnn.dataset([photo.convert(mode) for mode in modes], [0, 1, 0, 1])
    assert data.image_shape == shape
    expected = np.asarray(photo.convert("RGB" if shape[2] == 3 else "L")).reshape(shape)
    assert np.array_equal(data.images(np.array([0]))[0], expected)
    assert _all(data).shape == (4, *shape)


def test_numbers_to_predict():
    numbers = np.linspace(-1, 1, 120).reshape(60, 2)
    data = gpucnn.dataset(IMAGES, numbers)
    assert data.classes == ()
    assert data.target_names == ("target 1", "target 2")
    assert np.array_equal(data.targets, numbers.astype(np.float32))
    one = gpucnn.dataset(Items(IMAGES, numbers[:, 0]))
    assert one.target_names == ("target",)
    assert np.array_equal(one.targets[:, 0], numbers[:, 0].astype(np.float32))
    assert np.array_equal(one.images(np.array([9])), IMAGES[[9]])


def test_soft_labels():
    shares = np.random.default_rng(1).dirichlet(np.ones(3), 60)
    for data in (gpucnn.dataset(IMAGES, shares, NAMES), gpucnn.dataset(Items(labels=shares), None,
                                                                       NAMES)):  # fmt: skip
        assert data.labels.tolist() == shares.argmax(axis=1).tolist()
        assert np.array_equal(data.targets, shares.astype(np.float32))
        assert data.images(np.array([3])).shape == (1, 8, 9, 3)


def _with(index, image=None, label=None):
    """Items of which one is another."""
    source = Items()
    old_image, old_label = source.parts[index]
    source.parts[index] = (
        old_image if image is None else image,
        old_label if label is None else label,
    )
    return source


WRONG = {
    "no images": (([], []), "no images"),
    "no labels": ((IMAGES,), "no labels"),
    "no length": ((iter(IMAGES), LABELS), "no length"),
    "floats": ((IMAGES / 255, LABELS), r"float64 \(60, 8, 9, 3\).*uint8"),
    "channels first": ((IMAGES.transpose(0, 3, 1, 2), LABELS), "channels are last"),
    "flat": ((IMAGES.reshape(60, -1), LABELS), r"\(60, 216\)"),
    "fewer labels": ((IMAGES, LABELS[:59]), r"\(59,\), for 60 images"),
    "text": ((IMAGES, [*"abc"] * 20), "whole numbers"),
    "ragged": ((IMAGES, [[1], [1, 2]] * 30), "no array"),
    "two columns": ((IMAGES, np.stack([LABELS, LABELS], 1)), "whole numbers"),
    "negative": ((IMAGES, LABELS - 1), "label of image 0 is -1"),
    "too large": ((IMAGES, LABELS, NAMES[:2]), "label of image 2 is 2.*2 classes"),
    "huge": ((IMAGES, LABELS * 10**12), "label of image 1 is 1000000000000"),
    "same names": ((IMAGES, LABELS, ["a", "b", "a"]), "twice"),
    "not finite": ((IMAGES, np.where(LABELS, 1.0, np.nan)), "image 0 is nan"),
    "no shares": ((IMAGES, np.ones((60, 3)), NAMES), "soft label of image 0"),
    "columns": ((IMAGES, np.ones((60, 2)) / 2, NAMES), "2 columns.*3"),
    "an item alone": (([*Items().parts[:9], 5],), "item 9 is an object of the type int"),
    "a triple": (([(*part, 1) for part in Items().parts],), "item 0 is .* tuple"),
    "no key": (([{"picture": 1, "label": 2}],), "item 0 has no image; it has picture, label"),
    "a tensor": ((_with(0, IMAGES[0] / 255),), "item 0 has an image that is float64.*tensors"),
    "another size": ((_with(17, IMAGES[17, 1:]),), "item 17 has an image of 7×9×3.*8×9×3"),
    "text for a label": ((_with(4, label="cat"),), "item 4 has the label 'cat'"),
    "a list for a label": ((_with(4, label=[1, 2]),), "item 4 has the label"),
    "mixed": ((_with(4, label=0.5),), "item 4 has the label 0.5, of another kind"),
    "a negative one": ((_with(4, label=-1),), "image 4 is -1"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_data_is_refused_with_its_index(case):
    arguments, words = WRONG[case]
    with pytest.raises(DataError, match=words) as caught:
        gpucnn.dataset(*arguments)
    assert "\n" not in str(caught.value)


def test_pillow_in_a_mode_of_more_bits():
    image = pytest.importorskip("PIL.Image")
    with pytest.raises(DataError, match=r'item 0 .*"I;16"'):
        gpucnn.dataset([image.new("I;16", (9, 8))], [0])


def test_items_that_change_are_noticed():
    source = Items()
    data = gpucnn.dataset(source)
    source.parts.reverse()
    with pytest.raises(DataError, match="item 0 has the label 2, and had another"):
        _all(data)


def test_an_error_of_the_object_keeps_its_type_and_names_the_item():
    source = [*Items().parts[:5], *[None] * 3]

    class Broken(Items):
        def __getitem__(self, index):
            return {}["x"] if index == 3 else source[index]

    with pytest.raises(KeyError) as error:
        gpucnn.dataset(Broken())
    assert error.value.__notes__ == ["Item 3 of the data could not be had."]


def test_test_data_have_the_classes_of_the_training_data():
    pair = as_pair(((IMAGES, LABELS), (IMAGES[:4], LABELS[:4] % 2)))
    assert pair.test.classes == ("0", "1", "2")
    pair = as_pair((Items(classes=NAMES), (IMAGES, LABELS)))
    assert pair.test.classes == tuple(NAMES)
    with pytest.raises(DataError, match="label of image 2"):
        as_pair(((IMAGES, LABELS % 2), (IMAGES, LABELS)))
    with pytest.raises(DataError, match="differ in classes"):
        as_pair((Items(classes=NAMES), Items(classes=NAMES[::-1])))


@pytest.mark.parametrize("data", [IMAGES, (IMAGES,), ((IMAGES,), (IMAGES, LABELS)), "train"])
def test_data_that_is_no_pair(data):
    with pytest.raises(DataError):
        as_pair(data)


TABLES = {
    "seed": 1,
    "data": {"name": "digits", "validation": 0.2},
    "model": {
        "name": "sequential",
        "layers": [{"type": "flatten"}, {"type": "linear", "features": "classes"}],
    },
    "optimizer": {"name": "sgd", "learning_rate": 0.01},
    "training": {"epochs": 2, "batch_size": 8},
}


def test_arrays_and_items_train_to_the_same_weights():
    states = []
    for train in ((IMAGES, LABELS), Items(), gpucnn.dataset(Items())):
        data = (train, (IMAGES[:9], LABELS[:9]))
        trainer = gpucnn.Trainer(Config(TABLES), "numpy", data=data)
        assert trainer.fit().n == 9
        states.append(trainer.network.state())
    for name, value in states[0].items():
        assert np.array_equal(value, states[1][name])
        assert np.array_equal(value, states[2][name])


def test_a_run_is_resumed_with_the_data_again(tmp_path):
    data = (Items(), (IMAGES[:9], LABELS[:9]))
    whole = gpucnn.Trainer(Config(TABLES), "numpy", tmp_path / "whole", data=data)
    whole.fit()
    part = gpucnn.Trainer(Config(TABLES), "numpy", tmp_path / "run", data=data)
    for batch in part.loader.batches(0):
        part.train_step(batch)
    part.save()
    part.run.unlock()
    with pytest.raises(DataError, match=re.escape("Trainer.resume(run, data=(train, test))")):
        gpucnn.Trainer.resume(tmp_path / "run", "numpy")
    other = (Items(labels=LABELS[::-1]), data[1])
    with pytest.raises(DataError, match="began"):
        gpucnn.Trainer.resume(tmp_path / "run", "numpy", data=other)
    again = gpucnn.Trainer.resume(tmp_path / "run", "numpy", data=data)
    again.fit()
    for name, value in whole.network.state().items():
        assert np.array_equal(value, again.network.state()[name])
    model = gpucnn.load(tmp_path / "run", "numpy")
    assert model.evaluate(gpucnn.dataset(IMAGES, LABELS)).n == 60


def test_the_command_line_says_where_such_a_run_goes_on():
    config = Config({**TABLES, "data": {"name": "python"}})
    with pytest.raises(DataError, match=r'data\.name is "python"'):
        config.load_data()
