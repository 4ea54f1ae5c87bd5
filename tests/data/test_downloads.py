"""Data sets that are downloaded, from a server here that behaves in every bad way."""

import contextlib
import gzip
import hashlib
import http.server
import io
import random
import socket
import struct
import subprocess
import sys
import tarfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import cifar_files
import numpy as np
import pytest

from gpucnn.data import cifar, cifar10, downloads, idx, mnist
from gpucnn.data.downloads import Download, RemoteFile, data_set_folder
from gpucnn.errors import DataError

CONTENT = random.Random(3).randbytes(200_000)


class Server(http.server.ThreadingHTTPServer):
    """Answers with ``files``, in the way that ``behave`` says.

    ``requests`` are the paths that were asked for.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.requests, self.behave = {}, [], whole

    @property
    def base(self):
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append(self.path)
        self.server.behave(self, self.server.files.get(self.path.removeprefix("/")))

    def head(self, status=200, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def log_message(self, *arguments):
        pass


def whole(handler, content):
    if content is None:
        handler.head(404, Content_Length=0)
        return
    handler.head(Content_Length=len(content))
    handler.wfile.write(content)


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setenv("GPUCNN_DATA_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def published(content, name="file.bin", **more):
    return RemoteFile(name, hashlib.md5(content).hexdigest(), len(content), **more)


def download_of(server, *files):
    return Download("some", "Some Data", server.base, files)


@pytest.fixture
def one(server):
    server.files["file.bin"] = CONTENT
    return download_of(server, published(CONTENT))


def kept(folder):
    return sorted(path.name for path in folder.rglob("*")) if folder.exists() else []


def refused(download, *words):
    with pytest.raises(DataError) as caught:
        data_set_folder(None, download, "the files")
    for word in (*words, download.base, "data.root"):
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_is_downloaded_once_and_announced(server, one, tmp_path, capsys):
    folder = data_set_folder(None, one, "the files")
    assert folder == tmp_path / "cache" / "some"
    assert (folder / "file.bin").read_bytes() == CONTENT
    assert data_set_folder(None, one, "the files") == folder
    assert server.requests == ["/file.bin"]
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{server.base}file.bin" in line
    assert "195.3 KiB" in line
    assert kept(folder) == ["file.bin"]


def test_a_folder_that_is_named_is_never_downloaded_to(server, one, tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        data_set_folder(str(tmp_path / "nowhere"), one, "the files")
    assert server.requests == []


def _cut_at(place, tells_length):
    def behave(handler, content):
        handler.head(**({"Content_Length": len(content)} if tells_length else {}))
        handler.wfile.write(content[:place])

    return behave


def test_no_download_that_is_cut_off_is_taken_for_complete(server, one, tmp_path):
    rng = random.Random(11)
    places = [0, 1, len(CONTENT) - 1, *(rng.randrange(len(CONTENT)) for _ in range(50))]
    for number, place in enumerate(places):
        server.behave = _cut_at(place, tells_length=number % 2 == 0)
        refused(one, "ended too early", f"at {place:,} of 200,000 bytes" if place else "")
        assert kept(tmp_path / "cache" / "some") == []
    server.behave = whole
    assert (data_set_folder(None, one, "") / "file.bin").read_bytes() == CONTENT


def _longer(handler, content):
    handler.head()
    with contextlib.suppress(OSError):  # once the client has hung up
        while True:
            handler.wfile.write(content)


def _redirect(handler, _):
    handler.head(302, Location="/file.bin", Content_Length=0)


def _silent(handler, content):
    handler.head(Content_Length=len(content))
    handler.wfile.write(content[:1000])
    handler.wfile.flush()
    time.sleep(0.8)


def _slow(handler, content):
    handler.head(Content_Length=len(content))
    with contextlib.suppress(OSError):
        for first in range(0, len(content), 1000):
            handler.wfile.write(content[first : first + 1000])
            time.sleep(0.01)


def _status(status):
    return lambda handler, _: handler.head(status, Content_Length=0)


def _reset(handler, _):
    """Closes the connection without an answer, as a broken proxy does."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.rfile, handler.wfile = io.BytesIO(), io.BytesIO()


