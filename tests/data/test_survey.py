"""A look at data finds what its images are."""

import numpy as np
import pytest

from gpucnn.data.survey import survey
from gpucnn.errors import DataError

pytest.importorskip("PIL")
from PIL import Image


def write(folder, make, count=20):
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            make(rng).save(folder / name / f"{number:02}.png")
    return {"name": "image_folder", "root": str(folder)}


def noise(rng):
    return Image.fromarray(rng.integers(0, 256, (rng.integers(30, 40), 33, 3), np.uint8))


def drawing(rng):
    image = Image.new("RGB", (33, 30), tuple(rng.integers(0, 256, 3).tolist()))
    image.paste((9, 200, 30), (5, 5, 20, 20))
    return image


def grey_as_colour(rng):
    return noise(rng).convert("L").convert("RGB")


def test_colour_of_many_sizes(tmp_path, capsys):
    found = survey(write(tmp_path / "d", noise))
    assert found.classes == ("cat", "dog")
    assert (found.images, found.tests, found.counts.tolist()) == (32, 8, [16, 16])
    assert (set(found.widths), found.heights.min(), found.heights.max()) == ({33}, 30, 39)
    assert (found.is_grey, found.is_photographic, found.are_files) == (False, True, True)
    assert not found.has_one_size
    assert found.notes == (
        f"{tmp_path / 'd'}: has no test split, so 8 of 40 images are split off to test on "
        "(data.test_share)",
    )
    assert capsys.readouterr().err == ""


def test_drawings_and_grey(tmp_path):
    found = survey(write(tmp_path / "d", drawing))
    assert (found.is_grey, found.is_photographic, found.has_one_size) == (False, False, True)
    assert survey(write(tmp_path / "g", grey_as_colour)).is_grey


def test_damaged_files_are_counted_and_warnings_shown(tmp_path, capsys):
    options = write(tmp_path / "d", noise)
    (tmp_path / "d" / "one").mkdir()
    noise(np.random.default_rng(0)).save(tmp_path / "d" / "one" / "1.png")
    for path in (tmp_path / "d" / "cat").iterdir():
        path.write_bytes(b"x")
    found = survey(options)
    assert (found.damaged, len(found.heights)) == (16, 17)
    assert capsys.readouterr().err.startswith("warning: ")
    for path in (tmp_path / "d").glob("*/*"):
        path.write_bytes(b"x")
    with pytest.raises(DataError, match="is not an image"):
        survey(options)


def test_arrays():
    found = survey({"name": "digits"})
    assert (found.is_grey, found.are_files, found.images) == (True, False, 1442)
    assert found.has_one_size
