"""benchmarks/on_gpu.py: what it is asked for."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "on_gpu.py"


@pytest.fixture
def on_gpu(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    return importlib.import_module("on_gpu")


def names(on_gpu, monkeypatch, tmp_path, *arguments):
    monkeypatch.setattr(sys, "argv", ["on_gpu.py", *map(str, arguments)])
    return [part.name for part in on_gpu.parts(on_gpu.parse(), "stem", tmp_path)]


def test_every_part_can_be_asked_for(on_gpu, monkeypatch, tmp_path):
    data = tmp_path / "data"
    (data / "mnist").mkdir(parents=True)
    (data / "cifar10.tar.gz").touch()
    packed = names(on_gpu, monkeypatch, tmp_path, "--data-root", data)
    (data / "cifar10").mkdir()
    unpacked = names(on_gpu, monkeypatch, tmp_path, "--data-root", data)
    quick = names(on_gpu, monkeypatch, tmp_path, "--quick")
    assert {*packed, *unpacked, *quick} == set(on_gpu.PARTS)


def test_a_part_that_is_not_there_is_refused(on_gpu, monkeypatch, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        names(on_gpu, monkeypatch, tmp_path, "--only", "nosuch")
    assert ended.value.code == 2
    assert "invalid choice: 'nosuch' (choose from" in capsys.readouterr().err


def test_nothing_is_begun_where_there_is_no_gpu(tmp_path):
    answer = subprocess.run(
        [sys.executable, SCRIPT, "--out", tmp_path / "results"],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.startswith("error: ")
    assert answer.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("code", "status"), [("", 0), ("raise SystemExit(3)", 1)])
def test_the_status_tells_whether_all_was_done(code, status, on_gpu, monkeypatch, tmp_path, capsys):
    part = on_gpu.Part("tests", "Nothing", ["-c", code], 60)
    monkeypatch.setattr(on_gpu, "parts", lambda *_: [part])
    options = ["--backend", "numpy", "--out", str(tmp_path), "--name", "stem"]
    monkeypatch.setattr(sys, "argv", ["on_gpu.py", *options])
    assert on_gpu.main() == status
    assert capsys.readouterr().err == ("not done: tests\n" if status else "")
    assert (tmp_path / "stem.md").exists()