@pytest.mark.parametrize(
    ("behave", "words"),
    [
        (lambda handler, _: whole(handler, CONTENT[::-1]), ("MD5", "damaged")),
        (_longer, ("larger than its publisher says",)),
        (_status(404), ("404",)),
        (_status(503), ("503",)),
        (_redirect, ("redirects in a circle",)),
        (_silent, ("does not answer",)),
        (_slow, ("too slowly", "of 200,000 bytes")),
        (_reset, ("the connection ended",)),
    ],
    ids=["other bytes", "endless", "404", "503", "redirects", "silent", "slow", "reset"],
)
def test_a_server_that_misbehaves_is_one_message(behave, words, server, one, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "_SECONDS_OF_SILENCE", 0.4)
    monkeypatch.setattr(downloads, "_SECONDS_TO_SPEED_UP", 0.2)
    monkeypatch.setattr(downloads, "_SLOWEST", 1 << 20)
    server.behave = behave
    refused(one, *words)
    assert kept(tmp_path / "cache" / "some") == []


def test_without_a_network_it_fails_at_once_and_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("GPUCNN_DATA_DIR", str(tmp_path))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    begin = time.monotonic()
    with pytest.raises(DataError) as caught:
        mnist()
    assert time.monotonic() - begin < 5
    for words in ("cannot be reached", "data.root", "t10k-labels-idx1-ubyte.gz", str(tmp_path)):
        assert words in str(caught.value)


def test_where_the_cache_cannot_be_written(one, tmp_path):
    (tmp_path / "cache").write_bytes(b"")
    refused(one, "cannot be written")


def test_what_a_killed_process_left_is_removed(one, tmp_path):
    left = tmp_path / "cache" / "some" / "gpucnn-scratch-left"
    left.mkdir(parents=True)
    (left / "file.bin").write_bytes(CONTENT[:100])
    assert kept(data_set_folder(None, one, "")) == ["file.bin"]


_PROCESS = """
import sys
from gpucnn.data.downloads import Download, RemoteFile, data_set_folder
base, md5, size = sys.argv[1:]
data_set_folder(None, Download("some", "Some Data", base, (RemoteFile("file.bin", md5, int(size)),)), "")
"""  # noqa: E501


def test_two_processes_at_once(server, one, tmp_path):
    file = one.files[0]
    both = threading.Barrier(2)

    def behave(handler, content):
        both.wait(30)
        whole(handler, content)

    server.behave = behave
    arguments = [sys.executable, "-c", _PROCESS, server.base, file.md5, str(file.size)]
    folder = Path(__file__).parents[2]
    processes = [subprocess.Popen(arguments, cwd=folder, stderr=subprocess.PIPE) for _ in range(2)]
    for process in processes:
        _, printed = process.communicate(timeout=60)
        assert process.returncode == 0, printed
    assert len(server.requests) == 2
    assert kept(tmp_path / "cache" / "some") == ["file.bin"]
    assert (tmp_path / "cache" / "some" / "file.bin").read_bytes() == CONTENT


def _idx(array):
    head = struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape)
    return gzip.compress(head + array.tobytes())


def test_mnist_resumes_with_the_files_that_are_missing(server, tmp_path, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 5), np.uint8)
    labels = np.arange(6, dtype=np.uint8)
    contents = [_idx(images), _idx(labels), _idx(images[:2]), _idx(labels[:2])]
    files = tuple(
        replace(file, md5=hashlib.md5(content).hexdigest(), size=len(content))
        for file, content in zip(idx._MNIST.files, contents, strict=True)
    )
    monkeypatch.setattr(idx, "_MNIST", replace(idx._MNIST, base=server.base, files=files))
    names = [file.name for file in files]
    server.files = dict(zip(names[:3], contents[:3], strict=True))
    with pytest.raises(DataError, match="404"):
        mnist()
    server.files[names[3]] = contents[3]
    pair = mnist()
    assert server.requests == [f"/{name}" for name in (*names, names[3])]
    assert np.array_equal(pair.train.images(np.arange(6))[..., 0], images)
    assert kept(tmp_path / "cache") == sorted(["mnist", *names])


