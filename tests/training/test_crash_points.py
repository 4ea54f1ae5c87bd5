"""A run that is killed at any file operation, also in the middle of a write, resumes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gpucnn.emulator.compiler import compiler
from gpucnn.errors import BackendError

HERE = Path(__file__).parent
SHARES = 24
"""Of all points, the quick suite tries each so many-th."""


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    """What is preloaded to kill a process at a file operation."""
    if sys.platform != "linux":
        pytest.skip("file operations are intercepted on Linux alone")
    try:
        command = compiler().command
    except BackendError as error:
        pytest.skip(str(error))
    path = tmp_path_factory.mktemp("shim") / "crash_points.so"
    options = ["-O1", "-fPIC", "-shared", str(HERE / "crash_points.cpp"), "-o", str(path), "-ldl"]
    subprocess.run([*command, *options], check=True)
    return path


def crash_and_resume(shim, folder, share, shares):
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "LD_PRELOAD": str(shim), "CRASH_FOLDER": f"{folder}/run"}
    done = subprocess.run(
        [sys.executable, HERE / "crash_points.py", shim, folder, str(share), str(shares)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["wrong"] == {}
    return result["kills"]


def test_some_crash_points(shim, tmp_path):
    assert crash_and_resume(shim, tmp_path / "crash", 3, SHARES) > 4


@pytest.mark.slow
@pytest.mark.parametrize("share", range(4))
def test_all_crash_points(share, shim, tmp_path):
    assert crash_and_resume(shim, tmp_path / "crash", share, 4) > 30
