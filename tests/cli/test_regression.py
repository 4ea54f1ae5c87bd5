"""Regression from the command line: from a file of arrays to numbers."""

import csv
import io
import json

import numpy as np
import pytest
from discs import NAMES, disc_pair

CONFIG = """
[data]
name = "npz"
path = "discs.npz"

[model]
name = "sequential"
layers = [
  {type = "conv2d", filters = 4, kernel = 3, stride = 2, padding = 1},
  {type = "relu"},
  {type = "flatten"},
  {type = "linear", features = "classes"},
]

[loss]
name = "huber"

[optimizer]
name = "adam"
learning_rate = 0.01

[training]
epochs = 2
batch_size = 25
"""
BACKEND = ("--backend", "numpy")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A data set of discs, and a config."""
    pair = disc_pair(100, 30)
    arrays = {}
    for name, part in (("", pair.train), ("test_", pair.test)):
        arrays[f"{name}images"] = part.images(np.arange(len(part)))
        arrays[f"{name}targets"] = part.targets
    np.savez(tmp_path / "discs.npz", **arrays, target_names=NAMES)
    (tmp_path / "discs.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def trained(cli, place):
    """The output of the training of ``run``."""
    answer = cli("train", "discs.toml", "--run-dir", "run", *BACKEND)
    assert answer.status == 0
    return answer.out, place


def test_training_and_evaluation_show_r2_and_rmse(cli, trained):
    out, place = trained
    assert "train loss        R²   test loss        R²" in out
    report = json.loads((place / "run" / "report.json").read_text())
    last = f"test R² {report['r2']:.4f}, RMSE {report['rmse']:.4g}, loss {report['loss']:.4f}"
    assert last in out
    answer = cli("evaluate", "run", *BACKEND)
    assert last in answer.out
    rows = {line.split()[0]: line.split()[1:] for line in answer.out.splitlines() if line}
    for name in NAMES:
        figures = report["targets"][name]
        assert rows[name][:2] == [f"{figures['r2']:.4f}", f"{figures['rmse']:.4g}"]
    assert json.loads(cli("evaluate", "run", "--json", *BACKEND).out)["targets"].keys() == {*NAMES}


def test_predict_returns_numbers(cli, trained):
    image = pytest.importorskip("PIL.Image")
    _, place = trained
    pair = disc_pair(100, 30)
    for number, pixels in enumerate(pair.test.images(np.arange(3))):
        image.fromarray(pixels[..., 0]).save(place / f"{number}.png")
    (place / "damaged.png").write_bytes(b"no")
    files = ("0.png", "damaged.png", "1.png", "2.png")
    report = json.loads((place / "run" / "report.json").read_text())
    expected = [report["predicted"][0], None, *report["predicted"][1:3]]

    listed = json.loads(cli("predict", "run", *files, "--json", *BACKEND).out)
    numbers = [entry.get("numbers") for entry in listed]
    assert [name and list(name) for name in numbers] == [[*NAMES], None, [*NAMES], [*NAMES]]
    answer = cli("predict", "run", *files, "--csv", *BACKEND)
    assert answer.status == 1
    header, *rows = csv.reader(io.StringIO(answer.out))
    assert header == ["file", *NAMES]
    lines = cli("predict", "run", *files, *BACKEND).out.splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["0.png", "1.png", "2.png"]
    for row, entry, file, values in zip(rows, numbers, files, expected, strict=True):
        assert row[0] == file
        if values is None:
            assert row[1:] == ["", ""]
        else:
            np.testing.assert_allclose([float(cell) for cell in row[1:]], values, rtol=1e-5)
            np.testing.assert_allclose(list(entry.values()), values, rtol=1e-5)
    assert f"radius {expected[0][0]:.4g}"[:-1] in lines[0]


@pytest.mark.usefixtures("trained")
def test_there_are_no_best_numbers(cli, place):
    (place / "a.png").write_bytes(b"")
    answer = cli("predict", "run", "a.png", "--top", 2, *BACKEND)
    assert (answer.status, answer.out) == (2, "")
    assert "--top is for classes, and the model of this run predicts numbers" in answer.err


def test_accuracies_are_not_compared(cli, place):
    answer = cli("bench", "train", str(place / "discs.toml"), *BACKEND)
    assert answer.status == 2
    assert "the data must have classes, not numbers" in answer.err


def test_plot_draws_predictions(cli, trained):
    pytest.importorskip("matplotlib")
    answer = cli("plot", "run", "--output", "curves.png")
    assert answer.status == 0
    assert trained[1].joinpath("curves.png").read_bytes()[:4] == b"\x89PNG"


def test_other_commands_know_the_numbers(cli, place):
    layers = json.loads(cli("summary", "discs.toml", "--json").out)["layers"]
    assert layers[-1]["output_shape"] == [2]
    answer = cli("gradcheck", "discs.toml", "--set", "model.layers=[{type='flatten'}, "
                 "{type='linear', features='classes'}]", "--json")  # fmt: skip
    assert json.loads(answer.out)["passed"]
    answer = cli("bench", "step", "discs.toml", "--repetitions", 2, "--json", *BACKEND)
    assert json.loads(answer.out)["ours_ms"] > 0
    assert (place / "discs.toml").exists()


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("command", [("train",), ("summary",), ("gradcheck",), ("bench", "step")])
def test_a_loss_for_classes_is_one_clear_error(command, cli, place):
    answer = cli(*command, "discs.toml", "--set", "loss.name=softmax_cross_entropy")
    assert (answer.status, answer.out) == (2, "")
    *_, line = answer.err.splitlines()  # after what backend auto has chosen
    assert '"softmax_cross_entropy" is for classes, and the data has numbers to predict' in line
    assert not (place / "runs").exists()
