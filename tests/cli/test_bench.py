"""``gpucnn bench``: its tables, files and signals."""

import importlib.util
import json
import re
import signal

import pytest

from gpucnn.backends import why_unavailable
from gpucnn.backends.devices.source import KERNELS
from gpucnn.bench.kernels import KernelBenchmark
from gpucnn.bench.load import Load
from gpucnn.bench.torch_device import has_torch
from gpucnn.training.trainer import Trainer


@pytest.fixture(autouse=True)
def quick_ceilings(monkeypatch):
    """Of small arrays and matrices: what they are is tested elsewhere."""
    monkeypatch.setattr("gpucnn.bench.ceilings._MATRICES", (64,))
    monkeypatch.setattr("gpucnn.bench.ceilings.memory_floats", lambda _: 1 << 16)
    monkeypatch.setattr("gpucnn.bench.ceilings.cached_floats", lambda: [1 << 14])


@pytest.fixture(autouse=True)
def others(monkeypatch):
    """Sets how many of two cores other processes keep busy; none, unless a test says otherwise."""

    def keep_busy(cores):
        monkeypatch.setattr("gpucnn.bench.load.LoadMeter.read", lambda _: Load(cores, 2))

    keep_busy(0.0)
    monkeypatch.setattr("gpucnn.bench.load._MOST_SPREAD", 1e9)
    monkeypatch.setattr("gpucnn.bench.load._MOST_DRIFT", 1e9)
    return keep_busy


BUSY = (
    "warning: these times mean little: {}other processes kept 1.5 of 2 cores busy; measure again "
    "on an idle machine\n"
)


def test_bench_step_warns_of_a_busy_machine(cli, config, others):
    options = ["bench", "step", config, "--repetitions", "2", "--backend", "numpy"]
    assert cli(*options).succeeded().err == ""
    answer = cli(*options, "--json").succeeded()
    load = {"busy": False, "cores_busy_with_others": 0.0, "cores": 2, "why": ""}
    assert json.loads(answer.out)["load"] == load
    others(1.5)
    assert cli(*options).succeeded().err == BUSY.format("")
    answer = cli(*options, "--json").succeeded()
    assert answer.err == BUSY.format("")
    assert json.loads(answer.out)["load"]["why"] == "other processes kept 1.5 of 2 cores busy"


@pytest.mark.skipif(not has_torch(), reason="PyTorch is not installed")
def test_bench_step_marks_doubtful_ratios(cli, config, others):
    options = ["bench", "step", config, "--repetitions", "2", "--against", "torch"]
    for cores, doubt in ((0.0, ""), (1.5, r"\?")):
        others(cores)
        shown = cli(*options, "--backend", "numpy").succeeded().out
        rows = [line for line in shown.splitlines() if line.startswith("torch, c")]
        assert len(rows) == 2
        assert all(re.search(rf"\d\.\d\d{doubt}$", row) for row in rows)


def test_bench_train_and_kernels_warn_of_a_busy_machine(cli, config, others):
    train = ["bench", "train", config, "--backend", "numpy", "--set", "training.epochs=1"]
    kernels = ["bench", "kernels", "--backend", "numpy", "--problem", "quick-map", "--no-torch"]
    assert cli(*train).succeeded().err == ""
    assert cli(*kernels).succeeded().err == ""
    others(1.5)
    answer = cli(*train, "--json").succeeded()
    assert answer.err == BUSY.format("gpucnn: ")
    load = {"busy": True, "cores_busy_with_others": 1.5, "cores": 2}
    assert json.loads(answer.out)["load"] == load
    assert cli(*kernels).succeeded().err == BUSY.format("")


def test_bench_step_without_a_peer(cli, config):
    answer = cli("bench", "step", config, "--repetitions", "3", "--json",
                           "--backend", "numpy").succeeded()  # fmt: skip
    result = json.loads(answer.out)
    assert result["ours_ms"] > 0.0
    assert result["repetitions"] == 3
    assert result["environment"]["backend"] == "numpy"
    assert "torch_ms" not in result
    shown = cli("bench", "step", config, "--repetitions", "2", "--backend", "numpy").succeeded()
    assert "torch" not in shown.out
    assert "batch 100, 2 steps, on " in shown.out


def test_bench_kernels(cli, tmp_path):
    path, picture = tmp_path / "kernels.json", tmp_path / "roofline.png"
    options = ["--backend", "numpy", "--problem", "quick-map", "--repetitions", "3", "--no-torch"]
    if importlib.util.find_spec("matplotlib"):
        options += ["--plot", picture]
    shown = cli("bench", "kernels", *options, "--json", path).succeeded().out
    assert "relu_forward" in shown
    assert "ours / torch" not in shown
    result = json.loads(path.read_text(encoding="utf-8"))
    assert [one["operation"] for one in result["measurements"]] == [
        "relu_forward",
        "relu_input_grad",
        "add",
    ]
    assert result["environment"]["backend"] == "numpy"
    assert result["measurements"][0]["share_of_ceiling"] > 0.0
    if "--plot" in options:
        assert picture.read_bytes().startswith(b"\x89PNG")


