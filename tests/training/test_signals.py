"""Signals: the first asks to stop, the second ends the process, ignored ones stay ignored."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
import time

import pytest

from gpucnn.training.signals import Interrupted, StopOnSignal, exit_on_next_signal

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.mark.parametrize("number", STOPS)
def test_a_signal_is_raised_at_once_or_only_noted(number):
    with StopOnSignal() as stop:
        with pytest.raises(Interrupted, match=f"stopped by {number.name}") as raised:
            signal.raise_signal(number)
        assert raised.value.status == 128 + number
    with StopOnSignal() as stop, stop.postponed():
        assert stop.number is None
        stop.obey()
        signal.raise_signal(number)
        assert stop.number == number
        with pytest.raises(Interrupted):
            stop.obey()


def test_handlers_are_put_back():
    before = [signal.getsignal(number) for number in STOPS]
    with pytest.raises(Interrupted), StopOnSignal():
        assert [signal.getsignal(number) for number in STOPS] != before
        signal.raise_signal(signal.SIGTERM)
    assert [signal.getsignal(number) for number in STOPS] == before


@pytest.mark.parametrize("number", STOPS)
def test_ignored_signals_stay_ignored(number):
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with StopOnSignal() as stop:
            signal.raise_signal(number)
            assert stop.number is None
            assert signal.getsignal(number) == signal.SIG_IGN
        exit_on_next_signal()
        assert signal.getsignal(number) == signal.SIG_IGN
    finally:
        for each in STOPS:
            signal.signal(each, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(number, before)


def test_a_block_within_another_is_a_part_of_it():
    """So what the inner one has heard counts as the first signal in the outer one too."""
    with StopOnSignal() as outer:
        with StopOnSignal() as inner:
            assert inner is outer
            with inner.postponed():
                signal.raise_signal(signal.SIGINT)
        assert outer.number == signal.SIGINT
        assert signal.getsignal(signal.SIGINT) == outer._handle


def test_in_another_thread_nothing_changes():
    seen = []

    def run():
        with StopOnSignal() as stop:
            seen.append((stop.number, signal.getsignal(signal.SIGTERM)))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [(None, before)]


CONFIG = """
data = {name = "digits"}
model = {name = "vgg", width = 8, stages = 2}
optimizer = {name = "adam", learning_rate = 0.005}
training = {epochs = 1000, batch_size = 50}
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text(CONFIG)
    return path


def train(*arguments, prefix=(), **options):
    command = [sys.executable, "-m", "gpucnn", "train", *map(str, arguments)]
    return subprocess.Popen(
        [*prefix, *command, "--backend", "numpy"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def wait_for(condition, process):
    for _ in range(3000):
        if condition():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    raise AssertionError("it took too long")


def has_begun(run_dir):
    return lambda: len(list(run_dir.glob("checkpoints/step-*.json"))) > 1


def test_a_hang_up_saves(config, tmp_path):
    process = train(config, "--run-dir", tmp_path / "run")
    wait_for(has_begun(tmp_path / "run"), process)
    process.send_signal(signal.SIGHUP)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 129
    assert err == (
        f"stopped by SIGHUP; a checkpoint was saved. Go on with: gpucnn train --resume "
        f"{tmp_path / 'run'}\n"
    )


def test_a_hang_up_under_nohup_is_ignored(config, tmp_path):
    process = train(config, "--run-dir", tmp_path / "run", prefix=["nohup"])
    wait_for(has_begun(tmp_path / "run"), process)
    process.send_signal(signal.SIGHUP)
    saved = len(list(tmp_path.glob("run/checkpoints/*")))
    time.sleep(0.3)
    assert process.poll() is None
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "stopped by SIGTERM; a checkpoint was saved" in err
    assert saved


SLOW = """
import signal, sys, time
import gpucnn.training.trainer as trainer
from gpucnn.cli import main
from gpucnn.config import Config

def waiting(*_):
    print("waiting", flush=True)
    time.sleep(60)

{patch}
sys.argv = ["gpucnn", *sys.argv[1:]]
main()
"""
PLACES = {
    "the data is read": "Config.load_data = waiting",
    "kernels are compiled": "trainer.Trainer.prepare = waiting",
    "the environment is described": "trainer.describe = waiting",
    "a step is taken": "trainer.Trainer.train_step = waiting",
    "a checkpoint is saved": "trainer.Trainer.save = waiting",
    "the end is evaluated": "trainer.Trainer._train = lambda self: None\n"
    "trainer.Trainer._finish = waiting",
}


def slow_run(place, config, run_dir, **options):
    """A run that waits at a place, which it has reached."""
    script = SLOW.format(patch=PLACES[place])
    arguments = ["train", config, "--run-dir", run_dir, "--backend", "numpy", "--quiet"]
    process = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
    assert process.stdout.readline() == "waiting\n", process.communicate()
    return process


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, *(pytest.param(n, marks=pytest.mark.slow) for n in STOPS[::2])]
)
@pytest.mark.parametrize("place", list(PLACES)[:2])
def test_stopped_before_the_run_folder(place, number, config, tmp_path):
    process = slow_run(place, config, tmp_path / "run")
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (128 + number, "", "\nstopped\n")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_stopped_at_the_end(number, config, tmp_path):
    process = slow_run("the end is evaluated", config, tmp_path / "run")
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert err.startswith(f"stopped by {number.name}; a checkpoint was saved. Go on with: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("place", list(PLACES))
@pytest.mark.parametrize(
    "numbers",
    [
        (signal.SIGINT, signal.SIGINT),
        pytest.param((signal.SIGTERM, signal.SIGHUP), marks=pytest.mark.slow),
    ],
)
def test_a_second_signal_leaves_no_trace(place, numbers, config, tmp_path):
    """At once, and without a traceback or a word of a semaphore, even if it is the same instant."""
    process = slow_run(place, config, tmp_path / "run")
    began = time.monotonic()
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.02)
    _, err = process.communicate(timeout=30)
    assert time.monotonic() - began < 10
    assert process.returncode in {128 + number for number in numbers}
    assert "Traceback" not in err
    assert "semaphore" not in err
    assert err.count("\n") <= 2


def test_a_second_ctrl_c_at_a_terminal(config, tmp_path):
    """With a bar, whose lock would be a semaphore if it were tqdm's own."""
    screen, terminal = pty.openpty()
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = train_on_terminal(config, tmp_path / "run", terminal)
    os.close(terminal)
    wait_for(has_begun(tmp_path / "run"), process)
    process.send_signal(signal.SIGINT)
    time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=30)
    shown = b""
    try:
        while part := os.read(screen, 1 << 16):
            shown += part
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(screen)
    assert process.returncode == 130
    assert b"img/s" in shown
    assert b"Traceback" not in shown
    assert b"semaphore" not in shown


def train_on_terminal(config, run_dir, terminal):
    command = [sys.executable, "-m", "gpucnn", "train", str(config), "--run-dir", str(run_dir)]
    return subprocess.Popen(
        [*command, "--backend", "numpy"], stdin=terminal, stdout=terminal, stderr=terminal
    )
