"""benchmarks/on_gpu.py: what it is asked for."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import is_running

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


DRIVER = """
import signal, sys
sys.path.insert(0, sys.argv.pop(1))
import on_gpu
code, ignored = sys.argv.pop(1), sys.argv.pop(1)
if ignored:
    signal.signal(signal.Signals(int(ignored)), signal.SIG_IGN)
first = on_gpu.Part("tests", "First", ["-c", "print('first')"], 60)
second = on_gpu.Part("kernels", "Second", ["-c", code], 60)
third = on_gpu.Part("step_lenet", "Third", ["-c", ""], 60)
on_gpu.parts = lambda *_: [first, second, third]
on_gpu.LAST_GRACE = 1.0
sys.exit(on_gpu.main())
"""

POLITE = """
import subprocess, sys
child = subprocess.Popen(["sleep", "1000"])
print("some results", child.pid, flush=True)
open("NUMBER", "w").write(f"{child.pid}\\n")
try:
    child.wait()
except KeyboardInterrupt:
    print("and more")
"""
STUBBORN = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + POLITE


@pytest.fixture
def started(tmp_path):
    """Starts the script; gives its process, and the number of a grandchild's process."""
    processes = []

    def start(code, ignored=""):
        number = tmp_path / "number"
        code = code.replace("NUMBER", str(number))
        command = [sys.executable, "-c", DRIVER, str(SCRIPT.parent), code, ignored]
        options = ["--backend", "numpy", "--out", str(tmp_path), "--name", "stem"]
        process = subprocess.Popen(
            [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        processes.append(process)
        end = time.monotonic() + 60
        while not (number.exists() and number.read_text().strip()):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.02)
        return process, int(number.read_text())

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def wait_until_gone(number):
    end = time.monotonic() + 10
    while is_running(number):
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("code", [POLITE, STUBBORN], ids=["polite", "stubborn"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_all_processes_and_keeps_the_results(number, code, started, tmp_path):
    process, child = started(code)
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert f"stopped by {number.name}" in errors
    assert "Traceback" not in errors
    wait_until_gone(child)
    written = json.loads((tmp_path / "stem.json").read_text())["parts"]
    assert list(written) == ["tests", "kernels"]
    assert written["tests"]["status"] == "done"
    assert written["kernels"]["status"] == f"stopped by {number.name}"
    assert written["kernels"]["output"].startswith(f"some results {child}\n")
    assert ("and more" in written["kernels"]["output"]) == (code is POLITE)
    assert f"stopped by {number.name}" in (tmp_path / "stem.md").read_text()


def test_all_processes_end_when_the_script_is_killed(started):
    process, child = started(STUBBORN)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=20)
    wait_until_gone(child)


def test_a_signal_that_was_ignored_before_stays_ignored(started, tmp_path):
    """As under nohup."""
    process, child = started(POLITE, str(int(signal.SIGHUP)))
    process.send_signal(signal.SIGHUP)
    os.kill(child, signal.SIGTERM)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
    assert len(json.loads((tmp_path / "stem.json").read_text())["parts"]) == 3
