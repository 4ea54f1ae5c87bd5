"""What a run shows, on a terminal of 80 columns."""

import fcntl
import os
import re
import select
import struct
import termios

import pytest

from gpucnn.training.classification import Classification
from gpucnn.training.display import Display, epoch_header, epoch_line

COLUMNS = 80
ACCURACY = Classification.measure


@pytest.fixture
def terminal():
    """A terminal to write to, and the file at which it shows what is written."""
    screen, keyboard = os.openpty()
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    with os.fdopen(keyboard, "w", encoding="utf-8") as file, os.fdopen(screen, "rb", 0) as shown:
        yield file, shown


def read_until(screen, wanted: str) -> str:
    """What the terminal showed up to the ``wanted`` text: it may come in several parts."""
    shown = b""
    while wanted.encode() not in shown:
        ready, _, _ = select.select([screen], [], [], 10)
        assert ready, f"{wanted!r} was not shown within 10 s: {shown!r}"
        shown += screen.read(1 << 16)
    return shown.decode()


def test_the_bar_fits(terminal, monkeypatch):
    file, screen = terminal
    monkeypatch.setattr("sys.stderr", file)
    display = Display()
    with display.open_bar(images=180_000, done=0):
        monkeypatch.setattr(display._bar, "mininterval", 0.0)
        display.advance(18_000, "epoch 10/100", "loss 1.0733, accuracy 54.3%")
    shown = read_until(screen, "accuracy 54.3%").split("\r")
    last = next(text for text in reversed(shown) if "loss" in text)
    assert len(last) <= COLUMNS
    match = re.fullmatch(
        r"epoch 10/100  10%\|(.+)\| [\d:]+ left, [\d.]+[kMGT]? img/s, loss 1.0733, accuracy 54.3%",
        last.strip(),
    )
    assert match, last
    assert len(match[1]) >= 5


@pytest.mark.parametrize("split", ["validation", "test"])
@pytest.mark.parametrize("epochs", [1, 30, 1000])
def test_epochs_stand_under_their_titles(split, epochs):
    row = {
        "epoch": 1, "train_loss": 12.3456, "train_accuracy": 1.0,
        f"{split}_loss": 1.5, f"{split}_accuracy": 0.125, "seconds": 12345.678,
    }  # fmt: skip
    title, line = epoch_header(split, ACCURACY), epoch_line(row, split, epochs, ACCURACY)
    assert len(title) == len(line) <= COLUMNS
    assert line.split() == [f"1/{epochs}", "12.3456", "100.00%", "1.5000", "12.50%", "12345.7"]
    assert [m.end() for m in re.finditer(r"\S+", line)] == [
        m.end() for m in re.finditer(r"epoch|\S+ loss|accuracy|seconds", title)
    ]


@pytest.mark.parametrize("split", ["validation", "test"])
@pytest.mark.parametrize("epochs", [1, 9999, 10_000, 1_000_000])
@pytest.mark.parametrize("size", [0.0, 1e-30, 99999.0, 123456.789, 1e30, 1.5e308, float("inf"),
                                  float("nan"), -1e30, None])  # fmt: skip
def test_numbers_of_any_size_stay_in_their_columns(split, epochs, size):
    row = {
        "epoch": epochs, "train_loss": size, "train_accuracy": 1.0,
        f"{split}_loss": size, f"{split}_accuracy": 0.125, "seconds": abs(size or 0.0),
    }  # fmt: skip
    title, line = epoch_header(split, ACCURACY), epoch_line(row, split, epochs, ACCURACY)
    assert len(line) == len(title)
    columns = line.split()
    assert len(columns) == 6
    assert columns[0] == (f"{epochs}/{epochs}" if epochs < 10_000 else str(epochs))
    if size is None:
        assert columns[1] == columns[3] == "-"
    else:
        assert float(columns[1]) == pytest.approx(size, rel=0.1, abs=1e-4, nan_ok=True)
