"""Progress bars: for people at a terminal only."""

import io
import sys

from gpucnn.backends.devices.progress import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown_on(stream, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream)
    with progress("compiling", 3) as advance:
        before = stream.getvalue()
        advance(1)
        advance(2)
    return before, stream.getvalue()


def test_a_terminal_shows_it_from_the_beginning(monkeypatch):
    before, after = shown_on(Terminal(), monkeypatch)
    assert "compiling:   0%" in before
    assert "0/3" in before
    assert after.endswith("\r")  # and it is gone at the end


def test_nothing_else_does(monkeypatch):
    assert shown_on(io.StringIO(), monkeypatch) == ("", "")
