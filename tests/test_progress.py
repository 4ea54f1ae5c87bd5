"""Bars of our own, which leave nothing to clean up."""

import subprocess
import sys

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