@pytest.fixture
def cifar_folder(tmp_path):
    images = np.random.default_rng(1).integers(0, 256, (12, 32, 32, 3), np.uint8)
    cifar_files.write_cifar10(tmp_path / "cifar-10-batches-bin", images, np.arange(12) % 10)
    return tmp_path / "cifar-10-batches-bin"


def _serve_archive(server, monkeypatch, folder, change=lambda _: None, leave_out=""):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        change(tar)
        for path in sorted(folder.iterdir()):
            if path.name != leave_out:
                tar.add(path, f"{folder.name}/{path.name}")
    content = packed.getvalue()
    original = cifar._CIFAR_10_DOWNLOAD
    (file,) = original.files
    file = replace(file, md5=hashlib.md5(content).hexdigest(), size=len(content))
    server.files[file.name] = content
    changed = replace(original, base=server.base, files=(file,))
    monkeypatch.setattr(cifar, "_CIFAR_10_DOWNLOAD", changed)


def _hostile(tar):
    """Entries as no publisher writes them, before the good ones."""
    link = tarfile.TarInfo("cifar-10-batches-bin/link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    tar.addfile(link)
    for name in ("../outside", "/tmp/gpucnn-outside", "cifar-10-batches-bin/../../outside", "more"):
        entry = tarfile.TarInfo(name)
        entry.size = 3
        tar.addfile(entry, io.BytesIO(b"bad"))


def test_an_archive_is_unpacked_and_nothing_else_in_it_is(
    server, cifar_folder, tmp_path, monkeypatch
):
    _serve_archive(server, monkeypatch, cifar_folder, _hostile)
    pair = cifar10()
    assert len(pair.train) == 10
    names = [path.name for path in cifar_folder.iterdir()]
    assert kept(tmp_path / "cache") == sorted(["cifar10", "cifar-10-batches-bin", *names])
    assert not Path("/tmp/gpucnn-outside").exists()
    assert cifar10().train.fingerprint() == pair.train.fingerprint()
    assert len(server.requests) == 1


def _link_instead(tar):
    link = tarfile.TarInfo("cifar-10-batches-bin/test_batch.bin")
    link.type, link.linkname = tarfile.LNKTYPE, "cifar-10-batches-bin/data_batch_1.bin"
    tar.addfile(link)


@pytest.mark.parametrize("change", [lambda _: None, _link_instead], ids=["missing", "a link"])
def test_an_archive_without_a_file(change, server, cifar_folder, tmp_path, monkeypatch):
    _serve_archive(server, monkeypatch, cifar_folder, change, leave_out="test_batch.bin")
    with pytest.raises(DataError, match=r"has no cifar-10-batches-bin/test_batch\.bin"):
        cifar10()
    assert kept(tmp_path / "cache" / "cifar10") == []


def test_an_archive_with_a_file_that_is_too_large(server, cifar_folder, monkeypatch):
    monkeypatch.setattr(downloads, "_MOST_UNPACKED", 1000)
    _serve_archive(server, monkeypatch, cifar_folder)
    with pytest.raises(DataError, match="larger than 1000 B"):
        cifar10()


def test_an_archive_that_is_none(server):
    (file,) = cifar._CIFAR_10_DOWNLOAD.files
    server.files[file.name] = CONTENT
    changed = replace(file, md5=hashlib.md5(CONTENT).hexdigest(), size=len(CONTENT))
    refused(download_of(server, changed), "cannot be unpacked")


def test_files_that_were_put_into_the_cache_are_used(server, cifar_folder, tmp_path, monkeypatch):
    _serve_archive(server, monkeypatch, cifar_folder)
    (tmp_path / "cache").mkdir()
    cifar_folder.rename(tmp_path / "cache" / "cifar10")
    assert len(cifar10().test) == 2
    assert server.requests == []
