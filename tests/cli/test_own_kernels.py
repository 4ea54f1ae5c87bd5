"""``--kernels`` of the commands that train."""

import shutil
import signal

import pytest

from gpucnn.backends import why_unavailable
from gpucnn.backends.devices.source import KERNELS
from gpucnn.training.signals import Interrupted
from gpucnn.training.trainer import Trainer

if reason := why_unavailable("emulator"):
    pytest.skip(reason, allow_module_level=True)

ON_EMULATOR = ("--backend", "emulator")


@pytest.fixture
def kernels(tmp_path):
    """A folder with the optimizer's kernel, which writes to where nothing is."""
    folder = tmp_path / "kernels"
    folder.mkdir()
    text = (KERNELS / "adam.cu").read_text(encoding="utf-8")
    begin = text.index("{\n", text.index("__global__")) + 2
    bad = "    *static_cast<float*>(nullptr) = 1.0f;\n"
    (folder / "adam.cu").write_text(text[:begin] + bad + text[begin:], "utf-8")
    return folder


def test_the_folder_s_kernels_train(cli, config, kernels, tmp_path):
    answer = cli("train", config, *ON_EMULATOR, "--kernels", kernels, "--run-dir", tmp_path / "run")
    assert answer.status == 2
    assert "address (nil) is in no memory" in answer.err
    assert "at adam.cu:" in answer.err


def test_the_folder_s_kernels_take_a_step(cli, config, kernels):
    arguments = ("bench", "step", config, *ON_EMULATOR, "--repetitions", "2", "--kernels", kernels)
    answer = cli(*arguments)
    assert answer.status == 2
    assert "address (nil) is in no memory" in answer.err
    shutil.copy(KERNELS / "adam.cu", kernels)
    assert cli(*arguments).status == 0


DEPTHWISE = """
seed = 1
[data]
name = "digits"
[model]
name = "sequential"
layers = [
    {type = "conv2d", filters = 4, kernel = 3},
    {type = "conv2d", filters = 4, kernel = 3, groups = 4},
    {type = "flatten"},
    {type = "linear", features = "classes"},
]
[optimizer]
name = "sgd"
learning_rate = 0.01
[training]
epochs = 1
batch_size = 100
"""


def test_a_missing_barrier_is_not_blamed_on_the_learning_rate(cli, tmp_path):
    folder, config = tmp_path / "own", tmp_path / "depthwise.toml"
    folder.mkdir()
    config.write_text(DEPTHWISE)
    text = (KERNELS / "conv2d_depthwise.cu").read_text(encoding="utf-8")
    barrier = "    __syncthreads();\n"
    assert text.count(barrier) == 1
    (folder / "conv2d_depthwise.cu").write_text(text.replace(barrier, ""), "utf-8")
    run = ("--run-dir", tmp_path / "run")
    answer = cli("train", config, *ON_EMULATOR, "--kernels", folder, *run)
    assert answer.status != 0
    assert "is not finite" in answer.err
    assert f"gpucnn kernels check --kernels {folder} --mode race" in answer.err
    assert "learning_rate" not in answer.err


@pytest.mark.parametrize("mode", ["race", "sanitize"])
def test_a_mode_that_checks_more(cli, config, kernels, mode):
    """The same folder's kernel writes where another array may be."""
    text = (kernels / "adam.cu").read_text(encoding="utf-8")
    far = text.replace("*static_cast<float*>(nullptr)", "parameters[1 << 20]")
    assert far != text
    (kernels / "adam.cu").write_text(far, "utf-8")
    backend = ("--backend", f"emulator:{mode}")
    answer = cli("bench", "step", config, *backend, "--repetitions", "2", "--kernels", kernels)
    assert answer.status == 2
    assert "out-of-bounds" in answer.err
    assert "at adam.cu:" in answer.err


@pytest.mark.parametrize("command", [("train",), ("bench", "step")])
def test_a_folder_of_which_the_training_launches_nothing(cli, config, kernels, tmp_path, command):
    (kernels / "adam.cu").rename(kernels / "sgd.cu")
    run = ("--run-dir", tmp_path / "run") if command == ("train",) else ()
    answer = cli(*command, config, *ON_EMULATOR, "--kernels", kernels, *run)
    assert answer.status == 2
    assert answer.err == (
        f"error: none of these operations launches a file of {kernels} (sgd.cu)\n"
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", [("train",), ("bench", "step")])
def test_a_backend_without_kernels(cli, config, kernels, command):
    answer = cli(*command, config, "--backend", "numpy", "--kernels", kernels)
    assert answer.status == 2
    assert "the numpy backend has no kernels" in answer.err


def test_how_to_go_on_has_the_folder(cli, config, kernels, tmp_path, monkeypatch):
    def stopped(_):
        raise Interrupted(signal.SIGINT)

    monkeypatch.setattr(Trainer, "prepare", lambda _: None)
    monkeypatch.setattr(Trainer, "_train", stopped)
    run = tmp_path / "run"
    answer = cli("train", config, *ON_EMULATOR, "--kernels", kernels, "--run-dir", run)
    assert answer.status == 130
    assert answer.err.endswith(f"gpucnn train --resume {run} --kernels {kernels}\n")
