"""No text makes a finished job fail, whatever the encoding of stdout and stderr."""

import json
import os
import subprocess
import sys

import pytest

ENCODINGS = ["ascii:strict", "latin-1:strict", "utf-8:strict"]
CONFIG = """
data = {name = "digits"}
model = {name = "lenet", filters = [2, 2], kernel = 2}
optimizer = {name = "sgd", learning_rate = 0.1}
training = {epochs = 1, batch_size = 500}
"""


def gpucnn(folder, *arguments, encoding):
    return subprocess.run(
        [sys.executable, "-m", "gpucnn", *arguments],
        capture_output=True, check=False, cwd=folder,
        env={**os.environ, "PYTHONIOENCODING": encoding, "GPUCNN_BACKEND": "numpy"},
    )  # fmt: skip


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_tables_and_names(encoding, tmp_path):
    """Rules, ×, · and ✓ are replaced; bytes and letters that cannot be encoded are escaped."""
    odd = b"caf\xe9 \xe6\x97\xa5"  # not UTF-8, and a letter that Latin-1 lacks
    (tmp_path / "c.toml").write_text(CONFIG)
    answer = gpucnn(tmp_path, "train", "c.toml", "--run-dir", os.fsdecode(odd), encoding=encoding)
    assert (answer.returncode, answer.stderr) == (0, b"")
    assert rb"run folder caf\xe9 " in answer.stdout
    assert os.path.isdir(os.fsencode(tmp_path) + b"/" + odd)  # noqa: PTH112
    name = encoding.partition(":")[0]
    assert ("─" if name == "utf-8" else "---").encode(name) in answer.stdout


@pytest.mark.parametrize(
    ("encoding", "command"),
    [
        ("latin-1:strict", ("summary", "c.toml")),
        ("ascii:strict", ("list",)),
        ("utf-8:strict", ("gradcheck", "none\udce9")),
    ],
)
def test_other_commands(encoding, command, tmp_path):
    (tmp_path / "c.toml").write_text(CONFIG)
    answer = gpucnn(tmp_path, *command, encoding=encoding)
    assert answer.returncode == (2 if "none\udce9" in command else 0), answer.stderr
    assert b"Traceback" not in answer.stderr
    assert answer.stderr.count(b"\n") == (1 if answer.returncode else 0)


def test_json_of_odd_names_is_read_by_a_strict_parser(tmp_path):
    (tmp_path / "c.toml").write_text(CONFIG)
    arguments = ("train", "c.toml", "--json", "--run-dir", "caf\udce9")
    answer = gpucnn(tmp_path, *arguments, encoding="utf-8:strict")
    assert json.loads(answer.stdout)["run"] == r"caf\xe9"
    assert answer.stdout.isascii()
