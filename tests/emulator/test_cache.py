"""The cache of compiled kernels: damage, folders that cannot be written to, many processes."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gpucnn.emulator.cache import Cache, cache_key, default_folder, why_unusable

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


OTHER = cache_key("other")
CONTENT = bytes(range(256)) * 4


def cut(path, length):
    path.write_bytes(path.read_bytes()[:length])


def lengthen(path):
    path.write_bytes(path.read_bytes() + b"x")


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def replace_by(path, make):
    path.unlink()
    make(path)


def link_to_another(path):
    other = path.with_name("elsewhere")
    path.rename(other)
    path.symlink_to(other)


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))


DAMAGE = {
    **{f"cut to {length}": lambda path, n=length: cut(path, n) for length in (0, 1, 39, 40, 1000)},
    **{f"flipped {place}": lambda path, n=place: flip(path, n) for place in (0, 500, -41, -40, -1)},
    "longer": lengthen,
    "key of another entry": lambda path: path.write_bytes(path.with_name(OTHER).read_bytes()),
    "huge": lambda path: os.truncate(path, 1 << 40),
    "FIFO": lambda path: replace_by(path, os.mkfifo),
    "socket": lambda path: replace_by(path, make_socket),
    "link to nothing": lambda path: replace_by(path, lambda p: p.symlink_to("none")),
    "link to itself": lambda path: replace_by(path, lambda p: p.symlink_to(p)),
    "link to a whole entry": link_to_another,
    "unreadable": lambda path: path.chmod(0o000 if os.geteuid() else 0o666),
    "writable by its group": lambda path: path.chmod(0o620),
    "writable by others": lambda path: path.chmod(0o602),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_entry_is_as_good_as_none_and_is_replaced(damage, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the address of a socket has few characters
    cache = Cache(tmp_path)
    cache.put(KEY, CONTENT)
    cache.put(OTHER, b"other" * 200)
    assert cache.get(KEY) == CONTENT
    damage(Path(KEY))
    assert cache.get(KEY) is None
    assert cache.path_of(KEY) is None
    cache.put(KEY, b"again")
    assert cache.get(KEY) == Cache(tmp_path).get(KEY) == b"again"
    assert Cache(tmp_path).get(OTHER) == b"other" * 200
    assert capsys.readouterr().err == ""


def test_a_folder_in_the_place_of_an_entry_is_said_once(tmp_path, capsys):
    (tmp_path / KEY / "inner").mkdir(parents=True)
    (tmp_path / OTHER / "inner").mkdir(parents=True)
    cache = Cache(tmp_path)
    assert cache.get(KEY) is None
    cache.put(KEY, b"bytes")
    cache.put(OTHER, b"others")
    assert cache.get(KEY) == b"bytes"
    path = cache.path_of(KEY)
    assert path.read_bytes().startswith(b"bytes")
    assert not path.is_relative_to(tmp_path)
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{tmp_path / KEY}: is a folder, which cannot be replaced" in line


def pretend_to_be_another(monkeypatch):
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777, 0o1777])
def test_a_folder_that_others_can_write_to_is_not_used(mode, tmp_path, capsys):
    folder = tmp_path / "cache"
    Cache(folder).put(KEY, b"planted")
    folder.chmod(mode)
    cache = Cache(folder)
    assert cache.get(KEY) is None
    assert cache.path_of(KEY) is None
    cache.put(KEY, b"ours")
    cache.put(OTHER, b"others")
    assert cache.get(KEY) == b"ours"
    assert not cache.path_of(KEY).is_relative_to(folder)
    assert [path.name for path in folder.iterdir()] == [KEY]
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{folder}: can be written to by other users (mode {mode:o})" in line
    is_sticky = bool(mode & 0o1000)  # as /tmp, whose mode is as it should be
    assert (f"run chmod go-w {folder}" in line) != is_sticky
    assert "set GPUCNN_CACHE_DIR" in line
    assert why_unusable(folder) in line
    folder.chmod(0o700)
    assert why_unusable(folder) == ""
    assert Cache(folder).get(KEY) == b"planted"


def test_a_folder_that_becomes_writable_meanwhile_is_not_used_any_more(tmp_path):
    cache = Cache(tmp_path / "cache")
    cache.put(KEY, b"bytes")
    assert cache.get(KEY) == b"bytes"
    (tmp_path / "cache").chmod(0o777)
    assert cache.get(KEY) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_folder_or_an_entry_of_another_user_is_not_used(tmp_path, capsys):
    folder = tmp_path / "cache"
    Cache(folder).put(KEY, b"planted")
    os.chown(folder / KEY, 12345, -1)
    assert Cache(folder).get(KEY) is None
    Cache(folder).put(KEY, b"ours")
    assert Cache(folder).get(KEY) == b"ours"
    os.chown(folder, 12345, -1)
    cache = Cache(folder)
    assert cache.get(KEY) is None
    assert capsys.readouterr().err == ""
    cache.put(KEY, b"mine")
    assert cache.get(KEY) == b"mine"
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{folder}: belongs to another user (number 12345)" in line
    assert "chmod" not in line
    link = tmp_path / "link"
    link.symlink_to(folder)
    assert Cache(link).get(KEY) is None


def test_what_this_user_does_not_own_is_not_used(tmp_path, monkeypatch, capsys):
    Cache(tmp_path).put(KEY, b"planted")
    pretend_to_be_another(monkeypatch)
    cache = Cache(tmp_path)
    assert cache.get(KEY) is None
    cache.put(KEY, b"ours")
    assert cache.get(KEY) == b"ours"
    assert f"belongs to another user (number {tmp_path.stat().st_uid})" in capsys.readouterr().err
    monkeypatch.undo()
    assert Cache(tmp_path).get(KEY) == b"planted"


def test_new_folders_and_entries_are_closed_to_others_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        Cache(tmp_path / "cache").put(KEY, b"bytes")
    finally:
        os.umask(before)
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "cache" / KEY).stat().st_mode & 0o777 == 0o600
    assert Cache(tmp_path / "cache").get(KEY) == b"bytes"


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_folder_that_is_exchanged_after_the_check_is_not_followed(tmp_path):
    """Someone who can rename the folder puts one with other libraries in its place."""
    folder = tmp_path / "cache"
    cache = Cache(folder)
    cache.put(KEY, b"checked")
    path = cache.path_of(KEY)
    folder.rename(tmp_path / "away")
    Cache(folder).put(KEY, b"exchanged")
    assert path.read_bytes().startswith(b"checked")
    assert subprocess.run(["cat", path], capture_output=True).stdout.startswith(b"checked")
    assert cache.get(KEY) == b"exchanged"  # which is this user's own, and was checked by now


def test_a_folder_that_is_removed_meanwhile_is_made_again(tmp_path):
    folder = tmp_path / "cache"
    cache = Cache(folder)
    cache.put(KEY, b"first")
    (folder / KEY).unlink()
    folder.rmdir()
    assert cache.get(KEY) is None
    cache.put(KEY, b"second")
    assert Cache(folder).get(KEY) == b"second"


WRITER = """
import os, sys, time
from pathlib import Path
from gpucnn.emulator.cache import Cache

def stop(*_):
    print("there", flush=True)
    time.sleep(1000)

Path.replace = stop
Cache(Path(sys.argv[1])).put(sys.argv[2], b"never whole")
"""


def test_what_a_killed_process_left_is_removed_and_nothing_that_is_being_written(tmp_path):
    command = [sys.executable, "-c", WRITER, str(tmp_path), KEY]
    (tmp_path / "old.unfinished").write_bytes(b"of an older version")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "there\n"
        (under_way,) = tmp_path.glob("*")
        Cache(tmp_path).put(OTHER, b"bytes")
        assert under_way.exists()
        writer.send_signal(signal.SIGKILL)
        writer.wait(10)
        Cache(tmp_path).put(OTHER, b"bytes")
    assert [path.name for path in tmp_path.iterdir()] == [OTHER]


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
    monkeypatch.setattr("gpucnn.emulator.cache.default_folder", lambda: None)
    cache = Cache()
    assert cache.get(KEY) is None
    cache.put(KEY, b"bytes")
    assert cache.get(KEY) == b"bytes"
    assert "no cache folder" in capsys.readouterr().err


HAMMER = """
import sys
from pathlib import Path
from gpucnn.emulator.cache import Cache

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
