"""Streams that are closed, or that no one reads."""

import json
import os
import subprocess
import sys

import pytest

CONFIG = """
data = {name = "digits"}
model = {name = "lenet", filters = [2, 2], kernel = 2}
optimizer = {name = "sgd", learning_rate = 0.1}
training = {epochs = 2, batch_size = 500}
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "good.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


COMMANDS = {
    "help": ("--help",),
    "list": ("list",),
    "gradcheck": ("gradcheck", "good.toml"),
    "train": ("train", "good.toml", "--backend", "numpy"),
    "bench train": ("bench", "train", "good.toml", "--backend", "numpy"),
}


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("name", COMMANDS)
def test_a_pipe_without_a_reader(name):
    reader, writer = os.pipe()
    os.close(reader)
    answer = subprocess.run(
        [sys.executable, "-m", "gpucnn", *COMMANDS[name]],
        stdout=writer, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    os.close(writer)
    assert (answer.returncode, answer.stderr) == (141, "")


def redirected(streams, *arguments):
    """Runs gpucnn from a shell that closes or redirects some of its streams."""
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {streams}', "sh", sys.executable, "-m", "gpucnn", *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.usefixtures("place")
def test_stdout_that_is_closed():
    answer = redirected(">&-", "list")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


@pytest.mark.usefixtures("place")
def test_stderr_that_is_closed():
    answer = redirected("2>&-", "train", "none.toml")
    assert (answer.returncode, answer.stdout, answer.stderr) == (2, "", "")


def test_files_do_not_get_what_closed_streams_were_to_show(place):
    """A file that is opened takes the first number that is free."""
    answer = redirected("<&- >&- 2>&-", *COMMANDS["train"], "--run-dir", "run")
    assert answer.returncode == 0
    rows = [json.loads(line) for line in (place / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2]


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_reported_as_that_of_stdout(monkeypatch, unbuffered):
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    answer = redirected(">/dev/full", "list")
    assert answer.returncode == 2
    assert answer.stderr == "error: stdout: No space left on device\n"


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_messages_that_cannot_be_written_change_no_status(monkeypatch, unbuffered):
    """Neither that of an error, nor that of a training with a warning."""
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    assert redirected("2>/dev/full", "train", "none.toml").returncode == 2
    assert redirected("2>/dev/full", "train", "--nonsense").returncode == 2
    script = "import gpucnn.cli.streams, gpucnn.text; gpucnn.cli.streams.prepare_streams(); "
    script += "gpucnn.text.warn_once('a warning'); print('done')"
    answer = subprocess.run(
        ["sh", "-c", 'exec "$@" 2>/dev/full', "sh", sys.executable, "-c", script],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (answer.returncode, answer.stdout) == (0, "done\n")
