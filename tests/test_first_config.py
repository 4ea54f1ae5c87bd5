"""The config that is chosen for data: it fits, and depends on what the images are."""

from dataclasses import replace

import numpy as np
import pytest

from gpucnn.config import Config
from gpucnn.config_file import parse_toml
from gpucnn.data.survey import Survey
from gpucnn.first_config import first_config
from gpucnn.layers import Context, declare_layers

FOLDER = {"name": "image_folder", "root": "photos"}
ARRAYS = {"name": "npz", "path": "a.npz"}


def survey(sides=(32, 32), grey=False, images=50_000, classes=("cat", "dog"), **changes):
    """Of data of one size, unless ``sides`` are several."""
    sides = np.array(sides).reshape(-1, 2)
    share, rest = divmod(images, max(1, len(classes)))
    counts = np.full(max(1, len(classes)), share)
    counts[0] += rest
    return replace(
        Survey(
            options=FOLDER,
            classes=tuple(classes),
            target_names=(),
            counts=counts,
            tests=100,
            heights=sides[:, 0],
            widths=sides[:, 1],
            is_grey=grey,
            is_photographic=not grey,
            are_files=True,
            damaged=0,
            notes=(),
        ),
        **changes,
    )


def chosen(*args, gpu=False, **changes):
    """The tables of the config."""
    return parse_toml(first_config(survey(*args, **changes), "photos.toml", gpu).text)


@pytest.mark.parametrize("gpu", [False, True])
@pytest.mark.parametrize("images", [1, 300, 10**6])
@pytest.mark.parametrize("side", [4, 8, 12, 16, 28, 41, 97, 1000])
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("options", [FOLDER, ARRAYS], ids=["files", "arrays"])
def test_it_can_be_trained_whatever_the_data(side, grey, images, gpu, options):
    """The model takes the images, shifts are smaller than they, and every option is one."""
    made = survey((side, side + 1), grey, images, options=options, are_files=options is FOLDER)
    config = Config(parse_toml(first_config(made, "x.toml", gpu).text))
    size = config.data_options.get("size", [side, side + 1])
    shape = (*size, 1 if grey else 3)
    body = declare_layers(config.build_model(), shape, Context(None, 0, 2))
    assert body.output_shape == (2,)
    config.build_augmentation().check_images(shape)


def test_small_grey_images():
    tables = chosen((28, 28), grey=True, images=60_000, classes="0123456789")
    assert tables["model"] == {"name": "lenet", "filters": [32, 64], "kernel": 5}
    assert tables["augment"] == {"crop_padding": 1}
    assert tables["data"]["colour"] == "grey"
    assert "loss" not in tables


def test_small_photographs():
    tables = chosen()
    assert tables["model"] == {"name": "resnet9", "width": 16}
    assert tables["augment"] == {"flip": True, "crop_padding": 4}
    assert tables["data"] == {**FOLDER, "size": [32, 32], "validation": 0.1}
    assert chosen(gpu=True)["model"]["width"] == 64


def test_what_is_never_mirrored():
    for changes in (
        {"grey": True},
        {"is_photographic": False},
        {"classes": ("0", "1", "10")},
        {"classes": ("turn left", "turn back")},
    ):
        assert "flip" not in chosen(**changes)["augment"], changes


def test_files_of_several_sizes_become_one():
    tables = chosen([(40, 60), (50, 51), (47, 62)])
    assert (tables["data"]["size"], tables["data"]["fit"]) == ([44, 44], "crop")
    long = chosen([(400, 900), (400, 800)])
    assert (long["data"]["size"], long["data"]["fit"]) == ([48, 48], "stretch")
    assert chosen([(400, 300), (400, 310)], gpu=True)["data"]["size"] == [128, 128]
    arrays = chosen((200, 300), are_files=False, options=ARRAYS)
    assert arrays["data"].keys() == {"name", "path", "validation"}
    assert arrays["model"] == {"name": "resnet18", "width": 16, "small_images": False}


def test_little_data_is_seen_more_often_and_all_of_it():
    few, many = chosen(images=300), chosen(images=50_000)
    assert few["training"] == {"epochs": 40, "batch_size": 16}
    assert many["training"] == {"epochs": 8, "batch_size": 128}
    assert (few["optimizer"]["name"], many["optimizer"]["name"]) == ("adamw", "sgd")
    assert (few["model"]["name"], many["model"]["name"]) == ("vgg", "resnet9")
    assert "validation" not in few["data"]


def test_numbers_to_predict():
    tables = chosen((100, 120), classes=(), target_names=("x", "y"), images=1000)
    assert tables["loss"] == {"name": "mean_squared_error"}
    assert tables["augment"] == {}
    assert tables["data"]["size"] == [40, 40]
    assert tables["model"]["name"] == "lenet"


def test_names_that_toml_must_escape():
    folder = 'a "b" \\ c\x7f\n[x]'
    made = survey(options={"name": "image_folder", "root": folder}, classes=("c\x1b\nd", "e"))
    config = first_config(made, "x\n.toml", False)
    assert parse_toml(config.text)["data"]["root"] == folder
    assert config.text.isprintable() or set(filter(lambda c: not c.isprintable(), config.text)) == {
        "\n"
    }


def test_what_was_found_is_said():
    made = first_config(survey([(40, 60), (50, 51)], damaged=2), "x.toml", False)
    assert made.found == (
        "photos is read as image_folder",
        "50,000 images to train on and 100 to test on",
        "colour, 40×51 to 50×60 pixels (height×width)",
        "2 classes: cat, dog (25,000 images of each to train on)",
        "2 of 4 files that were looked at cannot be read: gpucnn data check lists all such files",
    )
    for line in made.found:
        assert f"# {line}" in made.text
