"""The cache of compiled kernels: damage, folders that cannot be written to, many processes."""

import os
import subprocess
import sys

import pytest

from gpucnn.backends.devices.cache import Cache, cache_key, default_folder

KEY = cache_key("relu.cu", "sm_90a")


def test_what_was_put_is_found_by_another(tmp_path):
    Cache(tmp_path / "new" / "folder").put(KEY, b"cubin")
    assert Cache(tmp_path / "new" / "folder").get(KEY) == b"cubin"
    assert Cache(tmp_path / "new" / "folder").get(cache_key("relu.cu", "sm_80")) is None


def test_the_last_put_wins(tmp_path):
    cache = Cache(tmp_path)
    cache.put(KEY, b"first")
    cache.put(KEY, b"second")
    assert cache.get(KEY) == b"second"
    assert [file.name for file in tmp_path.iterdir()] == [KEY]


def test_a_file_begins_with_the_bytes(tmp_path):
    cache = Cache(tmp_path)
    assert cache.path_of(KEY) is None
    cache.put(KEY, b"library")
    assert cache.path_of(KEY).read_bytes().startswith(b"library")


@pytest.mark.parametrize("content", [b"", b"x" * 100_000])
def test_any_length(tmp_path, content):
    Cache(tmp_path).put(KEY, content)
    assert Cache(tmp_path).get(KEY) == content


@pytest.mark.parametrize("length", [0, 1, 39, 40, 41, 1000])
def test_a_cut_entry_is_noticed(tmp_path, length):
    cache = Cache(tmp_path)
    cache.put(KEY, bytes(1000))
    path = tmp_path / KEY
    path.write_bytes(path.read_bytes()[:length])
    assert cache.get(KEY) is None
    assert cache.path_of(KEY) is None
    cache.put(KEY, b"again")
    assert cache.get(KEY) == b"again"


def test_a_changed_byte_is_noticed(tmp_path):
    cache = Cache(tmp_path)
    cache.put(KEY, bytes(1000))
    content = bytearray((tmp_path / KEY).read_bytes())
    content[500] ^= 1
    (tmp_path / KEY).write_bytes(content)
    assert cache.get(KEY) is None


def test_a_folder_that_cannot_be_made_is_said_once(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file" / "folder")
    cache.put(KEY, b"first")
    cache.put(cache_key("other"), b"second")
    assert cache.get(KEY) == b"first"
    assert cache.path_of(KEY).read_bytes().startswith(b"first")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "GPUCNN_CACHE_DIR" in lines[0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to(tmp_path):
    tmp_path.chmod(0o500)
    cache = Cache(tmp_path)
    cache.put(KEY, b"bytes")
    assert cache.get(KEY) == b"bytes"


def test_a_full_disk_leaves_nothing_behind(mount_disk):
    disk = mount_disk(64)
    cache = Cache(disk)
    cache.put(KEY, bytes(200_000))
    assert cache.get(KEY) == bytes(200_000)
    assert list(disk.iterdir()) == []


def test_keys_are_names_of_files(tmp_path):
    for key in ("", "..", "a/b", "a\\b"):
        with pytest.raises(ValueError, match="name of a file"):
            Cache(tmp_path).get(key)


def test_parts_of_a_key_do_not_run_together():
    assert cache_key("ab", "c") != cache_key("a", "bc")
    assert cache_key("abc") != cache_key("abc", "")


def test_the_variable_names_the_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("GPUCNN_CACHE_DIR", str(tmp_path))
    assert default_folder() == tmp_path


@pytest.mark.skipif(sys.platform != "linux", reason="the rules of XDG")
def test_the_users_cache_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("GPUCNN_CACHE_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert default_folder() == tmp_path / ".cache" / "gpucnn"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_folder() == tmp_path / "xdg" / "gpucnn"


def test_no_home_at_all(monkeypatch, capsys):
    monkeypatch.setattr("gpucnn.backends.devices.cache.default_folder", lambda: None)
    cache = Cache()
    assert cache.get(KEY) is None
    cache.put(KEY, b"bytes")
    assert cache.get(KEY) == b"bytes"
    assert "no cache folder" in capsys.readouterr().err


HAMMER = """
import sys
from pathlib import Path
from gpucnn.backends.devices.cache import Cache

folder, key, seed = sys.argv[1:]
cache = Cache(Path(folder))
for turn in range(50):
    cache.put(key, bytes([int(seed)]) * (1000 + turn))
    held = cache.get(key)
    if held is None or len(set(held)) != 1:
        sys.exit(1)
"""


def test_processes_share_a_folder(tmp_path):
    workers = [
        subprocess.Popen([sys.executable, "-c", HAMMER, str(tmp_path), KEY, str(seed)])
        for seed in range(3)
    ]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    assert [file.name for file in tmp_path.iterdir()] == [KEY]
