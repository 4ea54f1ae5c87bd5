"""Launches that are ended early: by the user, by a time limit, or for want of something."""

import os
import signal
import threading
import time

import numpy as np
import pytest
from ptx_text import run, text, zeros

from gpucnn.emulator.engine import why_unavailable
from gpucnn.emulator.errors import CompilationError, OutOfBoundsError, TimeLimitError

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())

ENDLESS = text("LOOP:\nbra LOOP;", 0)
STORE = "ld.param.u64 %rd1, [a]; st.global.u32 [%rd1], 5;"


@pytest.fixture
def interrupting():
    """Ctrl-C after a while."""
    run(text("", 0))  # The executor is compiled.
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    yield
    timer.join()


@pytest.mark.usefixtures("interrupting")
def test_ctrl_c_ends_an_endless_kernel(capfd):
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(ENDLESS, grid=5, workers=2, time_limit=60)
    assert time.monotonic() - begin < 30
    assert capfd.readouterr().err == ""
    y = zeros(1)
    run(text(STORE), y)
    assert y.tolist() == [5]


@pytest.mark.usefixtures("interrupting")
def test_what_a_handler_of_signals_raises_ends_an_endless_kernel():
    class EndedError(Exception):
        pass

    def handler(*_):
        raise EndedError

    before = signal.signal(signal.SIGINT, handler)
    try:
        with pytest.raises(EndedError):
            run(ENDLESS, time_limit=60)
    finally:
        signal.signal(signal.SIGINT, before)


def test_many_short_blocks_take_no_longer_than_the_limit():
    with pytest.raises(TimeLimitError, match=r"longer than 0\.2 seconds"):
        run(text("", 0), grid=2**31 - 1, workers=2, time_limit=0.2)


def test_a_fault_ends_a_launch_of_very_many_blocks():
    with pytest.raises(OutOfBoundsError, match="write of 4 bytes 0 bytes after the end"):
        run(text(STORE), zeros(0), grid=2**31 - 1, workers=2, time_limit=60)


def test_more_workers_than_blocks():
    y = zeros(1)
    run(text(STORE), y, grid=3, workers=100_000)
    assert y.tolist() == [5]


def test_more_local_memory_than_a_thread_may_have():
    with pytest.raises(CompilationError, match="600000 bytes of local memory, a GPU's has 524288"):
        run(text(".local .b8 much[600000]; st.local.u8 [much], 0;", 0))


def test_launches_from_several_threads_at_once():
    body = """
ld.param.u64 %rd1, [a]; ld.param.u64 %rd2, [b]; ld.global.u32 %r2, [%rd2]; mov.u32 %r1, 0;
LOOP:
add.u32 %r1, %r1, 1; setp.lt.u32 %p1, %r1, %r2; @%p1 bra LOOP; st.global.u32 [%rd1], %r1;"""
    results = [zeros(1) for _ in range(8)]

    def launch(number):
        count = np.array([100 * number + 1], np.uint32)
        run(text(body, 2), results[number], count, grid=20, workers=2)

    threads = [threading.Thread(target=launch, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [int(result[0]) for result in results] == [100 * number + 1 for number in range(8)]
