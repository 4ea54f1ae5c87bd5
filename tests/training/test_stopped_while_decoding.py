"""A signal to the whole process group while worker processes decode: nothing is lost."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from processes import members

CONFIG = """
seed = 2
data = {name = "image_folder", root = "images", size = 16, workers = 2, memory_limit_mb = 0}
augment = {flip = true}
model = {name = "vgg", width = 4, stages = 1, convolutions = 1}
optimizer = {name = "adam", learning_rate = 0.01}
training = {epochs = 3, batch_size = 8}
"""
"""With a limit of 0, each batch is decoded when it is its turn."""

pytestmark = pytest.mark.skipif(
    not Path("/proc").is_dir(), reason="processes are looked for in /proc"
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A config, and images that take a moment to decode."""
    image_module = pytest.importorskip("PIL.Image")
    folder, rng = tmp_path_factory.mktemp("stopped"), np.random.default_rng(1)
    for split in ("train", "test"):
        for number, name in enumerate(("dark", "light")):
            (folder / "images" / split / name).mkdir(parents=True)
            for image in range(16):
                pixels = rng.integers(0, 100, (900, 900, 3)) + 150 * number
                path = folder / "images" / split / name / f"{image}.jpg"
                image_module.fromarray(pixels.astype(np.uint8)).save(path)
    (folder / "config.toml").write_text(CONFIG)
    return folder


def train(place, *arguments, **options):
    command = [sys.executable, "-m", "gpucnn", "train", *arguments, "--backend", "numpy"]
    return subprocess.Popen(
        command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def final(run):
    newest = max(run.glob("checkpoints/*.safetensors"))
    return newest.name, newest.read_bytes(), (run / "report.json").read_bytes()


def wait_for_checkpoint(process, run):
    """Returns when the first one is there."""
    while not list(run.glob("checkpoints/step-*.json")):
        assert process.poll() is None
        time.sleep(0.01)


@pytest.fixture(scope="module")
def uninterrupted(place):
    """What the run ends with, and how many seconds it takes after its first checkpoint."""
    process = train(place, "config.toml", "--run-dir", "whole", "--quiet")
    wait_for_checkpoint(process, place / "whole")
    begin = time.monotonic()
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return final(place / "whole"), time.monotonic() - begin


def stop_and_resume(place, number, share, uninterrupted):
    """Signals the group when such a share of the time after the first checkpoint is over."""
    run, (end, seconds) = place / "run", uninterrupted
    shutil.rmtree(run, ignore_errors=True)
    process = train(place, "config.toml", "--run-dir", "run", start_new_session=True)
    wait_for_checkpoint(process, run)
    before = {path.name for path in run.glob("checkpoints/*.json")}
    time.sleep(share * seconds)
    os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 128 + number, errors
    assert "Traceback" not in errors
    assert f"--resume {run.name}" in errors
    assert {path.name for path in run.glob("checkpoints/*.json")} - before
    assert members(process.pid) == []
    again = train(place, "--resume", "run", "--quiet")
    _, errors = again.communicate(timeout=300)
    assert again.returncode == 0, errors
    assert final(run) == end


def test_stopped_once(place, uninterrupted):
    stop_and_resume(place, signal.SIGTERM, 0.2, uninterrupted)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM] * 18 + [signal.SIGHUP, signal.SIGINT])
def test_stopped_at_any_instant(number, place, uninterrupted, request):
    place_in_list = request.node.callspec.indices["number"]
    stop_and_resume(place, number, 0.05 + 0.025 * place_in_list, uninterrupted)
