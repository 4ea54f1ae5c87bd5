"""A run that is killed at any instant and resumed ends with the bits of one that never was."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

CONFIG = """
seed = 3
data = {name = "digits", validation = 0.1}
augment = {flip = true, crop_padding = 1}
model = {name = "vgg", width = 8, stages = 2, dropout = 0.1}
optimizer = {name = "adam", learning_rate = 0.005}
schedule = {name = "one_cycle"}
training = {epochs = 20, batch_size = 25, accumulate = 2, ema_decay = 0.99, patience = 20}
checkpoint = {every_steps = 4}
"""


def command(*arguments):
    return [sys.executable, "-m", "gpucnn", "train", *map(str, arguments), "--backend", "numpy"]


def start(*arguments):
    return subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def final(run_dir, outcome):
    whole = outcome(run_dir)
    assert whole["metrics"][-1]["epoch"] == 20
    return whole


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "run.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, config, outcome):
    """What the run ends with, and the seconds it takes."""
    path = tmp_path_factory.mktemp("whole") / "run"
    began = time.monotonic()
    subprocess.run(command(config, "--run-dir", path, "--quiet"), check=True, timeout=300)
    return final(path, outcome), time.monotonic() - began


def killed_run(config, run_dir, instants):
    """Starts, kills and resumes at these instants, then lets it end; returns how many kills."""
    kills = 0
    for instant in instants:
        process = start(*continued(config, run_dir))
        try:
            process.wait(instant)
        except subprocess.TimeoutExpired:
            process.kill()
            kills += 1
        out, err = process.communicate()
        assert "Traceback" not in out + err
        assert process.returncode in (0, -signal.SIGKILL), err
    last = subprocess.run(
        command(*continued(config, run_dir)), capture_output=True, text=True, check=False
    )
    assert last.returncode == 0, last.stderr
    return kills


def continued(config, run_dir):
    """How a run goes on: it can be resumed from the moment config.json is there."""
    begun = (run_dir / "config.json").exists()
    return ("--resume", run_dir) if begun else (config, "--run-dir", run_dir)


def instants(seed, count, seconds):
    """The first falls before the first checkpoint; the others are spread over the run."""
    drawn = np.random.default_rng(seed).uniform(0.0, 1.0, count)
    return [0.05, *(seconds * drawn[1:])]


def check_kills(seed, count, share, config, tmp_path, uninterrupted, outcome):
    expected, seconds = uninterrupted
    kills = killed_run(config, tmp_path / "run", instants(seed, count, share * seconds))
    assert kills >= min(count, 10)
    assert final(tmp_path / "run", outcome) == expected
    assert not list(tmp_path.rglob("*.unfinished"))


@pytest.mark.slow
def test_killed_at_twenty_instants_in_one_run(config, tmp_path, uninterrupted, outcome):
    check_kills(2, 20, 0.2, config, tmp_path, uninterrupted, outcome)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(20))
def test_killed_once_at_any_instant(number, config, tmp_path, uninterrupted, outcome):
    expected, seconds = uninterrupted
    instant = seconds * (number + np.random.default_rng(number).uniform()) / 20
    killed_run(config, tmp_path / "run", [instant])
    assert final(tmp_path / "run", outcome) == expected


def wait_for_step(run_dir, step, process):
    """Until there is a checkpoint of that step or a later one."""
    for _ in range(3000):
        found = [int(path.stem[5:]) for path in run_dir.glob("checkpoints/step-*.json")]
        if found and max(found) >= step:
            return
        assert process.poll() is None
        time.sleep(0.01)
    raise AssertionError("there is no checkpoint")


@pytest.mark.slow
def test_killed_twice(config, tmp_path, uninterrupted, outcome):
    """After the first checkpoint, and half way."""
    run_dir = tmp_path / "run"
    for step in (0, 260):
        process = start(*continued(config, run_dir))
        wait_for_step(run_dir, step, process)
        process.kill()
        assert "Traceback" not in "".join(process.communicate())
        assert process.returncode == -signal.SIGKILL
    subprocess.run(command("--resume", run_dir), check=True, capture_output=True)
    assert final(run_dir, outcome) == uninterrupted[0]


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)],
)
def test_stopped_by_a_signal(number, status, config, tmp_path, uninterrupted, outcome):
    run_dir = tmp_path / "run"
    process = start(config, "--run-dir", run_dir)
    wait_for_step(run_dir, 30, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == status, err
    assert err == (
        f"stopped by {signal.Signals(number).name}; a checkpoint was saved. Go on with: gpucnn "
        f"train --resume {run_dir}\n"
    )
    assert "Traceback" not in out
    resumed = subprocess.run(
        command("--resume", run_dir), capture_output=True, text=True, check=False
    )
    assert resumed.returncode == 0, resumed.stderr
    assert "resumed" in resumed.stdout
    assert final(run_dir, outcome) == uninterrupted[0]


def test_a_second_signal_ends_it_at_once(tmp_path):
    """The first asks to finish a step that takes for ever; the second does not."""
    script = (
        "import signal, sys, time\n"
        "from gpucnn.training.signals import StopOnSignal\n"
        "with StopOnSignal() as stop, stop.postponed():\n"
        "    print('ready', flush=True)\n"
        "    while stop.number is None: time.sleep(0.01)\n"
        "    print(stop.number, flush=True)\n"
        "    time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == f"{signal.SIGINT.value}\n"
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 143
    assert time.monotonic() - began < 20


def test_the_checkpoint_of_a_stop_is_the_step_it_stopped_at(config, tmp_path):
    run_dir = tmp_path / "run"
    process = start(config, "--run-dir", run_dir)
    wait_for_step(run_dir, 1, process)
    process.terminate()
    process.communicate(timeout=60)
    steps = sorted(path.stem for path in run_dir.glob("checkpoints/step-*.json"))
    newest = json.loads((run_dir / "checkpoints" / f"{steps[-1]}.json").read_text())["progress"]
    assert newest["step"] >= 1
    assert newest["batch"] == newest["step"] - newest["epoch"] * 26
