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
