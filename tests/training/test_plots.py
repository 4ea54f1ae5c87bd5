"""Pictures of a run."""

import json

import numpy as np
import pytest

from gpucnn.errors import CheckpointError
from gpucnn.training.plots import (
    Report,
    draw_confusion,
    draw_curves,
    draw_run,
    read_epochs,
    read_report,
)
from gpucnn.training.run_folder import RunFolder

EPOCHS = [
    {"epoch": number, "train_loss": 2 / number, "train_accuracy": 0.4 + number / 10,
     "validation_loss": 3 / number, "validation_accuracy": 0.3 + number / 10}
    for number in (1, 2, 3)
]  # fmt: skip
REPORT = {"accuracy": 0.75, "n": 8, "loss": 1.0, "class_accuracy": {"cat": 1.0, "dog": 0.5},
          "confusion": [[4, 0], [2, 2]]}  # fmt: skip


@pytest.fixture
def run(tmp_path):
    lines = [json.dumps(row) for row in (EPOCHS[0], {"step": 50, "train_loss": 9.0}, *EPOCHS[1:])]
    (tmp_path / "metrics.jsonl").write_text("\n".join([*lines, '{"step": 60, "tr']))
    (tmp_path / "report.json").write_text(json.dumps(REPORT))
    return RunFolder(tmp_path)


@pytest.fixture
def axes():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    figure, axes = pyplot.subplots()
    yield axes
    pyplot.close(figure)


def test_epochs_are_read_whole(run):
    """Not the lines between, nor what a killed process left of a line."""
    assert read_epochs(run) == EPOCHS


def test_curves(axes):
    draw_curves(axes, EPOCHS, "accuracy")
    drawn = {line.get_label(): line.get_xydata().tolist() for line in axes.get_lines()}
    assert drawn["training"] == [[1, 50], [2, pytest.approx(60)], [3, 70]]
    assert drawn["validation"] == [[1, 40], [2, 50], [3, pytest.approx(60)]]
    assert len(drawn) == 2


def test_confusion(axes):
    draw_confusion(axes, Report(0.75, 8, {"cat": 1.0, "dog": 0.5}, [[4, 0], [2, 2]]))
    texts = {text.get_position(): text.get_text() for text in axes.texts}
    assert texts == {(0, 0): "4", (0, 1): "2", (1, 1): "2"}
    assert np.array_equal(axes.images[0].get_array(), [[1.0, 0.0], [0.5, 0.5]])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog"]


@pytest.mark.parametrize(("count", "every"), [(21, 1), (100, 1), (150, 2), (1000, 10)])
def test_many_classes_have_no_numbers_but_names(axes, count, every):
    names = [f"class {number}" for number in range(count)]
    report = Report(1.0, count, dict.fromkeys(names, 1.0), np.eye(count).tolist())
    draw_confusion(axes, report)
    assert not axes.texts
    for labels in (axes.get_yticklabels(), axes.get_xticklabels()):
        assert [label.get_text() for label in labels] == names[::every]
    assert ("one name in" in axes.get_xlabel()) == (every > 1)


@pytest.mark.parametrize("count", [2, 20, 30])
def test_names_are_text(axes, count, tmp_path):
    """Neither mathtext nor TeX nor control characters, in a picture that can be drawn."""
    odd = ["$x^2$", "$", r"\frac{a}{b}_c", "two\nlines", "\x1b[31m", "caf\udce9", "名" * 40, "_a"]
    names = [f"{odd[number % len(odd)]}{number}" for number in range(count)]
    report = Report(1.0, count, dict.fromkeys(names, 1.0), np.eye(count, dtype=int).tolist())
    draw_confusion(axes, report)
    for label in (*axes.get_yticklabels(), *axes.get_xticklabels()):
        assert not label.get_parse_math()
        assert label.get_text().isprintable()
        assert len(label.get_text()) <= 28
    run = tmp_path / "$a_{b$\x1b\udce9"
    run.mkdir()
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in EPOCHS))
    content = {**REPORT, "n": count, "confusion": report.confusion}
    content["class_accuracy"] = report.class_accuracy
    text = json.dumps(content).replace("\\udce9", "\\\\xe9")  # as a run stores such a byte
    (run / "report.json").write_text(text)
    draw_run(RunFolder(run), tmp_path / "picture.png")


