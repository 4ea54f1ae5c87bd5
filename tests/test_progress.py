"""Bars of our own, which leave nothing to clean up."""

import io
import subprocess
import sys

from gpucnn.progress import progress

SCRIPT = """
import os, sys, threading
from gpucnn.progress import progress_bar
bar = progress_bar(total=3, mininterval=0)
bar.update(1)
print(threading.active_count())
print("multiprocessing" in sys.modules and "multiprocessing.resource_tracker" in sys.modules)
sys.stdout.flush()
os._exit(0)
"""


def test_a_bar_has_no_thread_and_no_semaphore():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["1", "False"]
    assert "33%" in done.stderr
    assert "semaphore" not in done.stderr


def test_tqdm_itself_is_as_it_was():
    from tqdm import tqdm

    from gpucnn.progress import progress_bar

    interval, lock = tqdm.monitor_interval, vars(tqdm).get("_lock")
    progress_bar(total=1, disable=True).close()
    assert (tqdm.monitor_interval, vars(tqdm).get("_lock")) == (interval, lock)


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


def test_what_is_not_a_terminal_shows_nothing(monkeypatch):
    assert shown_on(io.StringIO(), monkeypatch) == ("", "")
