"""Compiled libraries: damaged ones are compiled again, and compilers do not outlive anyone."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from processes import is_running

from gpucnn.backends import why_unavailable
from gpucnn.emulator import builder
from gpucnn.emulator.builder import Builder
from gpucnn.emulator.cache import Cache
from gpucnn.emulator.modes import MODES
from gpucnn.emulator.scratch import PREFIX
from gpucnn.emulator.source import Source

if reason := why_unavailable("emulator"):
    pytest.skip(reason, allow_module_level=True)

FIRST, SECOND = Source("first.cu", "// one"), Source("second.cu", "// two")


@pytest.fixture
def compiled(monkeypatch):
    """What was compiled, of a compiler that takes no time."""
    sources = []

    def compile_module(_self, batch, _programs):
        sources.extend(batch)
        return " ".join(source.name for source in batch).encode()

    monkeypatch.setattr(Builder, "_compile_module", compile_module)
    monkeypatch.setattr(Builder, "_precompiled_header", lambda *_: None)
    monkeypatch.setattr(builder, "_cores", lambda: 1)  # so that both are in one library
    return sources


def check(folder):
    """That both libraries are found, and are whole."""
    cache = Cache(folder)
    found = Builder(MODES["fast"], cache).libraries([FIRST, SECOND])
    assert all(path.read_bytes().startswith(b"first.cu") for path in found.values())


def damaged(path):
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def empty(path):
    path.write_bytes(b"")


def fifo(path):
    path.unlink()
    os.mkfifo(path)


def folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [damaged, empty, fifo, folder])
@pytest.mark.parametrize("which", ["library", "entries"])
def test_what_is_damaged_is_compiled_again(which, damage, compiled, tmp_path, capsys):
    check(tmp_path)
    check(tmp_path)
    assert compiled == [FIRST, SECOND]
    library = next(path for path in tmp_path.iterdir() if b"first.cu" in path.read_bytes())
    entries = [path for path in tmp_path.iterdir() if path != library]
    assert len(entries) == 2
    for path in [library] if which == "library" else entries:
        damage(path)
    check(tmp_path)
    assert compiled == [FIRST, SECOND] * 2
    warnings = capsys.readouterr().err.splitlines()
    assert len(warnings) == (damage is folder)
    if damage is not folder:  # which cannot be replaced
        check(tmp_path)
        assert compiled == [FIRST, SECOND] * 2


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"../secret", b"a\nb", b"\0" * 64, b"0" * 64], ids=repr
)
def test_an_entry_that_leads_nowhere_is_compiled_again(content, compiled, tmp_path):
    check(tmp_path)
    cache = Cache(tmp_path)
    for source in (FIRST, SECOND):
        cache.put(builder._key(MODES["fast"], source.digest()), content)
    check(tmp_path)
    assert compiled == [FIRST, SECOND] * 2


def test_progress_advances_with_each_source(compiled, tmp_path):
    bars = []

    @contextmanager
    def progress(label, total):
        bars.append([label, total])
        yield bars[-1].append

    sources = [Source("first.cu", f"// {number}") for number in range(20)]
    cache = Cache(tmp_path)
    Builder(MODES["fast"], cache, progress).libraries([FIRST, *sources])
    assert len(compiled) == 21
    (label, total, *advances) = bars[0]
    assert (label, total, sorted(advances)) == ("compiling kernels, once", 21, [5, 8, 8])
    Builder(MODES["fast"], cache, progress).libraries([FIRST, *sources])
    assert len(bars) == 1


COMPILER = """#!/bin/sh
case "$*" in
  *--version*) echo "a compiler that never ends" ;;
  *-E*) exit 0 ;;
  *) touch "$TMPDIR/left.s"; sleep 1000 & echo $! > "$WRITTEN.part"
     mv "$WRITTEN.part" "$WRITTEN"; wait ;;
