import pytest

from gpucnn import text
from gpucnn.text import shown, warn_once


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Straße 7.png", "Straße 7.png"),
        ("caf\udce9.png", r"caf\xe9.png"),
        ("two\nlines\r", r"two\nlines\r"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("a\u202egnp.exe", r"a\u202egnp.exe"),
        ("\ud800", r"\ud800"),
        ("日本\u2028", r"日本\u2028"),
    ],
)
def test_what_cannot_be_shown_is_escaped(name, expected):
    assert shown(name) == expected
    assert shown(name).encode("utf-8")


def test_a_warning_is_printed_once(monkeypatch, capsys):
    monkeypatch.setattr(text, "_has_warned", set())
    for message in ("one", "two", "one"):
        warn_once(message)
    assert capsys.readouterr().err == "warning: one\nwarning: two\n"
