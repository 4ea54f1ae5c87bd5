"""benchmarks/on_gpu.py: what it is asked for."""

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "on_gpu.py"


@pytest.fixture(scope="module")
def on_gpu():
    spec = importlib.util.spec_from_file_location("on_gpu", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["on_gpu"] = module  # for its dataclass
    spec.loader.exec_module(module)
    yield module
    del sys.modules["on_gpu"]


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