@pytest.mark.parametrize("first", [1, 7, 123])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 9, 40])
def test_ticks_are_at_whole_epochs(axes, first, count):
    epochs = [{**EPOCHS[0], "epoch": first + number} for number in range(count)]
    draw_curves(axes, epochs, "loss")
    low, high = axes.get_xlim()
    ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
    assert ticks
    assert all(tick == round(tick) for tick in ticks)


def test_a_million_epochs_are_counted_in_whole_numbers(axes):
    draw_curves(axes, [{**EPOCHS[0], "epoch": epoch} for epoch in (1, 10**6)], "loss")
    axes.figure.canvas.draw()
    texts = [label.get_text() for label in axes.get_xticklabels()]
    assert "1000000" in texts
    assert all(text.lstrip("\N{MINUS SIGN}").isdigit() for text in texts)
    assert axes.xaxis.get_offset_text().get_text() == ""


@pytest.mark.parametrize("losses", [(None, 1.0, 2.0), (1e308, 1.0, None), (1e-30, 1e30, 0.0),
                                    (None, None, None), (float("inf"), 1e50, 1e-50)])  # fmt: skip
def test_losses_of_any_size_are_drawn(axes, losses):
    epochs = [{**row, "train_loss": loss} for row, loss in zip(EPOCHS, losses, strict=True)]
    draw_curves(axes, epochs, "loss")
    axes.figure.canvas.draw()


