"""Config files that are huge, endless, deep or no files at all."""

import os
import threading
import time

import pytest

from gpucnn import config_file
from gpucnn.config_file import is_too_deep, parse_toml, read_config_file
from gpucnn.errors import ConfigError


def test_a_fifo_is_read_to_its_end(tmp_path):
    """As ``gpucnn train <(COMMAND)`` gives one."""
    path = tmp_path / "fifo"
    os.mkfifo(path)

    def write():
        with path.open("w") as file:
            for line in ("seed = 1\n", "[data]\n", 'name = "digits"\n'):
                file.write(line)
                file.flush()
                time.sleep(0.02)

    writer = threading.Thread(target=write)
    writer.start()
    assert read_config_file(path) == {"seed": 1, "data": {"name": "digits"}}
    writer.join()


def test_a_fifo_that_no_one_writes_to(tmp_path, monkeypatch):
    monkeypatch.setattr(config_file, "_PATIENCE", 0.05)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ConfigError, match=r"fifo: nothing could be read from it for 0\.05 seconds"):
        read_config_file(tmp_path / "fifo")


def test_what_has_no_end(tmp_path):
    with pytest.raises(ConfigError, match=r"/dev/zero: has more than 1,048,576 bytes"):
        read_config_file("/dev/zero")
    path = tmp_path / "sparse.toml"
    with path.open("wb") as file:
        file.truncate(10**11)
    with pytest.raises(ConfigError, match=r"sparse\.toml: has more than"):
        read_config_file(path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("seed = " + "9" * 5000, "thousands of digits"),
        ("a = " + "[" * 100_000, "nested too deeply"),
        ("a = " + "[" * 70 + "]" * 70, "nested too deeply"),
        (".".join("a" * 100_000) + " = 1", "a key has more than 64 parts"),
        ("[" + ".".join(['"a b"'] * 100_000) + "]", "a key has more than 64 parts"),
        ("x = {" + " . ".join(["'a'"] * 1000) + " = 1}", "a key has more than 64 parts"),
        ("a = 1\na = 2", "overwrite"),
        ("a = \x00", "Invalid|Illegal|x00"),
    ],
    ids=lambda value: value[:20],
)
def test_what_would_hang_or_overflow_is_refused_in_a_moment(text, reason):
    begin = time.perf_counter()
    with pytest.raises(ValueError, match=reason):
        parse_toml(text)
    assert time.perf_counter() - begin < 1.0


def test_text_with_many_dots_is_no_long_key():
    text = f'a = "{"." * 1000}"\nb = "{"../" * 100}"\nc = [{"0.1, " * 200}]'
    assert parse_toml(text)["c"] == [0.1] * 200


def test_depth():
    value = 1
    for _ in range(64):
        value = [value]
    assert is_too_deep(value)
    assert not is_too_deep(value[0])
    assert is_too_deep({"a": value})
