"""Scratch folders: removed with their owner, or by the next process if that was killed."""

import fcntl
import gc
import operator
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from gpucnn.emulator.scratch import (
    PREFIX,
    is_removed,
    remove_abandoned_folders,
    scratch_folder,
    scratch_folder_of,
)

MAKER = """
import sys, time
from gpucnn.emulator.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "file").write_text("x")
    print(folder, flush=True)
    time.sleep(1000)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_it_lasts_as_long_as_its_block(temporary):
    with scratch_folder() as folder:
        assert folder.parent == temporary
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_text("x")
    assert list(temporary.iterdir()) == []


def test_it_lasts_as_long_as_its_owner(temporary):
    class Owner:
        pass

    owner = Owner()
    folder = scratch_folder_of(owner)
    assert folder.is_dir()
    del owner
    gc.collect()
    assert list(temporary.iterdir()) == []


def test_one_of_a_killed_process_is_removed_and_no_other(temporary):
    environment = {**os.environ, "TMPDIR": str(temporary)}
    command = [sys.executable, "-c", MAKER]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        folder = Path(process.stdout.readline().strip())
        with scratch_folder() as own:
            remove_abandoned_folders()
            assert (folder / "file").exists()
            process.send_signal(signal.SIGKILL)
            process.wait(10)
            assert (folder / "file").exists()
            remove_abandoned_folders()
            assert not folder.exists()
            assert own.exists()


def test_what_is_not_ours_is_left(temporary, monkeypatch):
    other = temporary / "other"
    other.mkdir()
    (temporary / f"{PREFIX}link").symlink_to(other)
    abandoned = temporary / f"{PREFIX}abandoned"
    abandoned.mkdir()
    other_user = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other_user)
    remove_abandoned_folders()
    assert abandoned.exists()
    monkeypatch.undo()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    remove_abandoned_folders()
    assert sorted(path.name for path in temporary.iterdir()) == [f"{PREFIX}link", "other"]


def remove(folder):
    folder.rmdir()


def remove_slowly(folder):
    """As another process does it that has the lock."""
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)

    def finish():
        time.sleep(0.2)
        folder.rmdir()
        os.close(descriptor)

    threading.Thread(target=finish).start()


@pytest.mark.parametrize(
    ("function", "interfere"),
    [("tempfile.mkdtemp", remove), ("tempfile.mkdtemp", remove_slowly), ("os.open", remove)],
)
def test_a_folder_that_is_taken_for_abandoned_at_once_is_made_again(
    temporary, monkeypatch, function, interfere
):
    """Between its creation and its lock, another process removes it."""
    removed = []
    real = operator.attrgetter(function)(sys.modules[__name__])

    def call(*arguments, **options):
        result = real(*arguments, **options)
        if not removed:
            removed.extend(temporary.iterdir())
            interfere(removed[0])
        return result

    monkeypatch.setattr(function, call)
    with scratch_folder() as folder:
        assert len(removed) == 1
        assert folder not in removed
        assert list(temporary.iterdir()) == [folder]


def test_without_locks_nothing_is_removed(temporary, monkeypatch):
    (temporary / f"{PREFIX}some").mkdir()

    def refuse(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", refuse)
    with scratch_folder() as folder:
        assert folder.is_dir()
        remove_abandoned_folders()
        assert (temporary / f"{PREFIX}some").exists()


def test_a_path_that_leads_elsewhere_now(temporary):
    path = temporary / "file"
    path.write_text("")
    with path.open() as file:
        assert not is_removed(file.fileno(), path)
        path.unlink()
        assert is_removed(file.fileno(), path)
        path.write_text("")
        other = temporary / "other"
        other.write_text("")
        assert is_removed(file.fileno(), other)
