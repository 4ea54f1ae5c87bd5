"""A model keeps to the classes, the normalisation and the images that it was trained with."""

import json
import shutil

import numpy as np
import pytest

from gpucnn.training.seal import seal

CONFIG = """
seed = 3
[data]
name = "image_folder"
root = "images"
workers = 0
[model]
name = "sequential"
layers = [{type = "flatten"}, {type = "linear", features = "classes"}]
[optimizer]
name = "sgd"
learning_rate = 0.1
[training]
epochs = 2
batch_size = 4
"""


def draw(folder, low, high, count=4, size=6):
    """Random images, those of a dog the brighter ones."""
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(1)
    for name, shift in (("cat", 0), ("dog", 20)):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(low, high, (size, size, 3), dtype=np.uint8) + np.uint8(shift)
            image.fromarray(pixels).save(folder / name / f"{number}.png")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on images, beside them."""
    from gpucnn.config import load_config
    from gpucnn.training.trainer import Trainer

    place = tmp_path_factory.mktemp("trained")
    draw(place / "images" / "train", 0, 100)
    draw(place / "images" / "test", 50, 90, count=3)
    (place / "folder.toml").write_text(CONFIG)
    config = load_config(place / "folder.toml", [f"data.root={place / 'images'}"])
    Trainer(config, "numpy", place / "run").fit()
    return place


@pytest.fixture
def place(trained, tmp_path, monkeypatch):
    """The run, and a copy of its images in another place: "other"."""
    shutil.copytree(trained / "run", tmp_path / "run")
    shutil.copytree(trained / "images", tmp_path / "other")
    monkeypatch.chdir(tmp_path)
    return tmp_path


OTHER = ("--set", "data.root=other", "--backend", "numpy")
EVALUATE = ("evaluate", "run", *OTHER)
RESUME = ("train", "--resume", "run", *OTHER)


def refused(answer, *words):
    assert (answer.status, answer.out) == (2, ""), answer.err
    for word in words:
        assert word in answer.err, answer.err


def test_evaluate_normalises_as_in_training(cli, place):
    shutil.rmtree(place / "other" / "train")
    draw(place / "other" / "train", 200, 230)
    answer = cli(*EVALUATE, "--json")
    assert answer.status == 0, answer.err
    result = json.loads(answer.out)
    report = json.loads((place / "run" / "report.json").read_text())
    assert {key: result[key] for key in report} == report


def test_evaluate_on_the_test_split_needs_no_other(cli, place):
    shutil.rmtree(place / "other" / "train")
    report = json.loads((place / "run" / "report.json").read_text())
    assert json.loads(cli(*EVALUATE, "--json").out)["loss"] == report["loss"]
    refused(cli(*EVALUATE, "--split", "train"), "no folder train")


@pytest.mark.usefixtures("place")
def test_a_split_that_the_run_has_not(cli):
    refused(cli(*EVALUATE, "--split", "validation"), "this run has test, train")


def rename(place):
    for split in ("train", "test"):
        (place / "other" / split / "cat").rename(place / "other" / split / "fish")


def add(place):
    for split in ("train", "test"):
        shutil.copytree(place / "other" / split / "cat", place / "other" / split / "emu")


@pytest.mark.parametrize("command", [EVALUATE, RESUME])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (rename, ("dog, fish", "cat, dog", "number 0, dog in the data and cat in the model")),
        (add, ("cat, dog, emu", "number 2, emu in the data and nothing in the model")),
    ],
)
def test_other_classes_are_refused(command, change, words, cli, place, snapshot):
    change(place)
    before = snapshot(place / "run" / "checkpoints")
    refused(cli(*command), *words)
    assert snapshot(place / "run" / "checkpoints") == before


@pytest.mark.parametrize("command", [EVALUATE, RESUME])
def test_images_of_another_shape_are_refused(command, cli, place):
    shutil.rmtree(place / "other")
    for split in ("train", "test"):
        draw(place / "other" / split, 0, 100, size=7)
    refused(cli(*command), "7×7×3", "6×6×3")


def test_a_resume_refuses_another_number_of_images(cli, place):
    (place / "other" / "train" / "dog" / "3.png").unlink()
    refused(cli(*RESUME), "8 images", "now there are 7")


def test_a_resume_refuses_other_images(cli, place):
    before = json.loads((place / "run" / "model.json").read_text())["normalisation"]["mean"]
    shutil.rmtree(place / "other" / "train")
    draw(place / "other" / "train", 200, 230)
    refused(cli(*RESUME), f"mean {tuple(before)}", "now")


def exchange(one, other):
    between = one.with_name("between")
    one.rename(between)
    other.rename(one)
    between.rename(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("train/cat/0.png", "train/dog/0.png"),
        ("train/cat/0.png", "train/cat/1.png"),
        ("train/cat", "train/dog"),
        ("test/cat/0.png", "test/dog/0.png"),
    ],
)
def test_a_resume_refuses_other_labels_and_another_order(one, other, cli, place):
    """Numbers and normalisation stay what they were."""
    exchange(place / "other" / one, place / "other" / other)
    refused(cli(*RESUME), "labels, images or their order", "have changed since the run began")


@pytest.mark.usefixtures("place")
def test_a_resume_finds_the_same_images_elsewhere(cli):
    answer = cli(*RESUME)
    assert answer.status == 0, answer.err
    assert answer.out.startswith("run was complete")


def test_a_test_split_that_was_split_off_stays_what_it_was(cli, place):
    shutil.rmtree(place / "other" / "test")
    config = place / "folder.toml"
    config.write_text(CONFIG)
    options = ("--set", "data.root=other", "--set", "data.test_share=0.5", "--backend", "numpy")
    assert cli("train", config, *options, "--run-dir", "new").status == 0
    report = json.loads((place / "new" / "report.json").read_text())
    (place / "other").rename(place / "moved")
    moved = ("new", "--set", "data.root=moved", "--backend", "numpy")
    result = json.loads(cli("evaluate", *moved, "--json").out)
    assert {key: result[key] for key in report} == report
    assert result["n"] == 4
    assert cli("train", "--resume", *moved).status == 0
    refused(cli("train", "--resume", *moved, "--set", "data.split_seed=1"), "data.split_seed")
    (place / "moved" / "train" / "cat" / "3.png").unlink()
    refused(cli("train", "--resume", *moved), "now there are 3")


@pytest.mark.parametrize(
    ("root", "share", "words"),
    [
        ("images", 0.9, "no images to train on in the classes cat (4 images), dog (4 images); add"),
        ("images", 0.05, "leaves none to validate on; choose a larger fraction"),
        ("images/train", 0.5, "images/train: has no folder train; it is the folder of one split"),
    ],
)
def test_what_cannot_be_trained_on_leaves_no_run_folder(root, share, words, cli, trained, tmp_path):
    options = ("--set", f"data.root={trained / root}", "--set", f"data.validation={share}")
    arguments = (trained / "folder.toml", *options, "--run-dir", tmp_path / "new")
    refused(cli("train", *arguments, "--backend", "numpy"), words)
    assert not (tmp_path / "new").exists()


def test_a_card_without_the_number_of_images_is_taken(cli, place):
    """Early versions wrote such cards."""
    card = json.loads((place / "run" / "model.json").read_text())
    assert card.pop("training_images") == 8
    del card["format"], card["sha256"]
    (place / "run" / "model.json").write_bytes(seal(card, card.pop("run")))
    assert cli(*RESUME).status == 0
