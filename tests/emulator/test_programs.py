"""Programs that end with the process that started them, however that ends."""

import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path

import pytest
from processes import members, session_of

from gpucnn.emulator.programs import Program, Programs, run_program

if sys.platform != "linux":
    pytest.skip("the processes of a session are found in /proc", allow_module_level=True)

FAMILY = 'sleep 1000 & sh -c "sleep 1000" & echo $$ > "$0"; wait'
"""A program with children and grandchildren, which writes its number into a file."""

PARENT = """
import sys
from gpucnn.emulator.programs import run_program
run_program(["/bin/sh", "-c", sys.argv[1], sys.argv[2]])
"""


def open_files():
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def wait_for(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)
    return found


def number_in(path):
    """The number that a program has written into a file, once it is there."""
    return int(wait_for(lambda: path.exists() and path.read_text().strip()))


def test_what_a_program_ends_with():
    done = run_program(["/bin/sh", "-c", "echo out; echo errors >&2; exit 3"])
    assert (done.status, done.out, done.errors) == (3, "out\n", "errors\n")
    assert run_program(["/bin/sh", "-c", "kill -s SEGV $$"]).status == 128 + signal.SIGSEGV
    assert run_program(["/bin/cat"]).out == ""  # which has nothing to read
    assert run_program(["/bin/sh", "-c", 'echo "$X"'], {"X": "b c"}).out == "b c\n"
    assert run_program(["/bin/echo", "$HOME; exit 1", "*"]).out == "$HOME; exit 1 *\n"
    assert run_program(["/bin/sh", "-c", "printf '\\351'"]).out == "\ufffd"


def test_nothing_is_left_of_a_program_that_has_ended():
    before = open_files()
    done = run_program(["/bin/sh", "-c", "sleep 1000 >/dev/null 2>&1 & ps -o sid= -p $$ || true"])
    assert done.status == 0
    session = int(done.out)
    wait_for(lambda: not members(session))
    assert open_files() == before


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_all_end_when_the_parent_alone_gets_a_signal(number, tmp_path):
    command = [sys.executable, "-c", PARENT, FAMILY, str(tmp_path / "number")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as parent:
        session = session_of(number_in(tmp_path / "number"))
        assert session != session_of(parent.pid)
        wait_for(lambda: len(members(session)) >= 5)  # two shells, a family of three or four
        parent.send_signal(number)
        parent.wait(10)
        wait_for(lambda: not members(session))


def test_the_watch_survives_a_signal_to_all(tmp_path):
    """The program takes the signal as it likes; when the parent ends it is killed."""
    stubborn = 'trap "" TERM; echo $$ > "$0"; while :; do sleep 1000; done'
    with Program(["/bin/sh", "-c", stubborn, str(tmp_path / "number")]) as program:
        session = session_of(number_in(tmp_path / "number"))
        program.send(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            program.finish(0.2)
        assert len(members(session)) >= 3
    assert not members(session)


def test_a_signal_reaches_the_program(tmp_path):
    obedient = 'trap "echo bye; exit 7" INT; echo $$ > "$0"; while :; do sleep 0.05; done'
    with Program(["/bin/sh", "-c", obedient, str(tmp_path / "number")]) as program:
        number_in(tmp_path / "number")
        program.send(signal.SIGINT)
        done = program.finish(10)
    assert (done.status, done.out) == (7, "bye\n")
    program.send(signal.SIGINT)  # to nobody


def test_an_error_ends_the_programs_of_all_threads(tmp_path):
    programs = Programs()
    begin = time.monotonic()
    with ThreadPoolExecutor(3) as pool:
        files = [tmp_path / str(number) for number in range(3)]
        jobs = [pool.submit(programs.run, ["/bin/sh", "-c", FAMILY, str(file)]) for file in files]
        sessions = [session_of(number_in(file)) for file in files]
        with pytest.raises(KeyboardInterrupt), programs.ended_by_errors():
            raise KeyboardInterrupt
        assert all(isinstance(job.exception(10), CancelledError) for job in jobs)
        with pytest.raises(CancelledError):
            programs.run(["/bin/true"])
    assert time.monotonic() - begin < 10
    wait_for(lambda: not any(members(session) for session in sessions))


def test_an_end_from_another_thread(tmp_path):
    with Program(["/bin/sh", "-c", FAMILY, str(tmp_path / "number")]) as program:
        session = session_of(number_in(tmp_path / "number"))
        threading.Thread(target=program.end).start()
        assert program.finish(10).status == 128 + signal.SIGKILL
        program.end()
    assert not members(session)
