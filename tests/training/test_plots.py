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


def test_many_classes_have_no_numbers_nor_names(axes):
    count = 60
    report = Report(1.0, count, dict.fromkeys(map(str, range(count)), 1.0), np.eye(count).tolist())
    draw_confusion(axes, report)
    assert not axes.texts
    assert len(axes.get_yticks()) < count


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


@pytest.mark.parametrize("change", [{"accuracy": "high"}, {"confusion": [[1, 2]]}])
def test_a_damaged_report(run, change):
    (run.path / "report.json").write_text(json.dumps({**REPORT, **change}))
    with pytest.raises(CheckpointError, match=r"report\.json is damaged"):
        read_report(run)
