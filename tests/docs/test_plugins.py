"""The examples of docs/plugins.md work, on numpy and under the emulator."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gpucnn.backends import why_unavailable

ROOT = Path(__file__).parents[2]
PLUGINS = ROOT / "docs" / "plugins"
TEXT = (ROOT / "docs" / "plugins.md").read_text("utf-8")
NUMPY = ("--backend", "numpy")

needs_emulator = pytest.mark.skipif(bool(why_unavailable("emulator")), reason="no emulator")


@pytest.fixture
def gpucnn(tmp_path):
    """Runs a command in a process of its own, because what plugins add stays until its end."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path / "xdg")}
    if "GPUCNN_CACHE_DIR" not in os.environ:
        environment["GPUCNN_CACHE_DIR"] = str(Path.home() / ".cache" / "gpucnn")

    def run(*arguments, status=0):
        command = [sys.executable, "-m", "gpucnn", *map(str, arguments)]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    return run


def test_code_in_the_text_is_that_of_the_files():
    files = [path.read_text("utf-8") for path in PLUGINS.glob("*.py")]
    blocks = re.findall(r"^( *)```python\n(.*?)^ *```", TEXT, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 4
    for indent, block in blocks:
        code = re.sub(rf"^{indent}", "", block, flags=re.MULTILINE)
        assert any(code in file for file in files), code


def test_the_example_learns_and_is_used(gpucnn, tmp_path):
    config = PLUGINS / "example.toml"
    trained = gpucnn("train", config, *NUMPY, "--run-dir", tmp_path / "run", "--json")
    assert json.loads(trained)["accuracy"] > 0.9
    evaluated = json.loads(gpucnn("evaluate", tmp_path / "run", *NUMPY, "--json"))
    assert evaluated["accuracy"] == json.loads(trained)["accuracy"]


@pytest.mark.slow
def test_its_gradients_are_right(gpucnn):
    assert "within the bound" in gpucnn("gradcheck", PLUGINS / "example.toml")


@pytest.mark.slow
@needs_emulator
def test_both_backends_take_the_same_steps(gpucnn, tmp_path):
    losses = []
    for backend in ("numpy", "emulator"):
        run = tmp_path / backend
        gpucnn("train", PLUGINS / "example.toml", "--backend", backend, "--run-dir", run,
               "--set", "training.epochs=1")  # fmt: skip
        row = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
        losses.append(row["train_loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.slow
@needs_emulator
def test_the_check_of_its_kernels_would_notice_a_mistake(gpucnn, tmp_path):
    copied = shutil.copytree(PLUGINS, tmp_path / "plugins")
    check = ("kernels", "check", "--config", copied / "example.toml", "--quick")
    assert "none wrong" in gpucnn(*check)
    kernels = copied / "squared_relu.cu"
    right = kernels.read_text()
    kernels.write_text(right.replace("dy * (2.0f * positive(x))", "dy * positive(x)"))
    assert kernels.read_text() != right
    shown = gpucnn(*check, status=1)
    assert "squared_relu_input_grad" in shown
    assert "none wrong" not in shown
    kernels.write_text(right.replace("squared_relu_forward(", "renamed("))
    assert f"{kernels} has no kernel squared_relu_forward" in gpucnn(*check, status=1)