def test_a_run_before_and_after_its_end(run, tmp_path):
    pytest.importorskip("matplotlib")
    draw_run(run, tmp_path / "whole.png")
    (tmp_path / "report.json").unlink()
    draw_run(run, tmp_path / "part.png")
    assert read_report(run) is None
    for name in ("whole.png", "part.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_a_run_without_an_epoch(tmp_path):
    with pytest.raises(CheckpointError, match="no epoch of this run has ended"):
        read_epochs(RunFolder(tmp_path))


@pytest.mark.parametrize("lines", ["{\n", "[1]\n", "\udcff\n"])
def test_damaged_metrics(run, lines):
    (run.path / "metrics.jsonl").write_bytes(lines.encode(errors="surrogateescape"))
    with pytest.raises(CheckpointError, match="line 1 is damaged: it is not a JSON object"):
        read_epochs(run)


ROWS = {
    "a string": ({"train_loss": "low"}, "train_loss is 'low', not a number"),
    "a list": ({"test_accuracy": 0, "validation_accuracy": [[1]]}, "validation_accuracy is [[1]]"),
    "true": ({"train_accuracy": True}, "train_accuracy is True"),
    "an accuracy of 200 %": ({"train_accuracy": 2.0}, "train_accuracy is 2.0, not from 0 to 1"),
    "a negative epoch": ({"epoch": -1}, "epoch is -1, which cannot follow epoch 1"),
    "the same epoch again": ({"epoch": 1}, "epoch is 1, which cannot follow epoch 1"),
    "a huge epoch": ({"epoch": 10**400}, "epoch is 0x"),
    "half an epoch": ({"epoch": 1.5}, "epoch is 1.5"),
    "an epoch that is text": ({"epoch": "2"}, "epoch is '2'"),
    "no epoch": ({"epoch": None}, "epoch is None"),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_damaged_line_is_named(run, name):
    change, reason = ROWS[name]
    rows = [EPOCHS[0], {"step": 50}, {**EPOCHS[1], **change}, EPOCHS[2]]
    (run.path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(CheckpointError) as caught:
        read_epochs(run)
    assert "metrics.jsonl, line 3: " + reason in str(caught.value)


@pytest.mark.parametrize("key", ["train_loss", "train_accuracy", "validation_accuracy"])
def test_a_line_that_lacks_a_key(run, key):
    rows = [EPOCHS[0], {name: value for name, value in EPOCHS[1].items() if name != key}]
    (run.path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(CheckpointError, match=rf"metrics\.jsonl, line 2: {key} is missing"):
        read_epochs(run)


def test_null_for_what_was_not_finite(run):
    rows = [{**EPOCHS[0], "train_loss": None}, *EPOCHS[1:]]
    (run.path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_epochs(run) == rows


@pytest.mark.parametrize(
    "change",
    [
        {"accuracy": "high"},
        {"accuracy": 1.5},
        {"accuracy": -1},
        {"confusion": [[1, 2]]},
        {"confusion": []},
        {"confusion": [[4, 0], [2]]},
        {"confusion": [[4, 0], [3, 1], [0, 0]]},
        {"confusion": [[4, -1], [3, 2]]},
        {"confusion": [[4, 0.5], [2, 2]]},
        {"confusion": [[4, None], [2, 2]]},
        {"confusion": [[4, 0], [2, 10**30]]},
        {"confusion": [[[4], 0], [2, 2]]},
        {"confusion": 3},
        {"n": 9},
        {"n": -8},
        {"n": "8"},
        {"class_accuracy": ["cat", "dog"]},
        {"class_accuracy": {"cat": 1.0}},
        {"class_accuracy": {"cat": 1.0, "dog": "none"}},
        {"class_accuracy": {}, "confusion": [], "n": 0},
    ],
)
def test_a_damaged_report(run, change):
    (run.path / "report.json").write_text(json.dumps({**REPORT, **change}))
    with pytest.raises(CheckpointError, match=r"report\.json is damaged"):
        read_report(run)


def test_a_class_without_images(run):
    confusion = {"confusion": [[8, 0], [0, 0]], "class_accuracy": {"cat": 1.0, "dog": None}}
    (run.path / "report.json").write_text(json.dumps({**REPORT, **confusion}))
    assert read_report(run).class_accuracy["dog"] is None


REGRESSION = {
    "r2": 0.5, "rmse": 2.0, "loss": 1.0, "n": 3,
    "targets": {"x": {"r2": 0.5, "rmse": 1.5}, "$y$": {"r2": None, "rmse": 2.5}},
    "true": [[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]],
    "predicted": [[1.5, 4.0], [2.5, 6.0], [2.0, 5.5]],
}  # fmt: skip


def test_a_regression_has_r2_and_predictions(run):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    rows = [{key.replace("accuracy", "r2"): value for key, value in row.items()} for row in EPOCHS]
    rows[0]["train_r2"] = -3.5
    (run.path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (run.path / "report.json").write_text(json.dumps(REGRESSION))
    draw_run(run, run.path / "curves.png")
    assert (run.path / "curves.png").stat().st_size > 10_000
    figure = pyplot.figure()
    read_report(run).draw(figure)
    assert [axes.get_title() for axes in figure.axes] == [
        "x\nR² 0.5000, RMSE 1.5", "$y$\nR² -, RMSE 2.5"
    ]  # fmt: skip
    dots, line = figure.axes[0].get_lines()
    assert dots.get_xydata().tolist() == [[1, 1.5], [2, 2.5], [3, 2]]
    assert line.get_xydata().tolist() == [[1, 1], [3, 3]]
    pyplot.close(figure)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"true": [[1.0, 5.0]]}, "not as many"),
        ({"true": [], "predicted": []}, "not as many"),
        ({"true": [[1.0], [2.0], [3.0]]}, "not of its targets"),
        ({"targets": {"x": {"r2": 1.5, "rmse": 1.0}}}, "Expected"),
        ({"predicted": "none"}, "Expected"),
        ({"predicted": [[1.0, 2.0], [3.0, 4.0], [1e101, 6.0]]}, "Expected"),
    ],
)
def test_a_damaged_report_of_a_regression_is_named(run, change, words):
    (run.path / "report.json").write_text(json.dumps({**REGRESSION, **change}))
    with pytest.raises(CheckpointError, match=rf"report\.json is damaged: .*{words}"):
        read_report(run)


def test_an_impossible_r2_is_named(run):
    row = {key.replace("accuracy", "r2"): value for key, value in EPOCHS[0].items()}
    (run.path / "metrics.jsonl").write_text(json.dumps({**row, "train_r2": 1.5}) + "\n")
    with pytest.raises(CheckpointError, match=r"line 1: train_r2 is 1\.5, not 1 at most"):
        read_epochs(run)
