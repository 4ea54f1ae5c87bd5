import os
from pathlib import Path

import pytest

from gpucnn.errors import ConfigError
from gpucnn.paths import user_path


def test_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    assert user_path("~") == Path("/somewhere")
    assert user_path("~/x/~") == Path("/somewhere/x/~")
    assert user_path(Path("~/x")) == Path("/somewhere/x")
    for path in ("x/~", "./~", "a~", "/x", "caf\udce9"):
        assert user_path(path) == Path(path)


def test_the_home_folder_of_a_user():
    import pwd

    user = pwd.getpwuid(os.getuid())
    assert user_path(f"~{user.pw_name}/x") == Path(user.pw_dir) / "x"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("~no-such-user/x", 'there is no user "no-such-user"'),
        ("", "the path is empty"),
        ("a\0b", "it has a NUL character"),
        ("\ud800", "half of a character"),
    ],
)
def test_what_is_no_path(path, reason):
    with pytest.raises(ConfigError, match=reason):
        user_path(path)


def test_no_home_folder(monkeypatch):
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(ConfigError, match='"~/x": there is no home folder; write the whole path'):
        user_path("~/x")