esac
"""

USER = "from gpucnn.backends.devices.emulator_device import EmulatorDevice; EmulatorDevice()"


@pytest.fixture
def user(tmp_path):
    """Starts a process that compiles the emulator, and waits until it does."""
    compiler, temporary, written = tmp_path / "cxx", tmp_path / "temporary", tmp_path / "written"
    compiler.write_text(COMPILER)
    compiler.chmod(0o700)
    temporary.mkdir()
    environment = {
        **os.environ, "CXX": str(compiler), "TMPDIR": str(temporary), "WRITTEN": str(written),
        "GPUCNN_CACHE_DIR": str(tmp_path / "cache"),
    }  # fmt: skip
    started = []

    def start():
        written.unlink(missing_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-c", USER], env=environment, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        end = time.monotonic() + 30
        while not written.exists():
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.01)
        return process, int(written.read_text())

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_compiler_ends_with_its_user_and_leaves_nothing(number, user, tmp_path):
    process, compiling = user()
    (scratch,) = (tmp_path / "temporary").iterdir()
    assert scratch.name.startswith(PREFIX)
    assert (scratch / "left.s").exists()  # what a compiler writes for itself
    process.send_signal(number)
    _, errors = process.communicate(timeout=10)
    end = time.monotonic() + 10
    while is_running(compiling):
        assert time.monotonic() < end
        time.sleep(0.01)
    if number == signal.SIGINT:
        assert "KeyboardInterrupt" in errors
        assert list((tmp_path / "temporary").iterdir()) == []
        return
    # It could not clear up; the next one does.
    assert scratch.exists()
    user()
    (other,) = (tmp_path / "temporary").iterdir()
    assert other != scratch


@pytest.mark.slow
def test_ctrl_c_ends_compilers_that_run_side_by_side(tmp_path):
    """Real ones, of several sources: nobody waits for them."""
    environment = {**os.environ, "GPUCNN_CACHE_DIR": str(tmp_path / "cache")}
    environment["TMPDIR"] = str(tmp_path)
    code = (
        "from gpucnn.cli import main; import sys;"
        "sys.argv[1:] = ['kernels', 'check', '--quick', '--mode', 'race', '--operation', 'matmul'];"
        "main()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        end = time.monotonic() + 200
        while not list(tmp_path.glob(f"{PREFIX}*/module.cpp")):
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        begin = time.monotonic()
        _, errors = process.communicate(timeout=20)
        assert time.monotonic() - begin < 5
    assert (process.returncode, errors.strip()) == (130, "stopped")
    assert list(tmp_path.glob(f"{PREFIX}*")) == []
    assert not stat.S_IMODE((tmp_path / "cache").stat().st_mode) & 0o077


COUNTING = """#!/bin/sh
case "$*" in
  *--version*) ;;
  *" -c "*) echo unit >> "$COMPILED" ;;
  *c++-header*) echo header >> "$COMPILED" ;;
  *runtime.cpp*) echo runtime >> "$COMPILED" ;;
esac
exec g++ "$@"
"""

SHARED_CACHE = """
import numpy as np
from gpucnn.emulator import RawKernel
for n in range(2):
    text = 'extern "C" __global__ void k(float* y) { y[0] = %d; }' % n
    y = np.zeros(1, np.float32)
    RawKernel(text, "k", mode="fast")((1,), (1,), (y,))
    assert y[0] == n
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
def test_processes_that_share_an_empty_cache_compile_each_source_once(tmp_path):
    compiler, compiled = tmp_path / "cxx", tmp_path / "compiled"
    compiler.write_text(COUNTING)
    compiler.chmod(0o700)
    environment = {
        **os.environ, "CXX": str(compiler), "COMPILED": str(compiled),
        "GPUCNN_CACHE_DIR": str(tmp_path / "cache"), "TMPDIR": str(tmp_path),
    }  # fmt: skip
    processes = [
        subprocess.Popen([sys.executable, "-c", SHARED_CACHE], env=environment) for _ in range(4)
    ]
    assert [process.wait(timeout=300) for process in processes] == [0] * 4
    assert sorted(compiled.read_text().split()) == ["header", "runtime", "unit", "unit"]
    assert not list((tmp_path / "cache").glob("*.claim"))
    assert not list(tmp_path.glob(f"{PREFIX}*"))
