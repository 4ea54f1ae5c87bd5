import json
import shutil
import subprocess
from pathlib import Path

import pytest

from gpucnn.backends import get_backend
from gpucnn.environment import describe, git_commit

ROOT = Path(__file__).parents[1]


def test_is_json():
    described = json.loads(json.dumps(describe(get_backend("numpy"))))
    assert (described["backend"], described["precision"]) == ("numpy", "fp32")
    assert "numpy" in described["packages"]


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_commit():
    command = ["git", "rev-parse", "HEAD"]
    head = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if head.returncode or not (ROOT / ".git").exists():
        pytest.skip("this is no checkout of git")
    assert git_commit().removesuffix("-dirty") == head.stdout.strip()
