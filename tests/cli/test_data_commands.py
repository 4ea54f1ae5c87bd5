"""``gpucnn data``."""

import json

import numpy as np
import pytest


@pytest.fixture
def folder(tmp_path):
    """Images of two classes, one of them damaged, one there twice."""
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for name in ("cat", "d\x1bog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(11):
            pixels = rng.integers(0, 256, (6, 6, 3), np.uint8)
            image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    cat = tmp_path / "photos" / "cat"
    (cat / "11.png").write_bytes((cat / "1.png").read_bytes())
    (cat / "2.png").write_bytes(b"x")
    return tmp_path / "photos"


def test_check_lists_and_counts(cli, folder):
    answer = cli("data", "check", folder)
    assert answer.status == 1
    damaged, odd, counts, total = answer.out.split("\n\n")
    assert damaged.startswith(f"damaged:\n  {folder}/cat/2.png: is not an image in a known format")
    assert odd == f"odd:\n  the same content 2 times: {folder}/cat/1.png, {folder}/cat/11.png"
    assert counts.splitlines()[2:] == ["cat          11", "d\\x1bog      11", "total        22"]
    assert total == "22 intact images; 1 findings of damage, 1 of what is odd\n"


def test_check_as_json(cli, folder):
    answer = cli("data", "check", folder, "--json")
    assert answer.status == 1
    result = json.loads(answer.out)
    assert result["images"] == {"images": {"cat": 11, "d\\x1bog": 11}}
    assert [one["kind"] for one in result["damaged"]] == ["damaged"]
    (odd,) = result["odd"]
    assert odd["kind"] == "same content twice"
    assert odd["images"] == [f"{folder}/cat/1.png", f"{folder}/cat/11.png"]


@pytest.mark.parametrize("source", ["digits", "config"])
def test_check_by_name_and_of_a_config(cli, config, source):
    answer = cli("data", "check", config if source == "config" else source).succeeded()
    assert answer.out.endswith("1,797 intact images; 0 findings of damage, 0 of what is odd\n")


def test_check_with_options_of_the_data(cli, folder):
    options = ("--set", "data.max_pixels=35", "--set", "data.validation=0.1")
    answer = cli("data", "check", folder, *options)
    assert answer.out.count("data.max_pixels allows 35") == 22


def test_check_of_what_is_not_there(cli, tmp_path):
    answer = cli("data", "check", tmp_path / "no")
    assert (answer.status, answer.out) == (2, "")
    assert "there is no such file or folder" in answer.err
    answer = cli("data", "check", "npz")
    assert answer.status == 2
    assert 'data.path: the data set "npz" needs it' in answer.err


def test_new_writes_a_config_that_trains(cli, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (folder / "cat" / "2.png").unlink()
    answer = cli("new", "photos", "--backend", "numpy").succeeded()
    assert answer.out.startswith("photos is read as image_folder\n")
    assert "has no test split, so 4 of 22 images are split off" in answer.out
    assert answer.out.endswith("wrote photos.toml; train with: gpucnn train photos.toml\n")
    run = ("train", "photos.toml", "--backend", "numpy", "--set", "training.epochs=1")
    assert "18 images for training, 4 for testing" in cli(*run).succeeded().out


@pytest.mark.usefixtures("folder")
def test_new_overwrites_nothing(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos.toml").write_text("mine")
    for out in ((), ("--out", "photos.toml")):
        answer = cli("new", "photos", *out)
        assert (answer.status, answer.out) == (2, "")
        assert "photos.toml exists already; give another file by --out" in answer.err
    assert (tmp_path / "photos.toml").read_text() == "mine"
    cli("new", "photos", "--out", "other.toml").succeeded()
    assert "gpucnn train other.toml" in (tmp_path / "other.toml").read_text()


def test_new_on_what_is_no_data(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("nothing", "."):
        answer = cli("new", name, "--out", "x.toml")
        assert (answer.status, answer.out) == (2, "")
    assert list(tmp_path.iterdir()) == []


def test_train_on_a_folder_keeps_its_config(cli, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (folder / "cat" / "2.png").unlink()
    answer = cli("train", "--data", "photos", "--backend", "numpy", "--set", "training.epochs=1")
    answer.succeeded()
    assert "photos is read as image_folder" in answer.out
    assert (
        "to change the config: cp runs/photos-1/config.toml NAME.toml, gpucnn train NAME.toml"
        in answer.out
    )
    kept = (tmp_path / "runs" / "photos-1" / "config.toml").read_text()
    assert kept.endswith("\n# changed in this run: training.epochs=1\n")
    again = ("train", "runs/photos-1/config.toml", "--set", "training.epochs=1", "--run-dir", "r")
    cli(*again, "--backend", "numpy").succeeded()
    metrics = [(tmp_path / run / "report.json").read_text() for run in ("r", "runs/photos-1")]
    assert metrics[0] == metrics[1]


@pytest.mark.parametrize("other", [("c.toml",), ("--resume", "r")])
def test_train_on_a_folder_takes_no_config(cli, other):
    answer = cli("train", "--data", "photos", *other)
    assert answer.status == 2
    assert "leave out CONFIG and --resume" in answer.err


@pytest.mark.usefixtures("folder")
def test_pack_and_train_on_it(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = cli("data", "pack", "photos", "--out", "a.packed")
    assert (answer.status, answer.out) == (2, "")
    assert "cat/2.png: is not an image in a known format" in answer.err
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]
    skipping = ("--set", "data.on_damaged=skip")
    answer = cli("data", "pack", "photos", *skipping, "--out", "a.packed").succeeded()
    assert answer.out.startswith("wrote a.packed: 22 images, ")
    assert answer.out.endswith('in [data], name = "packed" and path = "a.packed"\n')
    answer = cli("data", "pack", "digits", "--out", "a.packed")
    assert (answer.status, answer.out) == (2, "")
    assert "a.packed: exists already; give another file" in answer.err
    train = ("train", "--data", "a.packed", "--backend", "numpy", "--set", "training.epochs=1")
    assert "18 images for training, 4 for testing" in cli(*train).succeeded().out
    answer = cli("data", "check", "a.packed").succeeded()
    assert "22 intact images; 0 findings of damage" in answer.out