def test_bench_kernels_says_where_there_is_nothing_to_draw(cli, tmp_path):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "roofline.png"
    answer = cli("bench", "kernels", "--backend", "numpy", "--problem", "quick-batch",
                           "--operation", "take_images", "--repetitions", "3", "--no-torch",
                           "--plot", picture).succeeded()  # fmt: skip
    assert answer.err == "nothing to draw: these operations do no arithmetic\n"
    assert not picture.exists()


def test_bench_kernels_leaves_what_it_had_measured(cli, tmp_path, monkeypatch):
    """Stopped in the second of three problems."""
    path = tmp_path / "kernels.json"
    measured = []
    real = KernelBenchmark.measure

    def stopping(*arguments):
        if measured:
            raise KeyboardInterrupt
        measured.append(None)
        return real(*arguments)

    monkeypatch.setattr(KernelBenchmark, "measure", stopping)
    options = ["--backend", "numpy", "--problem", "quick-map", "--repetitions", "3", "--no-torch"]
    picture = tmp_path / "roofline.png"
    plot = ["--plot", picture] if importlib.util.find_spec("matplotlib") else []
    answer = cli("bench", "kernels", *options, "--json", path, *plot)
    assert answer.status == 130
    assert "relu_forward" in answer.out
    assert answer.err.splitlines()[-1] == "stopped"
    assert "2 of 3 problems were left out" in answer.err
    assert picture.exists() == bool(plot)
    (one,) = json.loads(path.read_text(encoding="utf-8"))["measurements"]
    assert one["operation"] == "relu_forward"
    assert {each.name for each in tmp_path.iterdir()} <= {"kernels.json", "roofline.png"}


def test_bench_kernels_stopped_before_anything_was_measured(cli, monkeypatch):
    def stopping(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(KernelBenchmark, "measure", stopping)
    answer = cli("bench", "kernels", "--backend", "numpy", "--problem", "quick-map", "--no-torch")
    assert (answer.status, answer.out, answer.err.strip()) == (130, "", "stopped")


@pytest.mark.skipif(bool(why_unavailable("emulator")), reason=why_unavailable("emulator"))
def test_bench_kernels_of_which_one_fails(cli, tmp_path):
    """Only what launches the user's file is measured, and what goes wrong does not stop it."""
    text = (KERNELS / "max_pool2d.cu").read_text(encoding="utf-8")
    begin = text.index("{\n", text.index("void max_pool2d_input_grad")) + 2
    bad = "*static_cast<float*>(nullptr) = 1.0f;\n"
    (tmp_path / "max_pool2d.cu").write_text(text[:begin] + bad + text[begin:], "utf-8")
    path = tmp_path / "kernels.json"
    answer = cli("bench", "kernels", "--backend", "emulator", "--no-torch", "--repetitions", "3",
                 "--kernels", tmp_path, "--json", path)  # fmt: skip
    assert answer.status == 1
    assert " ".join(answer.err.split()) == (
        "measuring what launches max_pool2d.cu: max_pool2d_forward, max_pool2d_input_grad"
    )
    assert "max_pool2d_input_grad failed" in " ".join(answer.out.split())
    assert answer.out.count("address (nil) is in no memory") == 1
    result = json.loads(path.read_text(encoding="utf-8"))
    (measured,), (failed,) = result["measurements"], result["failures"]
    assert measured["operation"] == "max_pool2d_forward"
    assert failed["operation"] == "max_pool2d_input_grad"
    assert "address (nil) is in no memory" in failed["error"]
    answer = cli("bench", "kernels", "--backend", "emulator", "--no-torch", "--repetitions", "3",
                 "--kernels", tmp_path, "--operation", "max_pool2d_input_grad")  # fmt: skip
    assert answer.status == 1
    assert "address (nil) is in no memory" in answer.out


def test_bench_train_prints_a_line_for_each_run(cli, config):
    options = ["--backend", "numpy", "--set", "training.epochs=1"]
    shown = cli("bench", "train", config, *options, "--json").succeeded().out
    (run,) = [json.loads(line) for line in shown.splitlines()]
    assert (run["epochs"], run["name"]) == (1, "gpucnn")
    assert run["environment"]["backend"] == "numpy"
    assert 0.0 < run["accuracy"] <= 1.0
    assert run["seconds"] > 0.0
    assert "gpucnn" in cli("bench", "train", config, *options).succeeded().out


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_bench_train_is_stopped_by_signals(number, status, cli, config, monkeypatch):
    monkeypatch.setattr(Trainer, "_show", lambda *_: signal.raise_signal(number))
    answer = cli("bench", "train", config, "--backend", "numpy")
    assert (answer.status, answer.err.strip()) == (status, "stopped")


def test_bench_kernels_lists_its_problems(cli):
    shown = cli("bench", "kernels", "--list", "--problem", "resnet18-56").succeeded().out
    assert "resnet18-56: 64×56×56×64, 64 of 3×3\n  conv2d_forward" in shown
    assert shown.count("conv2d_") == 3
