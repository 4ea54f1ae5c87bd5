"""Reading and writing files; what a crash leaves of them is tested with the checkpoints."""

import errno
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gpucnn import text
from gpucnn.files import (
    FileTooLargeError,
    NotRegularFileError,
    open_regular,
    read_regular,
    write_atomically,
)


def test_writers_of_one_file_do_not_mix(tmp_path):
    path = tmp_path / "file"
    contents = [bytes([number]) * 100_000 for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: write_atomically(path, content), contents))
    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["n" * 255, "語" * 85])
def test_a_name_as_long_as_the_system_allows(name, tmp_path):
    path = tmp_path / name
    write_atomically(path, b"content")
    assert path.read_bytes() == b"content"


def test_nothing_is_left_where_the_file_cannot_take_its_place(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_atomically(tmp_path / "folder", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_folder_that_cannot_be_synced_is_warned_of_once(tmp_path, monkeypatch, capsys):
    def refuse(_):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "fsync", refuse)
    monkeypatch.setattr(text, "_has_warned", set())
    for name in ("one", "two"):
        write_atomically(tmp_path / name, b"content")
        assert (tmp_path / name).read_bytes() == b"content"
    warned = capsys.readouterr().err
    assert warned.count("\n") == 1
    assert str(tmp_path) in warned
    assert "cannot sync" in warned


def test_a_disk_that_fails_to_sync_is_an_error(tmp_path, monkeypatch):
    def fail(_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        write_atomically(tmp_path / "file", b"content")
    assert list(tmp_path.iterdir()) == []


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda path: os.mkfifo(path), "a FIFO"),
        (lambda path: path.mkdir(), "a folder"),
        (make_socket, "a socket"),
        (lambda path: path.symlink_to("/dev/zero"), "a device"),
    ],
)
def test_what_is_no_regular_file_is_refused_without_waiting(make, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    path = Path("thing")
    make(path)
    with pytest.raises(NotRegularFileError, match=kind):
        open_regular(path)
    with pytest.raises(NotRegularFileError):
        read_regular(path, 10, follow_links=False)


def test_links_are_followed_only_where_they_may_be(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    assert read_regular(tmp_path / "link", 7) == b"content"
    with pytest.raises(NotRegularFileError, match="a symbolic link"):
        open_regular(tmp_path / "link", follow_links=False)
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "none", follow_links=False)


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(FileTooLargeError, match=r"1,000,000,000,000 bytes, 100 at most"):
        read_regular(path, 100)


def test_what_is_allowed_takes_no_memory(tmp_path):
    path = tmp_path / "small"
    path.write_bytes(b"content")
    assert read_regular(path, 2**60) == b"content"
